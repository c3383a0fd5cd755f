/*
 * Where `get --output` puts a file: a path that must be free, or standard output. A path gets the
 * whole file or nothing: the bytes go to a file without a name, which is synced and linked there at
 * the end; a crash leaves nothing behind (but where the file system knows no such files, a hidden
 * temporary one). One thread.
 */
#pragma once

#include "common/error.h"

#include <stddef.h>

struct output;

/* "-" is standard output; a folder means NAME in it. Nothing is ever overwritten: ERROR_EXISTS.
 * ERROR_INVALID: name is no good file name. *output is owned by the caller. */
MUST_CHECK enum error_code output_open(const char *path, const char *name, struct output **output,
                                       struct error *error);

/* ERROR_UNREACHABLE: standard output is a pipe that nobody reads any more. */
MUST_CHECK enum error_code output_write(struct output *output, const void *data, size_t length,
                                        struct error *error);

/* Begins again with an empty file. ERROR_CHANGED: not possible, bytes have gone to a pipe. */
MUST_CHECK enum error_code output_restart(struct output *output, struct error *error);

/* Gives the file its name. */
MUST_CHECK enum error_code output_commit(struct output *output, struct error *error);

/* The path that it will have; "-" for standard output. Borrowed. */
const char *output_path(const struct output *output);

void output_close(struct output *output); /* without a commit the file is gone; NULL is fine */
