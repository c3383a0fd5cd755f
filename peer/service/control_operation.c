#include "peer/service/control_operation.h"

#include "common/memory.h"
#include "peer/service/control_private.h"

#include <stdlib.h>

void *operation_open(struct control_service *service, struct rpc_call *call,
                     const struct operation_kind *kind)
{
    struct operation *operation = memory_new(1, kind->size);

    operation->kind = kind;
    operation->service = service;
    operation->interrupt = interrupt_new();
    operation->call = call;
    operation->references = 1;
    pthread_mutex_init(&operation->lock, NULL);
    return operation;
}

static void release(struct operation *operation)
{
    pthread_mutex_lock(&operation->lock);
    bool last = --operation->references == 0;
    pthread_mutex_unlock(&operation->lock);
    if (!last)
        return;
    if (operation->kind->done)
        operation->kind->done(operation);
    interrupt_free(operation->interrupt);
    pthread_mutex_destroy(&operation->lock);
    free(operation);
}

void operation_wake(struct operation *operation)
{
    pthread_mutex_lock(&operation->lock);
    if (operation->call)
        rpc_call_wake(operation->call);
    pthread_mutex_unlock(&operation->lock);
}

static void finish(struct operation *operation)
{
    pthread_mutex_lock(&operation->lock);
    operation->finished = true;
    if (operation->call)
        rpc_call_wake(operation->call);
    pthread_mutex_unlock(&operation->lock);
}

/* On a thread of the service. */
static void run(void *context)
{
    struct operation *operation = context;

    (void)operation->kind->run(operation, &operation->outcome);
    control_service_forget(operation->service, operation);
    finish(operation);
    release(operation);
}

enum error_code operation_message(void *state, const struct rpc_request *request,
                                  struct error *error)
{
    struct operation *operation = state;

    if (!request)
        return error_set(error, ERROR_INVALID, "Falta la petición");
    enum error_code code = operation->kind->begin(operation, request->message, &operation->outcome);
    if (code == ERROR_NONE) {
        operation->references++; /* no thread has it yet */
        code = control_service_run(operation->service, operation, run, &operation->outcome);
        if (code != ERROR_NONE)
            operation->references--;
    }
    if (code != ERROR_NONE)
        operation->finished = true;
    return ERROR_NONE;
}

enum rpc_step operation_next(void *state, struct rpc_reply *reply, struct error *error)
{
    struct operation *operation = state;
    bool due = false;

    if (operation->replied)
        return RPC_END;
    pthread_mutex_lock(&operation->lock);
    bool finished = operation->finished;
    pthread_mutex_unlock(&operation->lock);
    if (!finished) {
        if (operation->kind->progress &&
            operation->kind->progress(operation, reply, &due, error) != ERROR_NONE)
            return RPC_END;
        return due ? RPC_SEND : RPC_WAIT;
    }
    if (operation->kind->reply(operation, reply, &operation->replied, error) != ERROR_NONE)
        return RPC_END;
    return RPC_SEND;
}

void operation_close(void *state)
{
    struct operation *operation = state;

    pthread_mutex_lock(&operation->lock);
    operation->call = NULL;
    pthread_mutex_unlock(&operation->lock);
    interrupt_raise(operation->interrupt);
    release(operation);
}
