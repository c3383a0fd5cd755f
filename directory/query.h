/*
 * Query strings and form bodies (application/x-www-form-urlencoded, WHATWG URL section 5.1) become
 * arguments. Pure: decodes in place, allocates nothing.
 *
 * Percent-encoding is strict: a '%' that two hexadecimal digits do not follow is an error, not a
 * percent sign, so that a cut or doubly encoded name is refused instead of stored. '+' is a space.
 * Of an argument that is given several times the last counts, as in the reference.
 */
#pragma once

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One argument that the caller wants. Others are checked and ignored. */
struct query_field {
    const char *name;
    char *value;   /* decoded, NUL-terminated, inside the parsed text; NULL: not given */
    size_t length; /* of the value, which may hold NUL bytes */
};

/* Parses text[0..length); text[length] must be writable. The text is overwritten, and the values
 * point into it. Fields that hold a value already keep it unless the text gives them one.
 * ERROR_INVALID, in Spanish, when the encoding is broken. */
MUST_CHECK enum error_code query_parse(char *text, size_t length, struct query_field *fields,
                                       size_t count, struct error *error);

/* An argument that is 1 or 0; one that is not given leaves *value as it is. False: it is neither.
 */
bool query_flag(const struct query_field *field, bool *value);
/* One that is a decimal number from min to max, likewise. */
bool query_number(const struct query_field *field, int64_t min, int64_t max, int64_t *value);

/* Percent-decodes a path in place ('+' stays) and returns its new length, NUL-terminated. False
 * when the encoding is broken. text[*length] must be writable. */
bool query_decode_path(char *text, size_t *length);
