/*
 * A few threads that take work from a bounded queue, oldest first: for what waits for the network
 * or is slow, where an edge must not.
 */
#pragma once

#include "common/error.h"

#include <stddef.h>

struct thread_pool;

/* The first thread is started at once, each of the others, at most `threads` with it, when there is
 * more work than threads that wait for some; they stay. name: at most 15 bytes, for debuggers.
 * *pool is owned by the caller. ERROR_IO: no threads. */
MUST_CHECK enum error_code thread_pool_start(const char *name, size_t threads, size_t queue_max,
                                             struct thread_pool **pool, struct error *error);

/* run(context) is called once, on one of the threads. ERROR_BUSY: the queue is full;
 * ERROR_CANCELLED: stopping. Any thread, also from inside run. */
MUST_CHECK enum error_code thread_pool_submit(struct thread_pool *pool, void (*run)(void *context),
                                              void *context, struct error *error);

/* Takes no more work, runs what is queued (tell it to be quick first), joins. NULL is fine, and
 * so is a second call. */
void thread_pool_stop(struct thread_pool *pool);
void thread_pool_free(struct thread_pool *pool); /* stops first if that was not done */
