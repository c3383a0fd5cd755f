/*
 * A body in chunks (RFC 9112 7.1), part by part: no I/O, no memory of its own. Any thread.
 * Extensions and trailers are read and forgotten. Lines end with CR LF and nothing else: where they
 * are read in two ways, the rest could be a request of its own.
 */
#pragma once

#include <stddef.h>

#define HTTP_CHUNKS_LINES_MAX_BYTES 16384 /* of all extensions and trailers of a body */

enum http_chunks_state {
    CHUNKS_SIZE, /* the first digit */
    CHUNKS_DIGITS,
    CHUNKS_EXTENSION,
    CHUNKS_SIZE_LF,
    CHUNKS_DATA,
    CHUNKS_DATA_CR,
    CHUNKS_DATA_LF,
    CHUNKS_TRAILER, /* the first byte of a line */
    CHUNKS_TRAILER_LINE,
    CHUNKS_TRAILER_LF,
    CHUNKS_LAST_LF,
    CHUNKS_DONE,
    CHUNKS_BROKEN,
};

/* All zero at first. */
struct http_chunks {
    enum http_chunks_state state;
    unsigned long long left; /* of the chunk */
    unsigned digits;         /* of its length */
    size_t line_bytes;
};

/* Reads on, up to the end of the first part that is data, which then is *data and *data_length (0:
 * none). The number of bytes that were read: fewer than length only with data, when it is
 * CHUNKS_DONE, or CHUNKS_BROKEN. */
size_t http_chunks_read(struct http_chunks *chunks, const char *text, size_t length,
                        const char **data, size_t *data_length);
