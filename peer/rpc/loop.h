/*
 * One event loop of a server: a server of the core, its queue, and one thread that receives, sends
 * and handles everything of the connections that were given to it. Used by server.c only.
 *
 * A thread of its own for each connection's bytes, and no other: the core's threads that wait for
 * one queue together hand each other every event, which costs a third of the time of a transfer
 * (docs/benchmarks.md). A handler that waits for a disk holds up its loop's connections alone.
 */
#pragma once

#include "peer/rpc/server_call.h"

#include <grpc/grpc_security.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

struct loop {
    struct call_engine engine; /* what is the server's is set by who made the loop */
    struct operation shutdown;
    grpc_server_credentials *credentials;
    pthread_t thread;
    bool running;
    atomic_int_least64_t busy_since_ms; /* by clock_boot_ms; 0: the thread waits for an event */
};

/* loop_done also after an error (ERROR_IO: no thread). */
MUST_CHECK enum error_code loop_start(struct loop *loop, struct error *error);

/* Any thread: the connection is the loop's now. */
void loop_give(struct loop *loop, int descriptor);

/* How busy it is: the calls that it has. Any thread. */
size_t loop_calls(struct loop *loop);

/* How long it has been at the event that it handles; 0: it waits for one. Any thread. */
int64_t loop_busy_ms(const struct loop *loop, int64_t now_ms);

/* Stopping, in this order: refuse what is new; wait until then (CLOCK_MONOTONIC) for the calls;
 * break them off; and wait until there is nothing left. */
void loop_shut_down(struct loop *loop);
void loop_wait(struct loop *loop, const struct timespec *until);
void loop_cancel(struct loop *loop);
void loop_done(struct loop *loop);
