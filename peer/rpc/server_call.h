/*
 * One call of the server engine: the state machine that server.h draws. Used by server.c only.
 *
 * Each batch that was started, and each request for a new call, is one operation, whose address is
 * the tag in the completion queue. A call lives as long as it has operations under way.
 */
#pragma once

#include "peer/limits/host_counts.h"
#include "peer/rpc/connections.h"
#include "peer/rpc/server.h"
#include "peer/rpc/timeouts.h"

#include <grpc/grpc.h>
#include <pthread.h>
#include <stdbool.h>

enum operation_kind {
    OPERATION_ACCEPT,   /* a new call has come in */
    OPERATION_READ,     /* a message of the client, or the end of its messages */
    OPERATION_SEND,     /* our message has passed flow control */
    OPERATION_FINISH,   /* our status has */
    OPERATION_WAKE,     /* rpc_call_wake during RPC_WAIT */
    OPERATION_CLOSED,   /* the call is over for the transport: done, or cancelled */
    OPERATION_SHUTDOWN, /* the server's own: no call and no connection is left */
    OPERATION_KINDS
};

struct operation {
    enum operation_kind kind;
    struct rpc_call *call; /* NULL for OPERATION_SHUTDOWN */
};

/* What the calls need to know of their server. */
struct call_engine {
    grpc_server *core;
    grpc_completion_queue *queue;
    struct connections *connections; /* the acceptor's; to know who calls */
    struct host_counts *calls_by_host;
    const struct rpc_times *times; /* as these two, the server's */
    struct rpc_service *services;
    size_t service_count;

    struct timeouts timeouts; /* of the calls; as what follows, of the loop's thread */
    int64_t now_ms;           /* when the event came that is handled */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t calls;   /* calls and requests for calls that are not freed; guarded by lock */
    bool shut_down; /* OPERATION_SHUTDOWN has come; guarded by lock */
};

/* Asks the core for the next call. Any thread. */
void call_request_next(struct call_engine *engine);

/* Handles one event of the queue on the thread that took it. */
void call_handle(struct operation *operation, bool success);

/* Ends the call that the timeout is of. */
void call_expired(struct timeout *timeout);
