/*
 * A call of the control service that waits for the network: it runs on the service's threads,
 * while the engine's call waits in RPC_WAIT. Used inside service/control_* only.
 *
 * The call and the thread hold one reference each; whoever comes last frees. When the client goes
 * away, or the daemon stops, what runs is interrupted.
 */
#pragma once

#include "common/error.h"
#include "peer/network/interrupt.h"
#include "peer/rpc/server.h"

#include <pthread.h>
#include <stdbool.h>

struct control_service;
struct operation;

struct operation_kind {
    size_t size; /* of the struct that begins with its struct operation */
    /* Takes the request, on the engine's thread. An error is the outcome then. */
    enum error_code (*begin)(struct operation *operation, const ProtobufCMessage *request,
                             struct error *error);
    /* Does it; may block. */
    enum error_code (*run)(struct operation *operation, struct error *error);
    /* While it runs: something to tell? NULL: never. Sets *due when the reply was packed. */
    enum error_code (*progress)(struct operation *operation, struct rpc_reply *reply, bool *due,
                                struct error *error);
    /* After it ran: packs the next reply; the last one sets *last. */
    enum error_code (*reply)(struct operation *operation, struct rpc_reply *reply, bool *last,
                             struct error *error);
    void (*done)(struct operation *operation); /* frees what is in the struct */
};

struct operation {
    const struct operation_kind *kind;
    struct control_service *service;
    struct interrupt *interrupt;
    struct error outcome; /* of the thread until finished, then of the engine's call */
    bool replied;         /* of the engine's call: the last reply is out */

    pthread_mutex_t lock;  /* guards what follows */
    struct rpc_call *call; /* NULL once it is closed */
    bool finished;
    unsigned references;

    struct operation *next; /* of control_service.c, under its lock */
};

/* The functions of a struct rpc_method; open needs the kind. */
void *operation_open(struct control_service *service, struct rpc_call *call,
                     const struct operation_kind *kind);
enum error_code operation_message(void *state, const struct rpc_request *request,
                                  struct error *error);
enum rpc_step operation_next(void *state, struct rpc_reply *reply, struct error *error);
void operation_close(void *state);

/* Makes the engine ask for progress. From run. */
void operation_wake(struct operation *operation);
