/*
 * Small files of our own (configuration, users): read whole, or replaced whole.
 */
#pragma once

#include "common/error.h"

#include <stddef.h>
#include <sys/types.h>

/* Reads a regular file of at most max_bytes; *text is NUL-terminated and owned by the caller.
 * ERROR_TOO_LARGE over the cap, ERROR_NOT_FOUND, ERROR_DENIED, ERROR_IO otherwise. */
MUST_CHECK enum error_code file_read(const char *path, size_t max_bytes, char **text,
                                     size_t *length, struct error *error);

/* Replaces the file in one step (temporary file beside it, fsync, rename, fsync of the folder), so
 * that a reader sees the old or the new and a crash leaves one of them. */
MUST_CHECK enum error_code file_replace(const char *path, const char *text, size_t length,
                                        mode_t mode, struct error *error);

/* The same without waiting for the disk, for what can be done without: after a crash of the machine
 * the file may be older, or broken. */
MUST_CHECK enum error_code file_replace_cache(const char *path, const char *text, size_t length,
                                              mode_t mode, struct error *error);

/* First thing in a program: puts /dev/null, the wrong way round so that reading and writing fail,
 * where standard input, output or error is closed. Else the next file or socket that is opened
 * would be there, and log lines and results would go into it. */
void file_occupy_standard(void);

/* Makes the folder and its parents where missing. */
MUST_CHECK enum error_code file_make_folder(const char *path, mode_t mode, struct error *error);
