/*
 * The one checked type for the name of a shared file. What opens files takes only this, so a name
 * from the wire is checked exactly once, at the edge.
 *
 * A good name is 1 to 255 bytes (NAME_MAX of Linux file systems) of well-formed UTF-8, not "." or
 * "..", without '/', NUL and control characters (they would reach terminals and logs).
 *
 * A file in a folder of the share has its path as its name: "folder/file", each part of which is a
 * good name, at most FILE_PATH_PARTS_MAX of them. Only an edge whose other side knows folders takes
 * paths (file_name_parse_path); everywhere else a '/' is refused, as it was before there were any.
 * Pure.
 */
#pragma once

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>

#define FILE_NAME_MAX_BYTES 255 /* of one part */
/* A checked name has room for the longest. */
#define FILE_PATH_MAX_BYTES 511
/* Who reads the share has a descriptor a level open, and who stores a file makes a folder a part.
 */
#define FILE_PATH_PARTS_MAX 32

struct file_name {
    char text[FILE_PATH_MAX_BYTES + 1]; /* NUL-terminated */
};

/* ERROR_INVALID with a reason in Spanish (users read it) when the bytes are no good name. */
MUST_CHECK enum error_code file_name_parse(const char *text, size_t length, struct file_name *name,
                                           struct error *error);

/* The same, but the name may be a path. */
MUST_CHECK enum error_code file_name_parse_path(const char *text, size_t length,
                                                struct file_name *name, struct error *error);

/* Whether it is a path: who does not know folders must not see it. */
bool file_name_in_folder(const struct file_name *name);

/* Its last part; borrowed. */
const char *file_name_base(const struct file_name *name);

/* Whether the name is one of those that are never shared: hidden (a part of it begins with a dot;
 * our temporary names do too). */
bool file_name_is_hidden(const struct file_name *name);

/* "NAME (2).ext" for number 2: the number goes before the extension of the last part; its stem is
 * cut, never inside a character, so that the whole stays a good name. Number 0 is the name itself.
 * False: the folders leave no room for it, and *out is of no use. */
bool file_name_numbered(const struct file_name *name, unsigned number, struct file_name *out);
