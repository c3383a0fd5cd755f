#include "peer/rpc/call_operations.h"

#include "common/memory.h"
#include "common/thread_order.h"
#include "peer/rpc/status.h"

#include <stdlib.h>

/* Seen by users, as all texts of statuses. */
#define READ_TEXT  "No llegan datos: la llamada se cancela"
#define WRITE_TEXT "El receptor no lee los datos"

/* ---- life ---- */

struct rpc_call *call_new(struct call_engine *engine)
{
    struct rpc_call *call = memory_new(1, sizeof *call);

    call->engine = engine;
    call->descriptor = -1;
    grpc_call_details_init(&call->details);
    grpc_metadata_array_init(&call->metadata);
    for (int kind = 0; kind < OPERATION_KINDS; kind++)
        call->operations[kind] = (struct operation){.kind = kind, .call = call};
    pthread_mutex_init(&call->lock, NULL);

    pthread_mutex_lock(&engine->lock);
    engine->calls++;
    pthread_mutex_unlock(&engine->lock);
    return call;
}

static void leave_place(struct rpc_call *call)
{
    struct call_engine *engine = call->engine;

    if (call->descriptor >= 0)
        connections_call_ends(engine->connections, call->descriptor, engine->now_ms);
    if (call->admitted)
        host_counts_give(engine->calls_by_host, &call->host);
}

static void call_free(struct rpc_call *call)
{
    struct call_engine *engine = call->engine;

    timeout_clear(&call->timeout);
    leave_place(call);
    grpc_byte_buffer_destroy(call->received);
    reply_drop(&call->reply);
    grpc_call_details_destroy(&call->details);
    grpc_metadata_array_destroy(&call->metadata);
    if (call->core)
        grpc_call_unref(call->core);
    pthread_mutex_destroy(&call->lock);
    free(call);

    pthread_mutex_lock(&engine->lock);
    if (--engine->calls == 0)
        pthread_cond_broadcast(&engine->changed);
    pthread_mutex_unlock(&engine->lock);
}

void call_reference(struct rpc_call *call)
{
    pthread_mutex_lock(&call->lock);
    call->references++;
    pthread_mutex_unlock(&call->lock);
}

void call_release(struct rpc_call *call)
{
    unsigned left;

    pthread_mutex_lock(&call->lock);
    left = --call->references;
    pthread_mutex_unlock(&call->lock);
    if (left == 0)
        call_free(call);
}

/* ---- batches ---- */

bool call_start(struct rpc_call *call, enum operation_kind kind, const grpc_op *ops, size_t count)
{
    call_reference(call);
    thread_order_before(&call->operations[kind]);
    if (grpc_call_start_batch(call->core, ops, count, &call->operations[kind], NULL) ==
        GRPC_CALL_OK)
        return true;
    call_release(call); /* never the last: the event that brought us here holds one */
    return false;
}

/* The operation that was started may take so long; its event ends that. */
static void call_limit(struct rpc_call *call, int64_t time_ms, const char *late_text)
{
    call->late_text = late_text;
    timeout_set(&call->engine->timeouts, &call->timeout, call->engine->now_ms, time_ms);
}

void call_end(struct rpc_call *call)
{
    void *state = take_pointer(&call->state);

    if (state)
        call->method->close(state);
}

void call_break(struct rpc_call *call)
{
    grpc_call_cancel(call->core, NULL);
    call_end(call);
}

static grpc_op send_metadata_op(struct rpc_call *call)
{
    call->metadata_sent = true;
    return (grpc_op){.op = GRPC_OP_SEND_INITIAL_METADATA};
}

/* Messages of streams of them (files) are large, and lines slow. */
static int64_t read_time_ms(const struct rpc_call *call)
{
    const struct rpc_times *times = call->engine->times;

    return call->begun || call->method->raw ? times->read_ms : times->request_ms;
}

void call_read(struct rpc_call *call)
{
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &call->received};

    if (call_start(call, OPERATION_READ, &op, 1))
        call_limit(call, read_time_ms(call), READ_TEXT);
    else
        call_break(call);
}

/* Before the batch: it takes the reply's bytes. */
static int64_t write_time_ms(const struct rpc_call *call)
{
    const struct rpc_times *times = call->engine->times;

    if (!call->admitted)
        return times->refuse_ms;
    if (times->write_ms == TIMEOUT_NEVER || !call->reply.buffer)
        return times->write_ms;
    return times->write_ms +
           (int64_t)grpc_byte_buffer_length(call->reply.buffer) * 1000 / times->write_bytes_s;
}

void call_send(struct rpc_call *call)
{
    int64_t time_ms = write_time_ms(call);
    grpc_op ops[2];
    size_t count = 0;

    if (!call->metadata_sent)
        ops[count++] = send_metadata_op(call);
    ops[count++] =
        (grpc_op){.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = call->reply.buffer};
    if (call_start(call, OPERATION_SEND, ops, count))
        call_limit(call, time_ms, WRITE_TEXT);
    else
        call_break(call);
}

/* Foreign clients see RESOURCE_EXHAUSTED when they have too many calls; the word beside it tells
 * ours that later may work. */
static grpc_status_code status_of(const struct rpc_call *call, const struct error *error)
{
    return call->admitted ? rpc_status_of(error->code) : GRPC_STATUS_RESOURCE_EXHAUSTED;
}

void call_finish(struct rpc_call *call, const struct error *error)
{
    int64_t time_ms = write_time_ms(call);
    grpc_slice text = grpc_slice_from_copied_string(error->code ? error->text : "");
    grpc_metadata word = {.key = grpc_slice_from_static_string(RPC_ERROR_METADATA),
                          .value = grpc_slice_from_static_string(rpc_status_word(error->code))};
    grpc_op ops[3];
    size_t count = 0;

    if (!call->metadata_sent)
        ops[count++] = send_metadata_op(call);
    if (call->reply.buffer)
        ops[count++] = (grpc_op){.op = GRPC_OP_SEND_MESSAGE,
                                 .data.send_message.send_message = call->reply.buffer};
    ops[count++] =
        (grpc_op){.op = GRPC_OP_SEND_STATUS_FROM_SERVER,
                  .data.send_status_from_server = {.status = status_of(call, error),
                                                   .status_details = &text,
                                                   .trailing_metadata = &word,
                                                   .trailing_metadata_count =
                                                       rpc_status_needs_word(error->code) ? 1 : 0}};
    if (call_start(call, OPERATION_FINISH, ops, count))
        call_limit(call, time_ms, WRITE_TEXT);
    else
        call_break(call);
    grpc_slice_unref(text);
}

void call_fail(struct rpc_call *call, enum error_code code, const char *text)
{
    struct error error;

    (void)error_set(&error, code, "%s", text);
    call_finish(call, &error);
}
