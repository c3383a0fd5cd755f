/*
 * FilesPart messages (proto/peer.proto) as they lie in the transport's buffers, taken apart without
 * copying the files. Pure. As chunk.h in all else.
 */
#pragma once

#include "common/error.h"
#include "peer/network/wire_reader.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* Files that one call may ask for: what they cost before their turn is the names, 130 KiB at most,
 * and with 4 KiB each a call costs a hundredth of what it brings. */
#define FILES_PART_MAX 256

struct arrived_file {
    uint64_t index;
    struct chunk_part data;
    uint64_t code; /* 0: fine */
    struct chunk_part reason;
};

struct files_part {
    int64_t queue_position; /* 0: it is not about a wait */
    size_t count;
    struct arrived_file files[FILES_PART_MAX];
};

/* ERROR_CORRUPT: no such message, or one with more files than can be asked for. */
MUST_CHECK enum error_code files_part_parse(const struct iovec *spans, size_t span_count,
                                            struct files_part *part, struct error *error);
