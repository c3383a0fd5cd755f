#include "peer/limits/timer.h"

#include "common/clock.h"
#include "common/memory.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

struct timer {
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows, and the tasks' due_ms and next */
    pthread_cond_t changed;
    struct timer_task *tasks;
    struct timer_task *running;
    bool stopping;
};

static struct timer_task *first_due(const struct timer *timer)
{
    struct timer_task *first = NULL;

    for (struct timer_task *task = timer->tasks; task; task = task->next)
        if (task->due_ms != TIMER_NEVER && (!first || task->due_ms < first->due_ms))
            first = task;
    return first;
}

/* With the lock. The condition's clock stands still in a sleep of the machine and the boot clock
 * does not: what is due during one is run a little later after it. */
static void wait_ms(struct timer *timer, int64_t timeout_ms)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += timeout_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_cond_timedwait(&timer->changed, &timer->lock, &until);
}

/* Called and returns with the lock. */
static void run_task(struct timer *timer, struct timer_task *task, int64_t now_ms)
{
    int64_t next_ms;

    task->due_ms = TIMER_NEVER;
    timer->running = task;
    pthread_mutex_unlock(&timer->lock);
    next_ms = task->run(task->context, now_ms);
    pthread_mutex_lock(&timer->lock);
    if (next_ms < task->due_ms) /* it may have been told meanwhile */
        task->due_ms = next_ms;
    timer->running = NULL;
    pthread_cond_broadcast(&timer->changed);
}

static void *timer_run(void *argument)
{
    struct timer *timer = argument;

    pthread_mutex_lock(&timer->lock);
    while (!timer->stopping) {
        struct timer_task *task = first_due(timer);
        int64_t now_ms = clock_boot_ms();
        if (!task)
            pthread_cond_wait(&timer->changed, &timer->lock);
        else if (task->due_ms > now_ms)
            wait_ms(timer, task->due_ms - now_ms);
        else
            run_task(timer, task, now_ms);
    }
    pthread_mutex_unlock(&timer->lock);
    return NULL;
}

enum error_code timer_start(struct timer **timer_out, struct error *error)
{
    struct timer *timer = memory_new(1, sizeof *timer);
    pthread_condattr_t attributes;

    pthread_mutex_init(&timer->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&timer->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    int result = pthread_create(&timer->thread, NULL, timer_run, timer);
    if (result) {
        pthread_cond_destroy(&timer->changed);
        pthread_mutex_destroy(&timer->lock);
        free(timer);
        return error_set_errno(error, result, "cannot start a thread");
    }
    pthread_setname_np(timer->thread, "timer");
    *timer_out = timer;
    return ERROR_NONE;
}

void timer_stop(struct timer *timer)
{
    if (!timer)
        return;
    pthread_mutex_lock(&timer->lock);
    timer->stopping = true;
    pthread_cond_broadcast(&timer->changed);
    pthread_mutex_unlock(&timer->lock);
    pthread_join(timer->thread, NULL);
    pthread_cond_destroy(&timer->changed);
    pthread_mutex_destroy(&timer->lock);
    free(timer);
}

void timer_add(struct timer *timer, struct timer_task *task)
{
    pthread_mutex_lock(&timer->lock);
    task->due_ms = TIMER_NEVER;
    task->next = timer->tasks;
    timer->tasks = task;
    pthread_mutex_unlock(&timer->lock);
}

void timer_remove(struct timer *timer, struct timer_task *task)
{
    pthread_mutex_lock(&timer->lock);
    while (timer->running == task)
        pthread_cond_wait(&timer->changed, &timer->lock);
    for (struct timer_task **link = &timer->tasks; *link; link = &(*link)->next)
        if (*link == task) {
            *link = task->next;
            break;
        }
    pthread_mutex_unlock(&timer->lock);
}

void timer_due(struct timer *timer, struct timer_task *task, int64_t due_ms)
{
    pthread_mutex_lock(&timer->lock);
    if (due_ms < task->due_ms) {
        task->due_ms = due_ms;
        if (timer->running != task) /* it looks again by itself */
            pthread_cond_broadcast(&timer->changed);
    }
    pthread_mutex_unlock(&timer->lock);
}
