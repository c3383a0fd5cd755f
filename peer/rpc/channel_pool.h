/*
 * Channels that nobody uses just now, kept for the next one who wants the same target: making a
 * connection costs more than fetching a small file over it. Any thread.
 */
#pragma once

#include "peer/rpc/client.h"

/* Kept at once; beyond that the one that was idle for longest is closed. The core itself drops the
 * connection of an idle channel after a while (tuning.c). */
#define CHANNEL_POOL_MAX 8

struct channel_pool;

struct channel_pool *channel_pool_new(void);       /* owned by the caller; never NULL */
void channel_pool_free(struct channel_pool *pool); /* after all that was taken was given back */

/* A channel of the caller's own until it is given back, kept or new. */
struct rpc_channel *channel_pool_take(struct channel_pool *pool, const char *target);
void channel_pool_give(struct channel_pool *pool, struct rpc_channel *channel);
