#include "peer/rpc/server_call.h"

#include "common/memory.h"
#include "common/text.h"
#include "common/thread_order.h"
#include "peer/rpc/call_operations.h"
#include "peer/rpc/codec.h"
#include "peer/rpc/status.h"

#include <assert.h>
#include <grpc/support/alloc.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>

/* Seen by users, as all texts of statuses. */
#define FULL_TEXT "Demasiadas llamadas a la vez a este peer: inténtelo más tarde"

/* ---- the steps ---- */

/* RPC_WAIT: false when there is a reason to go on at once. */
static bool call_wait(struct rpc_call *call)
{
    bool wait;

    pthread_mutex_lock(&call->lock);
    wait = !call->woken && !atomic_load(&call->cancelled);
    call->woken = false;
    call->waiting = wait;
    pthread_mutex_unlock(&call->lock);
    return wait;
}

/* Asks the method what comes now, until something is under way. */
static void call_drive(struct rpc_call *call)
{
    while (!atomic_load(&call->cancelled)) {
        struct error error = {.code = ERROR_NONE};

        switch (call->method->next(call->state, &call->reply, &error)) {
        case RPC_READ:
            call_read(call);
            return;
        case RPC_SEND:
            assert(call->reply.buffer);
            call_send(call);
            return;
        case RPC_WAIT:
            if (call_wait(call))
                return;
            break;
        case RPC_END:
            if (error.code)
                reply_drop(&call->reply);
            call_finish(call, &error);
            return;
        }
    }
    call_end(call);
}

static void unary(struct rpc_call *call, const struct rpc_request *request)
{
    struct error error = {.code = ERROR_NONE};
    enum error_code code;

    if (!request) {
        call_fail(call, ERROR_INVALID, "Falta el mensaje de la petición");
        return;
    }
    code = call->method->call(call->service, request->message, &call->reply, &error);
    if (code) {
        error.code = code;
        reply_drop(&call->reply);
    } else {
        error.code = ERROR_NONE;
        assert(call->reply.buffer);
    }
    call_finish(call, &error);
}

static void deliver(struct rpc_call *call, const struct rpc_request *request)
{
    struct error error = {.code = ERROR_NONE};
    enum error_code code;

    if (call->method->call) {
        unary(call, request);
        return;
    }
    code = call->method->message(call->state, request, &error);
    if (code) {
        error.code = code;
        call_finish(call, &error);
        return;
    }
    call_drive(call);
}

static void deliver_unpacked(struct rpc_call *call, const struct codec_spans *spans)
{
    ProtobufCMessage *message = NULL;
    struct rpc_request request = {.spans = spans->items, .span_count = spans->count};
    struct error error;

    if (codec_unpack(spans->items, spans->count, call->method->request, &message, &error)) {
        call_finish(call, &error);
        return;
    }
    request.message = message;
    deliver(call, &request);
    protobuf_c_message_free_unpacked(message, NULL);
}

/* ---- events ---- */

static bool find_method(struct rpc_call *call)
{
    const struct call_engine *engine = call->engine;
    const char *path = (const char *)GRPC_SLICE_START_PTR(call->details.method);
    size_t length = GRPC_SLICE_LENGTH(call->details.method);

    for (size_t i = 0; i < engine->service_count; i++)
        for (size_t j = 0; j < engine->services[i].method_count; j++) {
            const struct rpc_method *method = &engine->services[i].methods[j];

            if (strlen(method->path) == length && memcmp(method->path, path, length) == 0) {
                call->method = method;
                call->service = engine->services[i].service;
                return true;
            }
        }
    return false;
}

/* The core knows a connection by its descriptor, "fd:12". */
static void find_peer(struct rpc_call *call)
{
    static const char prefix[] = "fd:";
    char *core_name = grpc_call_get_peer(call->core);
    long long descriptor;

    if (core_name && strncmp(core_name, prefix, sizeof prefix - 1) == 0 &&
        text_to_integer(core_name + sizeof prefix - 1, 0, INT_MAX, &descriptor) &&
        connections_call_begins(call->engine->connections, (int)descriptor, call->peer))
        call->descriptor = (int)descriptor;
    gpr_free(core_name);
}

static bool take_place(struct rpc_call *call)
{
    call->host = host_key_of(call->peer);
    call->admitted =
        host_counts_take(call->engine->calls_by_host, &call->host) == ADMISSION_GRANTED;
    return call->admitted;
}

static void call_open(struct rpc_call *call)
{
    call->reply.limit_bytes =
        call->method->max_reply_bytes ? call->method->max_reply_bytes : RPC_MAX_MESSAGE_BYTES;
    if (!call->method->call)
        call->state = call->method->open(call->service, call);
    call_read(call);
}

static void on_accept(struct rpc_call *call, bool success)
{
    grpc_op op = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER,
                  .data.recv_close_on_server.cancelled = &call->core_cancelled};

    if (!success) /* the server is shutting down */
        return;
    call_request_next(call->engine);
    if (!call_start(call, OPERATION_CLOSED, &op, 1)) {
        call_break(call);
        return;
    }
    find_peer(call);
    if (!take_place(call))
        call_fail(call, ERROR_BUSY, FULL_TEXT);
    else if (find_method(call))
        call_open(call);
    else
        call_fail(call, ERROR_UNSUPPORTED, "Método desconocido");
}

/* A missing message is the end of the requests only when nothing went wrong: a sender that has
 * vanished must not look like one that is done. */
static void on_read(struct rpc_call *call, bool success)
{
    grpc_byte_buffer *received = take_pointer(&call->received);
    struct codec_spans spans;

    call->begun = true;
    if (!success || grpc_call_failed_before_recv_message(call->core) ||
        atomic_load(&call->cancelled)) {
        grpc_byte_buffer_destroy(received);
        call_break(call);
        return;
    }
    if (!received) {
        deliver(call, NULL);
        return;
    }
    codec_spans_init(&spans, received);
    if (call->method->raw)
        deliver(call, &(struct rpc_request){.spans = spans.items, .span_count = spans.count});
    else
        deliver_unpacked(call, &spans);
    codec_spans_done(&spans);
    grpc_byte_buffer_destroy(received);
}

static void on_send(struct rpc_call *call, bool success)
{
    reply_drop(&call->reply);
    if (success)
        call_drive(call);
    else
        call_break(call);
}

static void on_closed(struct rpc_call *call)
{
    bool was_waiting;

    pthread_mutex_lock(&call->lock);
    if (call->core_cancelled)
        atomic_store(&call->cancelled, true);
    was_waiting = call->waiting;
    call->waiting = false;
    pthread_mutex_unlock(&call->lock);
    if (was_waiting)
        call_end(call);
}

void call_request_next(struct call_engine *engine)
{
    struct rpc_call *call = call_new(engine);

    call_reference(call);
    thread_order_before(&call->operations[OPERATION_ACCEPT]);
    if (grpc_server_request_call(engine->core, &call->core, &call->details, &call->metadata,
                                 engine->queue, engine->queue,
                                 &call->operations[OPERATION_ACCEPT]) != GRPC_CALL_OK)
        call_release(call);
}

void call_handle(struct operation *operation, bool success)
{
    struct rpc_call *call = operation->call;

    switch (operation->kind) {
    case OPERATION_ACCEPT:
        on_accept(call, success);
        break;
    case OPERATION_READ:
        timeout_clear(&call->timeout);
        on_read(call, success);
        break;
    case OPERATION_SEND:
        timeout_clear(&call->timeout);
        on_send(call, success);
        break;
    case OPERATION_FINISH:
        timeout_clear(&call->timeout);
        reply_drop(&call->reply);
        call_end(call);
        break;
    case OPERATION_WAKE:
        call_drive(call);
        break;
    case OPERATION_CLOSED:
        on_closed(call);
        break;
    case OPERATION_SHUTDOWN:
    case OPERATION_KINDS:
        assert(!"no event of a call");
    }
    call_release(call);
}

/* The event of what was under way comes then, without success. */
void call_expired(struct timeout *timeout)
{
    struct rpc_call *call =
        (struct rpc_call *)((char *)timeout - offsetof(struct rpc_call, timeout));

    rpc_call_abort(call, ERROR_TIMEOUT, call->late_text);
}

/* ---- what handlers call ---- */

void rpc_call_wake(struct rpc_call *call)
{
    struct operation *wake = &call->operations[OPERATION_WAKE];
    grpc_call *core = call->core;
    bool post;

    pthread_mutex_lock(&call->lock);
    post = call->waiting;
    call->waiting = false;
    call->woken = !post;
    if (post)
        call->references++;
    pthread_mutex_unlock(&call->lock);
    if (!post)
        return;
    thread_order_before(wake);
    /* An empty batch is the core's way to put an event into a call's queue from any thread. Once it
     * is there the call may end on its loop, so nothing of it is touched any more. */
    if (grpc_call_start_batch(core, NULL, 0, wake, NULL) != GRPC_CALL_OK)
        assert(!"an empty batch always starts");
}

void rpc_call_abort(struct rpc_call *call, enum error_code code, const char *text)
{
    grpc_call *core = call->core;

    thread_order_before(&call->operations[OPERATION_CLOSED]); /* the event that this makes */
    (void)grpc_call_cancel_with_status(core, rpc_status_of(code), text, NULL);
}

const char *rpc_call_peer(const struct rpc_call *call)
{
    return call->peer;
}
