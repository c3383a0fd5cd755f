/*
 * One question to several peers at once.
 */
#pragma once

#include "common/thread_pool.h"
#include "peer/locate/ask.h"

#include <stdbool.h>
#include <stddef.h>

#define ROUND_PEERS_MAX 16

/* Once somebody knows a source, the others get this long to add theirs. */
#define ROUND_LINGER_MS 300

struct round_options {
    struct thread_pool *pool; /* whose threads ask */
    const struct question *question;
    const struct address *peers; /* at most ROUND_PEERS_MAX */
    size_t count;
    struct interrupt *interrupt; /* breaks it off */
};

/* Blocks for the question's wait_ms at most, and what the pool has to do before. *sources: all that
 * they know (located_merge), owned by the caller. answered[i]: the peer i did, whatever it said. */
void round_run(const struct round_options *options, struct directory_sources *sources,
               bool answered[ROUND_PEERS_MAX]);
