/*
 * What the parts of the registry share: registry (who is there) and registry_store (what of it is
 * to be stored). No other file includes this one.
 */
#pragma once

#include "directory/login_order.h"
#include "directory/peer_table.h"
#include "directory/registry.h"

#include <pthread.h>

/* A doubly linked list of peers, by rising time. */
struct line {
    struct peer *first, *last;
    size_t count;
};

/* All guarded by lock; peers are never freed before the registry. */
struct registry {
    pthread_mutex_t lock;
    int64_t expiry_ms;
    int64_t run_offset_ms; /* run clock less boot clock */
    uint64_t last_sequence;
    struct peer_table table;
    struct login_order order; /* who is there; expired ones stay until swept */
    size_t active_count;      /* the same */
    struct line away;         /* whose files are kept, by when they went */
    struct peer **dirty;      /* records to be stored */
    size_t dirty_count, dirty_capacity;
    bool *dirty_blocks; /* times to be stored */
    size_t block_count, dirty_block_count;
};

static inline void registry_lock(struct registry *registry)
{
    pthread_mutex_lock(&registry->lock);
}

static inline void registry_unlock(struct registry *registry)
{
    pthread_mutex_unlock(&registry->lock);
}

static inline int64_t registry_seen_ms(const struct registry *registry, const struct peer *peer)
{
    return *peer_seen_ms(&registry->table, peer);
}

/* ---- registry_store.c; under the lock ---- */

void registry_format_token(const struct peer *peer, char out[REGISTRY_TOKEN_BYTES]);
/* The record has changed; the time has. */
void registry_mark_dirty(struct registry *registry, struct peer *peer);
void registry_mark_seen(struct registry *registry, const struct peer *peer);
