/*
 * One thread that runs a few tasks when they are due. A task is a function that says when it wants
 * to run again; it must be short. Any thread may call anything.
 */
#pragma once

#include "common/error.h"

#include <stdint.h>

#define TIMER_NEVER INT64_MAX

struct timer;

/* The owner sets run and context and keeps the struct until timer_remove; the rest is the timer's.
 */
struct timer_task {
    /* Returns when to run next, on the boot clock, or TIMER_NEVER. Without any lock held. */
    int64_t (*run)(void *context, int64_t now_ms);
    void *context;

    int64_t due_ms;
    struct timer_task *next;
};

/* *timer is owned by the caller. ERROR_IO: no thread. */
MUST_CHECK enum error_code timer_start(struct timer **timer, struct error *error);
void timer_stop(struct timer *timer); /* joins; all tasks are removed. NULL is fine. */

/* The task is due never, until it is told. */
void timer_add(struct timer *timer, struct timer_task *task);
/* Waits while it runs; not from a task, nor under a lock that the task takes. */
void timer_remove(struct timer *timer, struct timer_task *task);

/* Runs the task at due_ms if it was not due before. Also under locks that the task takes. */
void timer_due(struct timer *timer, struct timer_task *task, int64_t due_ms);
