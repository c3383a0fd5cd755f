/*
 * A growing run of bytes with a mandatory cap. Appending past the cap, or where the system has no
 * memory, sets `failed`, leaves what was there and ignores what follows, so a writer checks once,
 * at the end. One thread at a time.
 */
#pragma once

#include "common/compiler.h"

#include <stdbool.h>
#include <stddef.h>

struct buffer {
    char *data; /* NUL-terminated when not NULL; the NUL is not counted */
    size_t length;
    size_t capacity;
    size_t limit;
    bool failed;
};

void buffer_init(struct buffer *buffer, size_t limit);
void buffer_done(struct buffer *buffer);
void buffer_clear(struct buffer *buffer);              /* keeps the memory, forgets a failure */
void buffer_cut(struct buffer *buffer, size_t length); /* likewise; length: at most what it has */

/* Where to write so many bytes, of which buffer_add then says how many there are; NULL: the buffer
 * has failed. */
char *buffer_room(struct buffer *buffer, size_t length);
void buffer_add(struct buffer *buffer, size_t length);
void buffer_append(struct buffer *buffer, const void *data, size_t length);
void buffer_append_string(struct buffer *buffer, const char *text);
void buffer_append_char(struct buffer *buffer, char character);
void buffer_printf(struct buffer *buffer, const char *format, ...) PRINTF_LIKE(2, 3);

/* Hands the memory to the caller, who frees it with free(); never NULL; the buffer is empty after.
 */
char *buffer_take(struct buffer *buffer);

#define auto_buffer CLEANUP(buffer_done) struct buffer
