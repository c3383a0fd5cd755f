/*
 * Reading JSON (RFC 8259) that comes from outside. The only module that knows the parser behind.
 *
 * Stricter than the parser on what would hurt later: the text must be well-formed UTF-8, nothing
 * may follow the value, no string may hold U+0000 (C strings would be cut there), and values are
 * nested at most JSON_MAX_DEPTH deep. Any thread, one document at a time.
 */
#pragma once

#include "common/error.h"

#include <stdbool.h>
#include <stdint.h>

#define JSON_MAX_DEPTH 64 /* our documents have 4; recursion must not follow an outsider's wish */

struct json;

/* Parses a whole document; *root is owned by the caller (json_free). ERROR_INVALID says where. */
MUST_CHECK enum error_code json_parse(const char *text, size_t length, struct json **root,
                                      struct error *error);
void json_free(struct json *root);
void json_cleanup(struct json **root);
#define auto_json CLEANUP(json_cleanup) struct json

/* Items are borrowed until json_free of their root. NULL as an item is answered like "nothing". */
bool json_is_object(const struct json *item);
bool json_is_array(const struct json *item);
bool json_is_null(const struct json *item);

/* First item of an array or object, and the one after an item; NULL at the end. */
const struct json *json_first(const struct json *container);
const struct json *json_next(const struct json *item);
size_t json_count(const struct json *container);

/* The key of an object's item. */
const char *json_key(const struct json *item);

/* The item of that exact key, or NULL; of several equal keys, the first. */
const struct json *json_find(const struct json *object, const char *key);

/* NULL when the item is no string. */
const char *json_string(const struct json *item);
/* False when the item is no whole number (or does not fit), no boolean. */
bool json_integer(const struct json *item, int64_t *value);
bool json_boolean(const struct json *item, bool *value);

/* A name such as "string" or "list" for messages about a wrong type. */
const char *json_type_name(const struct json *item);
