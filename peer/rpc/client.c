#include "peer/rpc/client.h"

#include "common/memory.h"
#include "common/text.h"
#include "peer/rpc/channel.h"
#include "peer/rpc/codec.h"
#include "peer/rpc/server.h"
#include "peer/rpc/status.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* The core's events of one call, each with a tag of its own in the call's own queue. */
enum event { EVENT_STARTED, EVENT_SENT, EVENT_RECEIVED, EVENT_STATUS, EVENT_COUNT };

/* One thread's, but for core and cancelled, which rpc_client_cancel uses. */
struct rpc_client_call {
    struct rpc_channel *channel;
    grpc_call *core;
    grpc_completion_queue *queue;
    int64_t step_timeout_ms;

    char tags[EVENT_COUNT];
    bool pending[EVENT_COUNT]; /* the event will come and was not taken yet */

    bool begun;                 /* our headers are on their way, */
    bool started;               /* and out: the connection stands */
    grpc_byte_buffer *outgoing; /* that goes with them */
    bool asked_headers; /* the server's headers are asked for once, with its first message */
    grpc_metadata_array headers;

    grpc_byte_buffer *incoming; /* where the core puts a message; ours once received is set */
    bool received;              /* incoming is the next message, NULL for the end */
    grpc_byte_buffer *current;  /* what the last rpc_client_receive gave out */
    struct codec_spans spans;

    grpc_status_code status;
    grpc_slice details;
    grpc_metadata_array trailers;

    struct error failure; /* once something failed, everything does, with this */
    atomic_bool cancelled;
};

/* ---- failures ---- */

static enum error_code give_failure(const struct rpc_client_call *call, struct error *error)
{
    if (error)
        *error = call->failure;
    return call->failure.code;
}

static enum error_code fail_cancelled(struct rpc_client_call *call, struct error *error)
{
    (void)error_set(&call->failure, ERROR_CANCELLED, "Cancelado");
    return give_failure(call, error);
}

/* What is wrong already before a step begins. */
static enum error_code check(struct rpc_client_call *call, struct error *error)
{
    if (call->failure.code)
        return give_failure(call, error);
    if (atomic_load(&call->cancelled))
        return fail_cancelled(call, error);
    return ERROR_NONE;
}

/* The core's own texts are chains of causes; the last one is the system's word. */
static const char *last_cause(const char *text)
{
    const char *cause = text;

    for (const char *colon = strstr(text, ": "); colon; colon = strstr(cause, ": "))
        cause = colon + 2;
    return *cause ? cause : text;
}

/* The code that the server added where the status says too little. */
static bool server_code(const struct rpc_client_call *call, enum error_code *code)
{
    for (size_t i = 0; i < call->trailers.count; i++) {
        const grpc_metadata *item = &call->trailers.metadata[i];

        if (grpc_slice_str_cmp(item->key, RPC_ERROR_METADATA) == 0)
            return rpc_status_parse_word((const char *)GRPC_SLICE_START_PTR(item->value),
                                         GRPC_SLICE_LENGTH(item->value), code);
    }
    return false;
}

/* Keeps the server's status, which is not OK, as the call's failure. CANCELLED that nobody here
 * asked for is what a server that stops makes of its calls. */
static enum error_code fail_with_status(struct rpc_client_call *call, struct error *error)
{
    const char *target = rpc_channel_target(call->channel);
    enum error_code code = rpc_status_to_code(call->status);
    char text[ERROR_TEXT_BYTES];
    size_t length = GRPC_SLICE_LENGTH(call->details);
    bool from_server = server_code(call, &code);

    if (length > sizeof text - 1)
        length = sizeof text - 1;
    memcpy(text, GRPC_SLICE_START_PTR(call->details), length);
    text[length] = '\0';
    if (!text_is_utf8(text, length)) /* cut inside a character, or not ours */
        text_clean(memcpy((char[ERROR_TEXT_BYTES]){0}, text, length + 1), text, sizeof text);
    if (!call->started && !from_server)
        rpc_channel_failed(call->channel);
    if (code == ERROR_CANCELLED && !from_server)
        (void)error_set(&call->failure, ERROR_UNREACHABLE, "%s cortó la transferencia", target);
    else if (call->status == GRPC_STATUS_UNAVAILABLE && !from_server && !call->started)
        (void)error_set(&call->failure, code, "No se pudo conectar con %s: %s", target,
                        last_cause(text));
    else if (call->status == GRPC_STATUS_UNAVAILABLE && !from_server)
        (void)error_set(&call->failure, code, "Se cortó la conexión con %s: %s", target,
                        last_cause(text));
    else if (length == 0)
        (void)error_set(&call->failure, code, "%s respondió con el estado gRPC %d", target,
                        (int)call->status);
    else
        (void)error_set(&call->failure, code, "%s", text);
    return give_failure(call, error);
}

/* ---- waiting ---- */

static gpr_timespec step_deadline(const struct rpc_client_call *call)
{
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                        gpr_time_from_millis(call->step_timeout_ms, GPR_TIMESPAN));
}

/* Takes the event if it comes in time. */
static bool take_event(struct rpc_client_call *call, enum event event, gpr_timespec deadline,
                       bool *success)
{
    grpc_event got = grpc_completion_queue_pluck(call->queue, &call->tags[event], deadline, NULL);

    if (got.type != GRPC_OP_COMPLETE)
        return false;
    call->pending[event] = false;
    *success = got.success;
    return true;
}

/* Takes the event however long it takes: only after a cancellation, when all come at once. */
static void settle(struct rpc_client_call *call, enum event event)
{
    bool success;

    while (call->pending[event])
        (void)take_event(call, event, gpr_inf_future(GPR_CLOCK_MONOTONIC), &success);
}

/* A wait that took too long: the call is over, and what the core used of ours is ours again. */
static enum error_code give_up(struct rpc_client_call *call, enum event event, struct error *error)
{
    grpc_call_cancel(call->core, NULL);
    settle(call, event);
    if (atomic_load(&call->cancelled))
        return fail_cancelled(call, error);
    (void)error_set(&call->failure, ERROR_TIMEOUT, "%s no responde",
                    rpc_channel_target(call->channel));
    return give_failure(call, error);
}

static enum error_code wait_event(struct rpc_client_call *call, enum event event, bool *success,
                                  struct error *error)
{
    if (!take_event(call, event, step_deadline(call), success))
        return give_up(call, event, error);
    if (atomic_load(&call->cancelled))
        return fail_cancelled(call, error);
    return ERROR_NONE;
}

/* A batch that did not start has no event to wait for. */
static enum error_code start(struct rpc_client_call *call, enum event event, const grpc_op *ops,
                             size_t count, struct error *error)
{
    grpc_call_error result =
        grpc_call_start_batch(call->core, ops, count, &call->tags[event], NULL);

    if (result != GRPC_CALL_OK) {
        (void)error_set(&call->failure, ERROR_IO, "gRPC: %s", grpc_call_error_to_string(result));
        return give_failure(call, error);
    }
    call->pending[event] = true;
    return ERROR_NONE;
}

/* Waits for the end of the call. ERROR_NONE: its status is OK. */
static enum error_code wait_status(struct rpc_client_call *call, struct error *error)
{
    bool success;

    if (call->pending[EVENT_STATUS] && wait_event(call, EVENT_STATUS, &success, error))
        return call->failure.code;
    if (call->status != GRPC_STATUS_OK)
        return fail_with_status(call, error);
    return ERROR_NONE;
}

/* Waits until the connection stands and our headers are out. */
static enum error_code wait_started(struct rpc_client_call *call, struct error *error)
{
    /* No "wait for ready": a dead address is an error at once. */
    const grpc_op headers = {.op = GRPC_OP_SEND_INITIAL_METADATA};
    bool success = true;

    if (!call->begun && start(call, EVENT_STARTED, &headers, 1, error))
        return call->failure.code;
    call->begun = true;
    if (!call->pending[EVENT_STARTED])
        return ERROR_NONE;
    if (wait_event(call, EVENT_STARTED, &success, error))
        return call->failure.code;
    call->started = success;
    if (success)
        return ERROR_NONE;
    if (!wait_status(call, error)) {
        (void)error_set(&call->failure, ERROR_IO, "gRPC: la llamada no empezó");
        return give_failure(call, error);
    }
    return call->failure.code;
}

/* ---- receiving ---- */

/* Lets the core receive the next message, if it does not already. */
static enum error_code ask_for_message(struct rpc_client_call *call, struct error *error)
{
    grpc_op ops[2] = {
        {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &call->incoming},
        {.op = GRPC_OP_RECV_INITIAL_METADATA,
         .data.recv_initial_metadata.recv_initial_metadata = &call->headers},
    };

    if (call->received || call->pending[EVENT_RECEIVED])
        return ERROR_NONE;
    if (start(call, EVENT_RECEIVED, ops, call->asked_headers ? 1 : 2, error))
        return call->failure.code;
    call->asked_headers = true;
    return ERROR_NONE;
}

/* A message that did not come whole is no message; the status says why. */
static void note_received(struct rpc_client_call *call, bool success)
{
    if (!success) {
        grpc_byte_buffer_destroy(call->incoming);
        call->incoming = NULL;
    }
    call->received = true;
}

static void drop_current(struct rpc_client_call *call)
{
    codec_spans_done(&call->spans);
    grpc_byte_buffer_destroy(call->current);
    call->current = NULL;
}

enum error_code rpc_client_receive(struct rpc_client_call *call, struct rpc_response *response,
                                   bool *end, struct error *error)
{
    bool success;

    *end = false;
    drop_current(call);
    if (check(call, error) || wait_started(call, error) || ask_for_message(call, error))
        return call->failure.code;
    if (!call->received) {
        if (wait_event(call, EVENT_RECEIVED, &success, error))
            return call->failure.code;
        note_received(call, success);
    }
    if (!call->incoming) { /* received stays set: the end is the end */
        *end = true;
        return wait_status(call, error);
    }
    call->received = false;
    call->current = take_pointer(&call->incoming);
    codec_spans_init(&call->spans, call->current);
    *response = (struct rpc_response){
        .spans = call->spans.items, .span_count = call->spans.count, .bytes = call->spans.bytes};
    return ERROR_NONE;
}

struct rpc_held {
    grpc_byte_buffer *buffer;
    struct codec_spans spans;
};

struct rpc_held *rpc_client_hold(struct rpc_client_call *call, struct rpc_response *response)
{
    struct rpc_held *held = memory_new(1, sizeof *held);

    held->buffer = take_pointer(&call->current);
    codec_spans_done(&call->spans);
    codec_spans_init(&held->spans, held->buffer);
    *response = (struct rpc_response){
        .spans = held->spans.items, .span_count = held->spans.count, .bytes = held->spans.bytes};
    return held;
}

void rpc_held_free(struct rpc_held *held)
{
    if (!held)
        return;
    codec_spans_done(&held->spans);
    grpc_byte_buffer_destroy(held->buffer);
    free(held);
}

enum error_code rpc_response_unpack(const struct rpc_response *response,
                                    const ProtobufCMessageDescriptor *descriptor,
                                    ProtobufCMessage **message, struct error *error)
{
    if (codec_unpack(response->spans, response->span_count, descriptor, message, error)) {
        if (error)
            error->code = ERROR_CORRUPT; /* the other side's fault, not the caller's */
        return ERROR_CORRUPT;
    }
    return ERROR_NONE;
}

enum error_code rpc_client_code_of(uint64_t status)
{
    enum error_code code = status <= GRPC_STATUS_UNAUTHENTICATED
                               ? rpc_status_to_code((grpc_status_code)status)
                               : ERROR_IO;

    return code == ERROR_UNREACHABLE ? ERROR_BUSY : code;
}

/* ---- sending ---- */

/* Looks, without waiting, whether the server has ended the call while we were sending. An answer
 * that came is kept for rpc_client_receive. */
static enum error_code look_for_end(struct rpc_client_call *call, bool *ended, struct error *error)
{
    gpr_timespec now = gpr_inf_past(GPR_CLOCK_MONOTONIC);
    bool success;

    if (ask_for_message(call, error))
        return call->failure.code;
    if (!call->received) {
        if (!take_event(call, EVENT_RECEIVED, now, &success))
            return ERROR_NONE;
        note_received(call, success);
    }
    if (call->pending[EVENT_STATUS] && !take_event(call, EVENT_STATUS, now, &success))
        return ERROR_NONE;
    *ended = true;
    return wait_status(call, error);
}

/* A message could not be sent: the call is over, and either an answer or the status says why. */
static enum error_code find_end(struct rpc_client_call *call, bool *ended, struct error *error)
{
    bool success;

    *ended = true;
    if (ask_for_message(call, error))
        return call->failure.code;
    if (!call->received) {
        if (wait_event(call, EVENT_RECEIVED, &success, error))
            return call->failure.code;
        note_received(call, success);
    }
    return call->incoming ? ERROR_NONE : wait_status(call, error);
}

static enum error_code send_op(struct rpc_client_call *call, const grpc_op *op, bool *ended,
                               struct error *error)
{
    bool success;

    if (start(call, EVENT_SENT, op, 1, error) || wait_event(call, EVENT_SENT, &success, error))
        return call->failure.code;
    return success ? look_for_end(call, ended, error) : find_end(call, ended, error);
}

enum error_code rpc_client_send(struct rpc_client_call *call, const ProtobufCMessage *message,
                                void *payload, size_t payload_bytes, bool *ended,
                                struct error *error)
{
    auto_free void *owned = payload;
    grpc_byte_buffer *buffer = NULL;
    grpc_op op = {.op = GRPC_OP_SEND_MESSAGE};
    enum error_code code;

    *ended = false;
    if (check(call, error) || wait_started(call, error) || look_for_end(call, ended, error))
        return call->failure.code;
    if (*ended)
        return ERROR_NONE;
    code = codec_pack(message, take_pointer(&owned), payload_bytes, RPC_MAX_MESSAGE_BYTES, &buffer,
                      error);
    if (code)
        return code;
    op.data.send_message.send_message = buffer;
    code = send_op(call, &op, ended, error);
    grpc_byte_buffer_destroy(buffer);
    return code;
}

enum error_code rpc_client_send_end(struct rpc_client_call *call, struct error *error)
{
    grpc_op op = {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};
    bool ended = false;

    if (check(call, error) || wait_started(call, error))
        return call->failure.code;
    return send_op(call, &op, &ended, error);
}

enum error_code rpc_client_send_only(struct rpc_client_call *call, const ProtobufCMessage *message,
                                     struct error *error)
{
    grpc_op ops[] = {{.op = GRPC_OP_SEND_INITIAL_METADATA},
                     {.op = GRPC_OP_SEND_MESSAGE},
                     {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT}};

    assert(!call->begun);
    if (check(call, error))
        return call->failure.code;
    enum error_code code =
        codec_pack(message, NULL, 0, RPC_MAX_MESSAGE_BYTES, &call->outgoing, error);
    if (code)
        return code;
    ops[1].data.send_message.send_message = call->outgoing;
    call->begun = true;
    return start(call, EVENT_STARTED, ops, ARRAY_LENGTH(ops), error);
}

/* ---- calls ---- */

enum error_code rpc_client_start(struct rpc_channel *channel, const char *method,
                                 int64_t step_timeout_ms, struct rpc_client_call **call_out,
                                 struct error *error)
{
    struct rpc_client_call *call = memory_new(1, sizeof *call);
    grpc_op status = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT,
                      .data.recv_status_on_client = {.status = &call->status,
                                                     .status_details = &call->details,
                                                     .trailing_metadata = &call->trailers}};

    call->channel = channel;
    call->step_timeout_ms = step_timeout_ms;
    call->details = grpc_empty_slice();
    grpc_metadata_array_init(&call->headers);
    grpc_metadata_array_init(&call->trailers);
    codec_spans_done(&call->spans);
    call->queue = grpc_completion_queue_create_for_pluck(NULL);
    call->core = rpc_channel_call(channel, call->queue, method);
    if (start(call, EVENT_STATUS, &status, 1, error)) {
        enum error_code code = call->failure.code;

        rpc_client_free(call);
        return code;
    }
    *call_out = call;
    return ERROR_NONE;
}

void rpc_client_set_step_timeout(struct rpc_client_call *call, int64_t step_timeout_ms)
{
    call->step_timeout_ms = step_timeout_ms;
}

void rpc_client_cancel(struct rpc_client_call *call)
{
    atomic_store(&call->cancelled, true);
    grpc_call_cancel(call->core, NULL);
}

void rpc_client_free(struct rpc_client_call *call)
{
    if (!call)
        return;
    if (call->pending[EVENT_STATUS])
        grpc_call_cancel(call->core, NULL);
    for (int event = 0; event < EVENT_COUNT; event++)
        settle(call, event);
    grpc_call_unref(call->core);
    grpc_completion_queue_shutdown(call->queue);
    while (grpc_completion_queue_pluck(call->queue, NULL, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL)
               .type != GRPC_QUEUE_SHUTDOWN)
        ;
    grpc_completion_queue_destroy(call->queue);
    drop_current(call);
    grpc_byte_buffer_destroy(call->incoming);
    grpc_byte_buffer_destroy(call->outgoing);
    grpc_metadata_array_destroy(&call->headers);
    grpc_metadata_array_destroy(&call->trailers);
    grpc_slice_unref(call->details);
    free(call);
}

enum error_code rpc_client_receive_only(struct rpc_client_call *call,
                                        const ProtobufCMessageDescriptor *descriptor,
                                        ProtobufCMessage **response, struct error *error)
{
    struct rpc_response received;
    bool end = false;
    enum error_code code = rpc_client_receive(call, &received, &end, error);

    if (!code && end)
        code = error_set(error, ERROR_CORRUPT, "%s no envió respuesta",
                         rpc_channel_target(call->channel));
    if (!code)
        code = rpc_response_unpack(&received, descriptor, response, error);
    if (code)
        return code;
    code = rpc_client_receive(call, &received, &end, error);
    if (!code && !end)
        code = error_set(error, ERROR_CORRUPT, "%s envió dos respuestas",
                         rpc_channel_target(call->channel));
    if (code) {
        protobuf_c_message_free_unpacked(*response, NULL);
        *response = NULL;
    }
    return code;
}
