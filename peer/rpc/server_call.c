#include "peer/rpc/server_call.h"

#include "common/memory.h"
#include "common/text.h"
#include "common/thread_order.h"
#include "peer/rpc/codec.h"
#include "peer/rpc/connections.h"
#include "peer/rpc/status.h"

#include <assert.h>
#include <grpc/support/alloc.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct rpc_reply {
    grpc_byte_buffer *buffer;
    size_t limit_bytes;
};

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

/* ---- life ---- */

static struct rpc_call *call_new(struct call_engine *engine)
{
    struct rpc_call *call = memory_new(1, sizeof *call);

    call->engine = engine;
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

static void call_free(struct rpc_call *call)
{
    struct call_engine *engine = call->engine;

    grpc_byte_buffer_destroy(call->received);
    grpc_byte_buffer_destroy(call->reply.buffer);
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

static void call_reference(struct rpc_call *call)
{
    pthread_mutex_lock(&call->lock);
    call->references++;
    pthread_mutex_unlock(&call->lock);
}

static void call_release(struct rpc_call *call)
{
    unsigned left;

    pthread_mutex_lock(&call->lock);
    left = --call->references;
    pthread_mutex_unlock(&call->lock);
    if (left == 0)
        call_free(call);
}

/* ---- batches ---- */

/* Starts a batch; when that fails no event will come, so the reference goes back. */
static bool call_start(struct rpc_call *call, enum operation_kind kind, const grpc_op *ops,
                       size_t count)
{
    call_reference(call);
    thread_order_before(&call->operations[kind]);
    if (grpc_call_start_batch(call->core, ops, count, &call->operations[kind], NULL) ==
        GRPC_CALL_OK)
        return true;
    call_release(call); /* never the last: the event that brought us here holds one */
    return false;
}

/* Leaves the call: nothing drives it after this. */
static void call_end(struct rpc_call *call)
{
    void *state = take_pointer(&call->state);

    if (state)
        call->method->close(state);
}

/* Ends a call that cannot go on: OPERATION_CLOSED then comes by itself. */
static void call_break(struct rpc_call *call)
{
    grpc_call_cancel(call->core, NULL);
    call_end(call);
}

static grpc_op send_metadata_op(struct rpc_call *call)
{
    call->metadata_sent = true;
    return (grpc_op){.op = GRPC_OP_SEND_INITIAL_METADATA};
}

static void call_read(struct rpc_call *call)
{
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &call->received};

    if (!call_start(call, OPERATION_READ, &op, 1))
        call_break(call);
}

static void call_send(struct rpc_call *call)
{
    grpc_op ops[2];
    size_t count = 0;

    if (!call->metadata_sent)
        ops[count++] = send_metadata_op(call);
    ops[count++] =
        (grpc_op){.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = call->reply.buffer};
    if (!call_start(call, OPERATION_SEND, ops, count))
        call_break(call);
}

/* Sends the reply, if there is one, and the status. */
static void call_finish(struct rpc_call *call, const struct error *error)
{
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
                  .data.send_status_from_server = {.status = rpc_status_of(error->code),
                                                   .status_details = &text,
                                                   .trailing_metadata = &word,
                                                   .trailing_metadata_count =
                                                       rpc_status_needs_word(error->code) ? 1 : 0}};
    if (!call_start(call, OPERATION_FINISH, ops, count))
        call_break(call);
    grpc_slice_unref(text);
}

static void call_fail(struct rpc_call *call, enum error_code code, const char *text)
{
    struct error error;

    (void)error_set(&error, code, "%s", text);
    call_finish(call, &error);
}

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

static void call_drop_reply(struct rpc_call *call)
{
    grpc_byte_buffer_destroy(call->reply.buffer);
    call->reply.buffer = NULL;
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
                call_drop_reply(call);
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
        call_drop_reply(call);
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

/* The core knows a connection by its descriptor, "fd:12". That stays open as long as the call is
 * there, so it is no other connection's. */
static void find_peer(struct rpc_call *call)
{
    static const char prefix[] = "fd:";
    char *core_name = grpc_call_get_peer(call->core);
    long long descriptor;

    if (core_name && strncmp(core_name, prefix, sizeof prefix - 1) == 0 &&
        text_to_integer(core_name + sizeof prefix - 1, 0, INT_MAX, &descriptor))
        connections_name(call->engine->connections, (int)descriptor, call->peer);
    gpr_free(core_name);
}

static void call_open(struct rpc_call *call)
{
    find_peer(call);
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
    if (!call_start(call, OPERATION_CLOSED, &op, 1))
        call_break(call);
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
    call_drop_reply(call);
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
        on_read(call, success);
        break;
    case OPERATION_SEND:
        on_send(call, success);
        break;
    case OPERATION_FINISH:
        call_drop_reply(call);
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

enum error_code rpc_reply_pack(struct rpc_reply *reply, const ProtobufCMessage *message,
                               struct error *error)
{
    return rpc_reply_pack_payload(reply, message, NULL, 0, error);
}

enum error_code rpc_reply_pack_payload(struct rpc_reply *reply, const ProtobufCMessage *message,
                                       void *payload, size_t payload_bytes, struct error *error)
{
    assert(!reply->buffer);
    return codec_pack(message, payload, payload_bytes, reply->limit_bytes, &reply->buffer, error);
}

/* ---- messages that many replies are ---- */

struct rpc_packed {
    grpc_byte_buffer *buffer; /* copies have the same slices, which the core counts the owners of */
};

static struct rpc_packed *packed_of(grpc_byte_buffer *buffer)
{
    struct rpc_packed *packed = memory_new(1, sizeof *packed);

    packed->buffer = buffer;
    return packed;
}

enum error_code rpc_packed_new(const ProtobufCMessage *message, size_t limit_bytes,
                               struct rpc_packed **packed, struct error *error)
{
    grpc_byte_buffer *buffer = NULL;
    enum error_code code = codec_pack(message, NULL, 0, limit_bytes, &buffer, error);

    if (!code)
        *packed = packed_of(buffer);
    return code;
}

struct rpc_packed *rpc_packed_share(const struct rpc_packed *packed)
{
    return packed_of(grpc_byte_buffer_copy(packed->buffer));
}

/* What was packed without a payload is one slice. */
bool rpc_packed_equal(const struct rpc_packed *left, const struct rpc_packed *right)
{
    return grpc_slice_eq(left->buffer->data.raw.slice_buffer.slices[0],
                         right->buffer->data.raw.slice_buffer.slices[0]);
}

void rpc_packed_free(struct rpc_packed *packed)
{
    if (!packed)
        return;
    grpc_byte_buffer_destroy(packed->buffer);
    free(packed);
}

void rpc_reply_set_packed(struct rpc_reply *reply, const struct rpc_packed *packed)
{
    assert(!reply->buffer);
    reply->buffer = grpc_byte_buffer_copy(packed->buffer);
}
