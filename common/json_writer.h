/*
 * Writing compact JSON into a buffer, commas by itself. Non-ASCII goes out as it is (the contract:
 * no \u escapes but for control characters). Strings must be well-formed UTF-8. Overflow shows in
 * the buffer's `failed`. One thread at a time.
 *
 *   struct json_writer json;
 *   json_writer_init(&json, &buffer);
 *   json_begin_object(&json, NULL);
 *   json_write_string(&json, "status", "OK");
 *   json_end_object(&json);
 *
 * `key` is NULL inside a list and at the top.
 */
#pragma once

#include "common/buffer.h"

#include <stdint.h>

struct json_writer {
    struct buffer *out;
    bool need_comma;
};

void json_writer_init(struct json_writer *json, struct buffer *out);

void json_begin_object(struct json_writer *json, const char *key);
void json_end_object(struct json_writer *json);
void json_begin_array(struct json_writer *json, const char *key);
void json_end_array(struct json_writer *json);

void json_write_string(struct json_writer *json, const char *key, const char *value);
void json_write_integer(struct json_writer *json, const char *key, int64_t value);
void json_write_boolean(struct json_writer *json, const char *key, bool value);
void json_write_null(struct json_writer *json, const char *key);
/* Text that is JSON already. */
void json_write_raw(struct json_writer *json, const char *key, const char *value);
