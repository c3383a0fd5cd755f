#include "peer/rpc/channel_pool.h"

#include "common/memory.h"
#include "peer/rpc/channel.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct channel_pool {
    pthread_mutex_t lock;                       /* guards what follows */
    struct rpc_channel *idle[CHANNEL_POOL_MAX]; /* the one given back last is the last */
    size_t count;
};

struct channel_pool *channel_pool_new(void)
{
    struct channel_pool *pool = memory_new(1, sizeof *pool);

    pthread_mutex_init(&pool->lock, NULL);
    return pool;
}

void channel_pool_free(struct channel_pool *pool)
{
    if (!pool)
        return;
    for (size_t i = 0; i < pool->count; i++)
        rpc_channel_close(pool->idle[i]);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

static struct rpc_channel *remove_locked(struct channel_pool *pool, size_t number)
{
    struct rpc_channel *channel = pool->idle[number];

    pool->count--;
    memmove(&pool->idle[number], &pool->idle[number + 1],
            (pool->count - number) * sizeof(struct rpc_channel *));
    return channel;
}

struct rpc_channel *channel_pool_take(struct channel_pool *pool, const char *target)
{
    struct rpc_channel *found = NULL;

    pthread_mutex_lock(&pool->lock);
    for (size_t i = pool->count; i > 0 && !found; i--)
        if (strcmp(rpc_channel_target(pool->idle[i - 1]), target) == 0)
            found = remove_locked(pool, i - 1);
    pthread_mutex_unlock(&pool->lock);
    return found ? found : rpc_channel_open(target);
}

void channel_pool_give(struct channel_pool *pool, struct rpc_channel *channel)
{
    struct rpc_channel *oldest = NULL;

    pthread_mutex_lock(&pool->lock);
    if (pool->count == CHANNEL_POOL_MAX)
        oldest = remove_locked(pool, 0);
    pool->idle[pool->count++] = channel;
    pthread_mutex_unlock(&pool->lock);
    rpc_channel_close(oldest);
}
