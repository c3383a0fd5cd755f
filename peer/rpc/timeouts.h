/*
 * Which of many things take too long: a list of those that are waited for, each with its time. For
 * one thread; the time is passed in. Setting and clearing is a few pointers, for every message
 * does it; so the list is in no order, and is looked through once a second.
 *
 * When the look itself comes late, the thread was held up (by a disk, or because the machine
 * slept), and what has come meanwhile was not read yet: everybody gets so much more time.
 */
#pragma once

#include <stdint.h>

#define TIMEOUTS_LOOK_MS 1000

#define TIMEOUT_NEVER 0 /* as a time that something may take */

/* In what is waited for; zero before it is set. Cleared before it goes away. */
struct timeout {
    int64_t due_ms;
    struct timeout *next, **link; /* link NULL: not set */
};

struct timeouts {
    struct timeout *first;
    int64_t look_ms; /* the next one, while there is any */
};

void timeout_set(struct timeouts *timeouts, struct timeout *timeout, int64_t now_ms,
                 int64_t after_ms);
void timeout_clear(struct timeout *timeout); /* also one that is not set */

/* Until the next look; -1: there is nothing to look at. */
int64_t timeouts_wait_ms(const struct timeouts *timeouts, int64_t now_ms);

/* Looks, if it is time. expired is called for each one that is over, which is clear then. */
void timeouts_look(struct timeouts *timeouts, int64_t now_ms,
                   void (*expired)(struct timeout *timeout));
