/*
 * Whether a source still means to send: bytes come, or it says which place we have in its line.
 * Other messages are no sign of life: a source could send them for ever. Pure.
 */
#pragma once

#include "common/error.h"
#include "peer/network/chunk.h"

#include <stdint.h>

/* So long may a source keep us in its line between two messages with data. The rest of the job goes
 * elsewhere meanwhile. */
#define LIVENESS_QUEUE_MS 120000

struct liveness {
    int64_t data_ms; /* the last byte, on the boot clock */
    int64_t word_ms; /* the last byte, or word on our place */
};

void liveness_begin(struct liveness *liveness, int64_t now_ms);

/* Notes a message. ERROR_TIMEOUT: no byte for LIVENESS_QUEUE_MS, or neither a byte nor a word for
 * stall_ms. */
MUST_CHECK enum error_code liveness_note(struct liveness *liveness, const struct chunk *chunk,
                                         int64_t stall_ms, int64_t now_ms, struct error *error);
