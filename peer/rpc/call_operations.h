/*
 * What one call of the server has under way: its batches, one at a time, each with the time that
 * it may take, and how long the call lives. Used by server_call.c only, on the loop's thread.
 */
#pragma once

#include "peer/rpc/reply.h"
#include "peer/rpc/server_call.h"

#include <stdatomic.h>

/* Without a remark, a field belongs to whoever drives the call: the loop's thread. */
struct rpc_call {
    struct call_engine *engine;
    grpc_call *core;
    grpc_call_details details;
    grpc_metadata_array metadata;
    struct operation operations[OPERATION_KINDS];

    const struct rpc_method *method;
    void *service;
    void *state;
    char peer[PEER_NAME_BYTES];
    int descriptor;       /* of the connection; -1: not known, or told to be over */
    struct host_key host; /* with admitted */
    bool admitted;

    struct timeout timeout; /* of the operation that is under way */
    const char *late_text;  /* the status' when it takes too long */
    bool begun;             /* a message has come */

    grpc_byte_buffer *received;
    struct rpc_reply reply;
    bool metadata_sent;
    int core_cancelled; /* written by the core before OPERATION_CLOSED */

    pthread_mutex_t lock;
    unsigned references;   /* operations under way; guarded by lock */
    bool waiting;          /* in RPC_WAIT, nobody drives; guarded by lock */
    bool woken;            /* rpc_call_wake came while somebody drove; guarded by lock */
    atomic_bool cancelled; /* set under lock, read anywhere */
};

/* With no reference. */
struct rpc_call *call_new(struct call_engine *engine);
void call_reference(struct rpc_call *call);
void call_release(struct rpc_call *call); /* the last one frees it */

/* Starts a batch; its event releases the reference that it takes. False: no event will come. */
MUST_CHECK bool call_start(struct rpc_call *call, enum operation_kind kind, const grpc_op *ops,
                           size_t count);

/* OPERATION_READ, OPERATION_SEND (of the reply), OPERATION_FINISH (the reply, if there is one, and
 * the status). A call that cannot go on is broken. */
void call_read(struct rpc_call *call);
void call_send(struct rpc_call *call);
void call_finish(struct rpc_call *call, const struct error *error);
void call_fail(struct rpc_call *call, enum error_code code, const char *text);

/* Leaves the call: nothing drives it after this. */
void call_end(struct rpc_call *call);
/* The same, and OPERATION_CLOSED comes by itself. */
void call_break(struct rpc_call *call);
