#include "peer/limits/deadlines.h"

#include "common/clock.h"
#include "common/memory.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

struct deadlines {
    struct timer *timer;
    struct timer_task task;
    int64_t after_ms;
    void (*expired)(void *context);
    pthread_mutex_t lock; /* guards what follows, and the deadlines */
    struct deadline *first, *last;
};

static void unlink_deadline(struct deadlines *deadlines, struct deadline *deadline)
{
    *(deadline->previous ? &deadline->previous->next : &deadlines->first) = deadline->next;
    *(deadline->next ? &deadline->next->previous : &deadlines->last) = deadline->previous;
    deadline->next = deadline->previous = NULL;
    deadline->set = false;
}

static int64_t run(void *context, int64_t now_ms)
{
    struct deadlines *deadlines = context;
    int64_t next_ms;

    pthread_mutex_lock(&deadlines->lock);
    while (deadlines->first && deadlines->first->due_ms <= now_ms) {
        struct deadline *deadline = deadlines->first;
        unlink_deadline(deadlines, deadline);
        deadlines->expired(deadline->context);
    }
    next_ms = deadlines->first ? deadlines->first->due_ms : TIMER_NEVER;
    pthread_mutex_unlock(&deadlines->lock);
    return next_ms;
}

struct deadlines *deadlines_new(struct timer *timer, int64_t after_ms,
                                void (*expired)(void *context))
{
    struct deadlines *deadlines = memory_new(1, sizeof *deadlines);

    deadlines->timer = timer;
    deadlines->after_ms = after_ms;
    deadlines->expired = expired;
    deadlines->task = (struct timer_task){.run = run, .context = deadlines};
    pthread_mutex_init(&deadlines->lock, NULL);
    timer_add(timer, &deadlines->task);
    return deadlines;
}

void deadlines_free(struct deadlines *deadlines)
{
    if (!deadlines)
        return;
    assert(!deadlines->first);
    timer_remove(deadlines->timer, &deadlines->task);
    pthread_mutex_destroy(&deadlines->lock);
    free(deadlines);
}

void deadline_set(struct deadlines *deadlines, struct deadline *deadline)
{
    pthread_mutex_lock(&deadlines->lock);
    if (deadline->set)
        unlink_deadline(deadlines, deadline);
    deadline->due_ms = clock_boot_ms() + deadlines->after_ms;
    deadline->set = true;
    deadline->previous = deadlines->last;
    *(deadlines->last ? &deadlines->last->next : &deadlines->first) = deadline;
    deadlines->last = deadline;
    if (deadlines->first == deadline) /* else the timer looks before that anyway */
        timer_due(deadlines->timer, &deadlines->task, deadline->due_ms);
    pthread_mutex_unlock(&deadlines->lock);
}

void deadline_clear(struct deadlines *deadlines, struct deadline *deadline)
{
    pthread_mutex_lock(&deadlines->lock);
    if (deadline->set)
        unlink_deadline(deadlines, deadline);
    pthread_mutex_unlock(&deadlines->lock);
}
