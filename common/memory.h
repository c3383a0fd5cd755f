/*
 * Small allocations of our own. They abort when the system has no memory: a daemon that cannot get
 * a few hundred bytes cannot answer either. What outsiders size is capped before it comes here.
 *
 * Owners carry a clean-up attribute (auto_free, auto_close, auto_fclose); giving away goes through
 * take_pointer or take_descriptor, which leave NULL or -1 behind.
 */
#pragma once

#include "common/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Zeroed memory for count items of size bytes; freed with free(). Never NULL. */
void *memory_new(size_t count, size_t size) __attribute__((malloc, returns_nonnull));

/* Grows or shrinks an array; what is new is not zeroed. Never NULL for a count above 0. */
void *memory_resize(void *array, size_t count, size_t size);

/* Copies; freed with free(). memory_copy appends a NUL byte. */
char *memory_copy_string(const char *text) __attribute__((malloc, returns_nonnull));
char *memory_copy(const void *data, size_t length) __attribute__((malloc, returns_nonnull));

/* Zeroed memory in pages of its own, which exist once they are used; given back by memory_unmap
 * with the same size. With large_pages they are as large as the system has them, which are found
 * quicker where a table of many MiB is looked into here and there (a search of a million peers'
 * directory took 8 % less time): what is used of each 2 MiB makes all of them exist. Never
 * NULL. */
void *memory_map(size_t bytes, bool large_pages) __attribute__((returns_nonnull));
void memory_unmap(void *memory, size_t bytes); /* NULL is allowed */

/* printf into fresh memory; freed with free(). */
char *memory_format(const char *format, ...) PRINTF_LIKE(1, 2) __attribute__((returns_nonnull));

void memory_cleanup_free(void *pointer_to_pointer);
void memory_cleanup_close(int *descriptor);
void memory_cleanup_fclose(FILE **stream);

#define auto_free   CLEANUP(memory_cleanup_free)
#define auto_close  CLEANUP(memory_cleanup_close)
#define auto_fclose CLEANUP(memory_cleanup_fclose)

/* Takes the value out of an owner: the owner holds NULL (or -1) afterwards. */
#define take_pointer(owner)            \
    __extension__({                    \
        __auto_type taken_ = *(owner); \
        *(owner) = NULL;               \
        taken_;                        \
    })
int take_descriptor(int *owner);
