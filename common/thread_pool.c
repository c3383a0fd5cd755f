#include "common/thread_pool.h"

#include "common/memory.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

struct work {
    void (*run)(void *context);
    void *context;
};

struct thread_pool {
    char *name; /* these do not change */
    size_t thread_max;
    size_t queue_max;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    pthread_t *threads;
    size_t thread_count;
    size_t idle;        /* threads that wait, whether or not there is work by now */
    struct work *queue; /* a ring of queue_max */
    size_t first;
    size_t count;
    bool stopping;
};

static bool next_work(struct thread_pool *pool, struct work *work)
{
    pthread_mutex_lock(&pool->lock);
    pool->idle++;
    while (pool->count == 0 && !pool->stopping)
        pthread_cond_wait(&pool->changed, &pool->lock);
    pool->idle--;
    bool found = pool->count > 0;
    if (found) {
        *work = pool->queue[pool->first];
        pool->first = (pool->first + 1) % pool->queue_max;
        pool->count--;
    }
    pthread_mutex_unlock(&pool->lock);
    return found;
}

static void *work_loop(void *context)
{
    struct thread_pool *pool = context;
    struct work work;

    while (next_work(pool, &work))
        work.run(work.context);
    return NULL;
}

/* With the lock, or while nobody else knows the pool. */
static enum error_code add_thread(struct thread_pool *pool, struct error *error)
{
    int failed = pthread_create(&pool->threads[pool->thread_count], NULL, work_loop, pool);

    if (failed)
        return error_set_errno(error, failed, "cannot start a thread");
    pthread_setname_np(pool->threads[pool->thread_count++], pool->name);
    return ERROR_NONE;
}

enum error_code thread_pool_start(const char *name, size_t threads, size_t queue_max,
                                  struct thread_pool **out, struct error *error)
{
    struct thread_pool *pool = memory_new(1, sizeof *pool);

    pool->name = memory_copy_string(name);
    pool->thread_max = threads;
    pool->threads = memory_new(threads, sizeof *pool->threads);
    pool->queue = memory_new(queue_max, sizeof *pool->queue);
    pool->queue_max = queue_max;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->changed, NULL);
    enum error_code code = add_thread(pool, error);
    if (code)
        thread_pool_free(pool);
    else
        *out = pool;
    return code;
}

enum error_code thread_pool_submit(struct thread_pool *pool, void (*run)(void *context),
                                   void *context, struct error *error)
{
    enum error_code code = ERROR_NONE;

    pthread_mutex_lock(&pool->lock);
    if (pool->stopping) {
        code = error_set(error, ERROR_CANCELLED, "stopping");
    } else if (pool->count == pool->queue_max) {
        code = error_set(error, ERROR_BUSY, "too much is waiting already");
    } else {
        size_t last = (pool->first + pool->count) % pool->queue_max;
        pool->queue[last] = (struct work){.run = run, .context = context};
        pool->count++;
        if (pool->count > pool->idle && pool->thread_count < pool->thread_max)
            (void)add_thread(pool, NULL); /* else those that there are do it later */
        pthread_cond_signal(&pool->changed);
    }
    pthread_mutex_unlock(&pool->lock);
    return code;
}

void thread_pool_stop(struct thread_pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->lock); /* none is added from here on */
    for (size_t i = 0; i < pool->thread_count; i++)
        pthread_join(pool->threads[i], NULL);
    pool->thread_count = 0;
}

void thread_pool_free(struct thread_pool *pool)
{
    if (!pool)
        return;
    thread_pool_stop(pool);
    pthread_cond_destroy(&pool->changed);
    pthread_mutex_destroy(&pool->lock);
    free(pool->queue);
    free(pool->threads);
    free(pool->name);
    free(pool);
}
