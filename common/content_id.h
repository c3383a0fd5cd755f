/*
 * The id of a file's content (common/content.h says of what it is made) as a value and as text: 64
 * lower-case hexadecimal digits. Pure, and without any library, for who only passes ids on.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HASH_BYTES        32 /* SHA-256 */
#define CONTENT_ID_DIGITS (2 * HASH_BYTES)

struct content_id {
    uint8_t bytes[HASH_BYTES];
};

bool content_id_equal(const struct content_id *left, const struct content_id *right);

/* 64 digits and a NUL. Returns out. */
const char *content_id_format(const struct content_id *id, char out[CONTENT_ID_DIGITS + 1]);

/* False when text is anything but 64 lower-case hexadecimal digits. */
bool content_id_parse(const char *text, struct content_id *id);

/* From a protobuf field. False when it has another length than an id. */
bool content_id_from_bytes(const void *data, size_t length, struct content_id *id);
