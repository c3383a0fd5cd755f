#include "peer/downloads/storer.h"

#include "common/memory.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

TAILQ_HEAD(items, storer_item);

struct storer {
    struct storer_options options; /* constant */
    pthread_t thread;              /* constant */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    struct items items;
    size_t count;
    bool stopping;
};

/* Up to all that wait. Returns how many; 0: the storer is to stop. */
static size_t take(struct storer *storer, struct storer_item **taken)
{
    size_t count = 0;

    pthread_mutex_lock(&storer->lock);
    while (storer->count == 0 && !storer->stopping)
        pthread_cond_wait(&storer->changed, &storer->lock);
    while (!TAILQ_EMPTY(&storer->items)) {
        struct storer_item *item = TAILQ_FIRST(&storer->items);
        TAILQ_REMOVE(&storer->items, item, next);
        taken[count++] = item;
    }
    storer->count = 0;
    pthread_cond_broadcast(&storer->changed);
    pthread_mutex_unlock(&storer->lock);
    return count;
}

static void *run(void *context)
{
    struct storer *storer = context;
    struct storer_item *items[STORER_WAITING_MAX];
    struct share_commit *commits[STORER_WAITING_MAX];
    size_t count;

    while ((count = take(storer, items)) > 0) {
        for (size_t i = 0; i < count; i++)
            commits[i] = &items[i]->commit;
        share_commit_all(commits, count);
        storer->options.done(storer->options.context, items, count);
    }
    return NULL;
}

static void destroy(struct storer *storer)
{
    pthread_cond_destroy(&storer->changed);
    pthread_mutex_destroy(&storer->lock);
    free(storer);
}

enum error_code storer_start(const struct storer_options *options, struct storer **out,
                             struct error *error)
{
    struct storer *storer = memory_new(1, sizeof *storer);

    storer->options = *options;
    TAILQ_INIT(&storer->items);
    pthread_mutex_init(&storer->lock, NULL);
    pthread_cond_init(&storer->changed, NULL);
    int result = pthread_create(&storer->thread, NULL, run, storer);
    if (result != 0) {
        destroy(storer);
        return error_set_errno(error, result, "cannot start a thread");
    }
    pthread_setname_np(storer->thread, "storer");
    *out = storer;
    return ERROR_NONE;
}

void storer_stop(struct storer *storer)
{
    if (!storer)
        return;
    pthread_mutex_lock(&storer->lock);
    storer->stopping = true;
    pthread_cond_broadcast(&storer->changed);
    pthread_mutex_unlock(&storer->lock);
    pthread_join(storer->thread, NULL);
    destroy(storer);
}

void storer_add(struct storer *storer, struct storer_item *item)
{
    pthread_mutex_lock(&storer->lock);
    while (storer->count == STORER_WAITING_MAX)
        pthread_cond_wait(&storer->changed, &storer->lock);
    TAILQ_INSERT_TAIL(&storer->items, item, next);
    storer->count++;
    pthread_cond_broadcast(&storer->changed);
    pthread_mutex_unlock(&storer->lock);
}
