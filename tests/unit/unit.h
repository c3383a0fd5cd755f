/*
 * What every unit test program includes: cmocka with all that it wants before it, and a temporary
 * folder of the test's own.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/compiler.h"

/* Says which row of a table failed. */
#define check_row(row, condition)                                                   \
    do {                                                                            \
        if (!(condition))                                                           \
            fail_msg("row %zu (line %d): %s", (size_t)(row), __LINE__, #condition); \
    } while (0)

#define UNIT_PATH_BYTES 256

/* Makes an empty folder. Returns path. */
const char *unit_folder_make(char path[UNIT_PATH_BYTES]);

/* Removes the folder and all in it. */
void unit_folder_remove(const char *path);

/* FOLDER/NAME in out. Returns out. */
const char *unit_path(const char *folder, const char *name, char out[UNIT_PATH_BYTES]);

/* Writes the file, or says that the test failed. */
void unit_file_write(const char *path, const void *data, size_t length);

/* What the process has mapped, in pages. */
unsigned long unit_mapped_pages(void);
