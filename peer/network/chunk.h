/*
 * A Chunk message (proto/peer.proto) as it lies in the transport's buffers, taken apart without
 * copying its data. Pure.
 */
#pragma once

#include "common/error.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct chunk {
    size_t data_offset; /* of the data within the message */
    size_t data_bytes;
    int64_t total_bytes; /* 0: not told */
};

/* Unknown fields are skipped. ERROR_CORRUPT: no such message. */
MUST_CHECK enum error_code chunk_parse(const struct iovec *spans, size_t span_count,
                                       struct chunk *chunk, struct error *error);

/* The part [offset, offset + length) of a message, as at most `capacity` spans: returns how many,
 * *covered gets their bytes; go on with offset + *covered. */
size_t spans_slice(const struct iovec *spans, size_t span_count, size_t offset, size_t length,
                   struct iovec *out, size_t capacity, size_t *covered);
