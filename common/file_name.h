/*
 * The one checked type for the name of a shared file. What opens files takes only this, so a name
 * from the wire is checked exactly once, at the edge.
 *
 * A good name is 1 to 255 bytes (NAME_MAX of Linux file systems) of well-formed UTF-8, not "." or
 * "..", without '/', NUL and control characters (they would reach terminals and logs). Pure.
 */
#pragma once

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>

#define FILE_NAME_MAX_BYTES 255

struct file_name {
    char text[FILE_NAME_MAX_BYTES + 1]; /* NUL-terminated */
};

/* ERROR_INVALID with a reason in Spanish (users read it) when the bytes are no good name. */
MUST_CHECK enum error_code file_name_parse(const char *text, size_t length, struct file_name *name,
                                           struct error *error);

/* Whether the name is one of those that are never shared: hidden (it begins with a dot; our
 * temporary names do too). */
bool file_name_is_hidden(const struct file_name *name);

/* "NAME (2).ext" for number 2: the number goes before the last extension; the stem is cut, never
 * inside a character, so that the whole stays a good name. Number 0 is the name itself. */
void file_name_numbered(const struct file_name *name, unsigned number, struct file_name *out);
