/*
 * Things that happen to streams when nothing happens: a list of deadlines that are all the same
 * time away, so the list is in order by itself and setting one costs nothing. Any thread.
 */
#pragma once

#include "peer/limits/timer.h"

#include <stdbool.h>
#include <stdint.h>

struct deadlines;

/* In the stream that it is about; zero before it is set, cleared before it goes away. */
struct deadline {
    void *context; /* the owner's, given to expired */

    bool set;
    int64_t due_ms;
    struct deadline *next, *previous;
};

/* expired is called on the timer's thread, once for each deadline that has passed, which is clear
 * then. It must be short and must not call this module; while it runs, deadline_clear waits. The
 * timer is borrowed. */
struct deadlines *deadlines_new(struct timer *timer, int64_t after_ms,
                                void (*expired)(void *context));
void deadlines_free(struct deadlines *deadlines); /* all are clear; NULL is fine */

/* From now, also for one that is set. */
void deadline_set(struct deadlines *deadlines, struct deadline *deadline);
void deadline_clear(struct deadlines *deadlines, struct deadline *deadline);
