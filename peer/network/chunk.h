/*
 * Chunk and UploadChunk messages (proto/peer.proto) as they lie in the transport's buffers, taken
 * apart without copying their data. Pure.
 *
 * As protobuf has it: fields come in any order, of several equal ones the last wins, unknown ones
 * are skipped. Strict where something goes beyond the message, and for groups (wire types 3 and 4).
 */
#pragma once

#include "common/error.h"
#include "peer/network/wire_reader.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct chunk {
    struct chunk_part data;
    int64_t total_bytes;      /* 0: not told */
    int64_t offset;           /* 0: not told, or the start */
    int64_t queue_position;   /* 0: it is not about a wait */
    int64_t length;           /* 0: not told */
    struct chunk_part pieces; /* likewise */
};

struct upload_chunk {
    struct chunk_part filename; /* bytes 0: not given */
    struct chunk_part data;
};

/* What we receive from a peer that we asked. ERROR_CORRUPT: no such message. */
MUST_CHECK enum error_code chunk_parse(const struct iovec *spans, size_t span_count,
                                       struct chunk *chunk, struct error *error);

/* What a peer asks of us. ERROR_INVALID: no such message. */
MUST_CHECK enum error_code upload_chunk_parse(const struct iovec *spans, size_t span_count,
                                              struct upload_chunk *chunk, struct error *error);

/* The part [offset, offset + length) of a message, as at most `capacity` spans: returns how many,
 * *covered gets their bytes; go on with offset + *covered. */
size_t spans_slice(const struct iovec *spans, size_t span_count, size_t offset, size_t length,
                   struct iovec *out, size_t capacity, size_t *covered);

/* The whole part, of that message; to: its size. */
void spans_copy(const struct iovec *spans, size_t span_count, const struct chunk_part *part,
                uint8_t *to);
