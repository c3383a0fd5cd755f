/*
 * The gRPC engine and the client calls, against each other in one process, over loopback and over a
 * Unix socket. Messages are those of peer.proto; the methods are made for the tests.
 */
#include "peer/rpc/client.h"
#include "peer/rpc/server.h"
#include "proto/peer.pb-c.h"
#include "unary.h"
#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#define STEP_MS 20000
/* Two seconds is the promise; a busy machine under a sanitizer takes longer. */
#define STOP_MS   5000
#define BIG_BYTES ((size_t)256 * 1024)

#define ECHO    "/test.Engine/Echo"
#define FAIL    "/test.Engine/Fail"
#define BIG     "/test.Engine/Big"
#define TALK    "/test.Engine/Talk"
#define FLOOD   "/test.Engine/Flood"
#define COUNT   "/test.Engine/Count"
#define WAITING "/test.Engine/Wait"

struct world {
    char folder[UNIT_PATH_BYTES];
    char target[UNIT_PATH_BYTES + 8];
    struct rpc_server *server;
    struct rpc_channel *channel;

    atomic_int opened, closed;
    atomic_int sent; /* replies of Flood */
    _Atomic(struct rpc_call *) waiting;
    _Atomic(struct rpc_call *) last; /* that was opened */
    atomic_bool wake_early;          /* Wait wakes itself before it waits */
    char peer[128];                  /* of the last Talk */
};

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- the methods ---- */

static void set_bytes(ProtobufCBinaryData *field, const void *data, size_t length)
{
    field->data = (uint8_t *)(uintptr_t)data;
    field->len = length;
}

static enum error_code echo(void *service, const ProtobufCMessage *request, struct rpc_reply *reply,
                            struct error *error)
{
    const Peer__DownloadRequest *message = (const Peer__DownloadRequest *)request;
    Peer__UploadResponse response = PEER__UPLOAD_RESPONSE__INIT;
    char text[1000];

    (void)service;
    snprintf(text, sizeof text, "%.*s", (int)message->filename.len,
             (const char *)message->filename.data);
    response.message = text;
    return rpc_reply_pack(reply, &response.base, error);
}

/* The name's first byte is the code. */
static enum error_code refuse(void *service, const ProtobufCMessage *request,
                              struct rpc_reply *reply, struct error *error)
{
    const Peer__DownloadRequest *message = (const Peer__DownloadRequest *)request;

    (void)service;
    (void)reply;
    return error_set(error, (enum error_code)message->filename.data[0], "falló: año %%");
}

static enum error_code big(void *service, const ProtobufCMessage *request, struct rpc_reply *reply,
                           struct error *error)
{
    Peer__Chunk chunk = PEER__CHUNK__INIT;
    size_t length =
        (size_t)atoll((const char *)((const Peer__DownloadRequest *)request)->filename.data);
    void *payload = calloc(1, length);

    (void)service;
    set_bytes(&chunk.data, payload, length);
    return rpc_reply_pack_payload(reply, &chunk.base, payload, length, error);
}

struct stream {
    struct world *world;
    struct rpc_call *call;
    bool asked, ended, answered;
    int left;
    size_t bytes;
};

static void *stream_open(void *service, struct rpc_call *call)
{
    struct stream *stream = calloc(1, sizeof *stream);

    stream->world = service;
    stream->call = call;
    atomic_store(&stream->world->last, call);
    atomic_fetch_add(&stream->world->opened, 1);
    return stream;
}

static void stream_close(void *state)
{
    struct stream *stream = state;

    if (atomic_load(&stream->world->waiting) == stream->call)
        atomic_store(&stream->world->waiting, NULL);
    atomic_fetch_add(&stream->world->closed, 1);
    free(stream);
}

/* Talk: an answer for each message. */
static enum error_code talk_message(void *state, const struct rpc_request *request,
                                    struct error *error)
{
    struct stream *stream = state;

    snprintf(stream->world->peer, sizeof stream->world->peer, "%s", rpc_call_peer(stream->call));
    if (!request) {
        stream->ended = true;
        return ERROR_NONE;
    }
    stream->asked = true;
    stream->left = ((const Peer__DownloadRequest *)request->message)->filename.data[0];
    return stream->left == '!' ? error_set(error, ERROR_DENIED, "nunca") : ERROR_NONE;
}

static enum rpc_step talk_next(void *state, struct rpc_reply *reply, struct error *error)
{
    struct stream *stream = state;
    Peer__UploadResponse response = PEER__UPLOAD_RESPONSE__INIT;
    char text[2] = {(char)stream->left, '\0'};

    if (!stream->asked)
        return stream->ended ? RPC_END : RPC_READ;
    stream->asked = false;
    response.message = text;
    return rpc_reply_pack(reply, &response.base, error) ? RPC_END : RPC_SEND;
}

/* Flood: BIG_BYTES as often as the name's number says. */
static enum error_code flood_message(void *state, const struct rpc_request *request,
                                     struct error *error)
{
    struct stream *stream = state;

    (void)error;
    if (request)
        stream->left =
            atoi((const char *)((const Peer__DownloadRequest *)request->message)->filename.data);
    return ERROR_NONE;
}

static enum rpc_step flood_next(void *state, struct rpc_reply *reply, struct error *error)
{
    struct stream *stream = state;
    Peer__Chunk chunk = PEER__CHUNK__INIT;
    void *payload;

    if (stream->left == 0)
        return RPC_END;
    payload = malloc(BIG_BYTES);
    memset(payload, stream->left & 0x7f, BIG_BYTES);
    set_bytes(&chunk.data, payload, BIG_BYTES);
    chunk.total_bytes = stream->left--;
    atomic_fetch_add(&stream->world->sent, 1);
    return rpc_reply_pack_payload(reply, &chunk.base, payload, BIG_BYTES, error) ? RPC_END
                                                                                 : RPC_SEND;
}

/* Count: raw; tells the bytes of all messages. An empty message ends it at once. */
static enum error_code count_message(void *state, const struct rpc_request *request,
                                     struct error *error)
{
    struct stream *stream = state;

    (void)error;
    if (!request || request->span_count == 0) {
        stream->ended = true;
        return ERROR_NONE;
    }
    for (size_t i = 0; i < request->span_count; i++)
        stream->bytes += request->spans[i].iov_len;
    return ERROR_NONE;
}

static enum rpc_step count_next(void *state, struct rpc_reply *reply, struct error *error)
{
    struct stream *stream = state;
    Peer__UploadResponse response = PEER__UPLOAD_RESPONSE__INIT;
    char text[32];

    if (!stream->ended)
        return RPC_READ;
    if (stream->answered)
        return RPC_END;
    stream->answered = true;
    snprintf(text, sizeof text, "%zu", stream->bytes);
    response.message = text;
    return rpc_reply_pack(reply, &response.base, error) ? RPC_END : RPC_SEND;
}

/* Wait: waits until somebody else wakes it. */
static enum error_code wait_message(void *state, const struct rpc_request *request,
                                    struct error *error)
{
    (void)state;
    (void)request;
    (void)error;
    return ERROR_NONE;
}

static enum rpc_step wait_next(void *state, struct rpc_reply *reply, struct error *error)
{
    struct stream *stream = state;

    (void)reply;
    (void)error;
    if (stream->asked)
        return RPC_END;
    stream->asked = true;
    if (atomic_load(&stream->world->wake_early))
        rpc_call_wake(stream->call);
    else
        atomic_store(&stream->world->waiting, stream->call);
    return RPC_WAIT;
}

static const struct rpc_method methods[] = {
    {.path = ECHO, .request = &peer__download_request__descriptor, .call = echo},
    {.path = FAIL, .request = &peer__download_request__descriptor, .call = refuse},
    {.path = BIG,
     .request = &peer__download_request__descriptor,
     .max_reply_bytes = 3 * 1024 * 1024,
     .call = big},
    {.path = TALK,
     .request = &peer__download_request__descriptor,
     .open = stream_open,
     .message = talk_message,
     .next = talk_next,
     .close = stream_close},
    {.path = FLOOD,
     .request = &peer__download_request__descriptor,
     .open = stream_open,
     .message = flood_message,
     .next = flood_next,
     .close = stream_close},
    {.path = COUNT,
     .raw = true,
     .open = stream_open,
     .message = count_message,
     .next = count_next,
     .close = stream_close},
    {.path = WAITING,
     .request = &peer__empty__descriptor,
     .open = stream_open,
     .message = wait_message,
     .next = wait_next,
     .close = stream_close},
};

/* ---- set-up ---- */

static enum error_code serve(struct world *world, const char *address, struct rpc_server **server,
                             struct error *error)
{
    struct rpc_service service = {
        .methods = methods, .method_count = ARRAY_LENGTH(methods), .service = world};
    struct rpc_server_options options = {
        .address = address, .services = &service, .service_count = 1};

    return rpc_server_start(&options, server, error);
}

static struct world *world_new(void **state)
{
    struct world *world = calloc(1, sizeof *world);

    unit_folder_make(world->folder);
    *state = world;
    return world;
}

static int start_tcp(void **state)
{
    struct world *world = world_new(state);

    assert_int_equal(serve(world, "127.0.0.1:0", &world->server, NULL), ERROR_NONE);
    assert_true(rpc_server_port(world->server) > 0);
    snprintf(world->target, sizeof world->target, "127.0.0.1:%u", rpc_server_port(world->server));
    world->channel = rpc_channel_open(world->target);
    return 0;
}

static int start_unix(void **state)
{
    struct world *world = world_new(state);

    snprintf(world->target, sizeof world->target, "unix:%s/socket", world->folder);
    assert_int_equal(serve(world, world->target, &world->server, NULL), ERROR_NONE);
    assert_int_equal(rpc_server_port(world->server), 0);
    world->channel = rpc_channel_open(world->target);
    return 0;
}

static int stop(void **state)
{
    struct world *world = *state;
    int64_t begin = now_ms();
    int opened, closed;

    rpc_channel_close(world->channel);
    rpc_server_free(world->server);
    assert_true(now_ms() - begin < STOP_MS);
    opened = atomic_load(&world->opened);
    closed = atomic_load(&world->closed);
    unit_folder_remove(world->folder);
    free(world);
    assert_int_equal(opened, closed);
    return 0;
}

static void wait_until_closed(struct world *world, int count)
{
    int64_t limit = now_ms() + STEP_MS;

    while (atomic_load(&world->closed) < count && now_ms() < limit)
        usleep(1000);
    assert_true(atomic_load(&world->closed) >= count);
}

static struct rpc_call *wait_for_waiting(struct world *world)
{
    int64_t limit = now_ms() + STEP_MS;
    struct rpc_call *call;

    while (!(call = atomic_load(&world->waiting)) && now_ms() < limit)
        usleep(100);
    assert_non_null(call);
    return call;
}

static struct rpc_client_call *start_call(struct world *world, const char *method)
{
    struct rpc_client_call *call;

    assert_int_equal(rpc_client_start(world->channel, method, STEP_MS, &call, NULL), ERROR_NONE);
    return call;
}

static enum error_code send_text(struct rpc_client_call *call, const char *text, bool *ended,
                                 struct error *error)
{
    Peer__DownloadRequest request = PEER__DOWNLOAD_REQUEST__INIT;

    set_bytes(&request.filename, text, strlen(text) + 1);
    return rpc_client_send(call, &request.base, NULL, 0, ended, error);
}

/* A call that has sent its one request. */
static struct rpc_client_call *ask(struct world *world, const char *method, const char *text)
{
    struct rpc_client_call *call = start_call(world, method);
    bool ended;

    assert_int_equal(send_text(call, text, &ended, NULL), ERROR_NONE);
    assert_int_equal(rpc_client_send_end(call, NULL), ERROR_NONE);
    return call;
}

static enum error_code unary(struct world *world, const char *method, const char *text,
                             char out[1000], struct error *error)
{
    Peer__DownloadRequest request = PEER__DOWNLOAD_REQUEST__INIT;
    ProtobufCMessage *message;
    enum error_code code;

    set_bytes(&request.filename, text, strlen(text) + 1);
    code = unary_call(world->channel, method, &request.base, &peer__upload_response__descriptor,
                      STEP_MS, &message, error);
    if (!code) {
        snprintf(out, 1000, "%s", ((Peer__UploadResponse *)message)->message);
        protobuf_c_message_free_unpacked(message, NULL);
    }
    return code;
}

static void assert_text_answer(struct rpc_client_call *call, const char *expected)
{
    struct rpc_response response;
    ProtobufCMessage *message;
    bool end;

    assert_int_equal(rpc_client_receive(call, &response, &end, NULL), ERROR_NONE);
    assert_false(end);
    assert_int_equal(
        rpc_response_unpack(&response, &peer__upload_response__descriptor, &message, NULL),
        ERROR_NONE);
    assert_string_equal(((Peer__UploadResponse *)message)->message, expected);
    protobuf_c_message_free_unpacked(message, NULL);
}

static void assert_end(struct rpc_client_call *call)
{
    struct rpc_response response;
    bool end = false;

    assert_int_equal(rpc_client_receive(call, &response, &end, NULL), ERROR_NONE);
    assert_true(end);
}

/* ---- unary calls ---- */

static void calls_and_answers(void **state)
{
    struct world *world = *state;
    char answer[1000];

    for (int i = 0; i < 50; i++) {
        assert_int_equal(unary(world, ECHO, "¿qué tal?", answer, NULL), ERROR_NONE);
        assert_string_equal(answer, "¿qué tal?");
    }
}

static void brings_every_error_back(void **state)
{
    struct world *world = *state;

    for (int code = 1; code < ERROR_CODE_COUNT; code++) {
        char text[2] = {(char)code, '\0'};
        char answer[1000];
        struct error error;

        check_row(code, unary(world, FAIL, text, answer, &error) == (enum error_code)code);
        check_row(code, error.code == (enum error_code)code);
        assert_string_equal(error.text, "falló: año %");
    }
}

static void knows_its_methods(void **state)
{
    static const char *const paths[] = {"/test.Engine/Other", "/test.Engine/Ech",
                                        "/test.Engine/EchoX", "/other.Engine/Echo"};
    struct world *world = *state;
    char answer[1000];
    struct error error;

    for (size_t row = 0; row < ARRAY_LENGTH(paths); row++)
        check_row(row, unary(world, paths[row], "x", answer, &error) == ERROR_UNSUPPORTED);
    assert_int_equal(unary(world, ECHO, "x", answer, NULL), ERROR_NONE);
}

static void limits_replies(void **state)
{
    struct world *world = *state;
    char answer[1000];
    struct error error;
    struct rpc_client_call *call = ask(world, BIG, "3000000");
    struct rpc_response response;
    bool end;

    assert_int_equal(rpc_client_receive(call, &response, &end, NULL), ERROR_NONE);
    assert_true(response.bytes > 3000000);
    assert_end(call);
    rpc_client_free(call);
    assert_int_equal(unary(world, BIG, "3145728", answer, &error), ERROR_TOO_LARGE);
}

static void refuses_what_is_no_message(void **state)
{
    struct world *world = *state;
    struct rpc_client_call *call = start_call(world, ECHO);
    struct rpc_response response;
    struct error error;
    char answer[1000];
    bool end;
    uint8_t broken[] = {0x50, 'x'};
    ProtobufCMessageUnknownField field = {
        .tag = 1, .wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED, .len = 2, .data = broken};
    Peer__Empty message = PEER__EMPTY__INIT;

    message.base.n_unknown_fields = 1;
    message.base.unknown_fields = &field;
    (void)!rpc_client_send(call, &message.base, NULL, 0, &end, NULL);
    assert_int_equal(rpc_client_receive(call, &response, &end, &error), ERROR_INVALID);
    rpc_client_free(call);

    call = start_call(world, ECHO); /* no message at all */
    (void)!rpc_client_send_end(call, NULL);
    assert_int_equal(rpc_client_receive(call, &response, &end, &error), ERROR_INVALID);
    assert_int_equal(rpc_client_receive(call, &response, &end, &error), ERROR_INVALID);
    rpc_client_free(call);

    assert_int_equal(unary(world, ECHO, "x", answer, NULL), ERROR_NONE);
}

/* ---- streams ---- */

static void talks_both_ways(void **state)
{
    struct world *world = *state;
    struct rpc_client_call *call = start_call(world, TALK);
    struct rpc_response response;
    struct error error;
    bool end;

    for (char letter = 'a'; letter <= 'z'; letter++) {
        char text[2] = {letter, '\0'};

        assert_int_equal(send_text(call, text, &end, NULL), ERROR_NONE);
        assert_false(end);
        assert_text_answer(call, text);
    }
    if (strncmp(world->target, "unix:", 5) == 0)
        assert_memory_equal(world->peer, "unix:", 5);
    else
        assert_memory_equal(world->peer, "127.0.0.1:", 10);
    (void)!send_text(call, "!", &end, NULL); /* the refusal may be here already */
    assert_int_equal(rpc_client_receive(call, &response, &end, &error), ERROR_DENIED);
    assert_string_equal(error.text, "nunca");
    assert_int_equal(send_text(call, "x", &end, &error), ERROR_DENIED);
    rpc_client_free(call);
}

static void streams_to_the_client(void **state)
{
    struct world *world = *state;
    struct rpc_client_call *call = ask(world, FLOOD, "100");
    struct rpc_response response;
    bool end;

    for (int left = 100; left > 0; left--) {
        const struct iovec *span;

        assert_int_equal(rpc_client_receive(call, &response, &end, NULL), ERROR_NONE);
        assert_false(end);
        assert_in_range(response.bytes, BIG_BYTES, BIG_BYTES + 16);
        span = &response.spans[response.span_count / 2];
        assert_int_equal(((const uint8_t *)span->iov_base)[span->iov_len / 2], left & 0x7f);
    }
    assert_end(call);
    assert_end(call);
    rpc_client_free(call);
}

static enum error_code send_block(struct rpc_client_call *call, bool *ended, struct error *error)
{
    Peer__Chunk chunk = PEER__CHUNK__INIT;
    void *payload = calloc(1, BIG_BYTES);

    set_bytes(&chunk.data, payload, BIG_BYTES);
    return rpc_client_send(call, &chunk.base, payload, BIG_BYTES, ended, error);
}

static void streams_to_the_server(void **state)
{
    struct world *world = *state;
    struct rpc_client_call *call = start_call(world, COUNT);
    char expected[32];
    bool ended;

    for (int i = 0; i < 100; i++) {
        assert_int_equal(send_block(call, &ended, NULL), ERROR_NONE);
        assert_false(ended);
    }
    assert_int_equal(rpc_client_send_end(call, NULL), ERROR_NONE);
    snprintf(expected, sizeof expected, "%zu", 100 * (BIG_BYTES + 4)); /* tag, three of length */
    assert_text_answer(call, expected);
    assert_end(call);
    rpc_client_free(call);
}

/* The server answers before the client is done: the client is told, and gets the answer. */
static void notices_an_early_end(void **state)
{
    struct world *world = *state;
    struct rpc_client_call *call = start_call(world, COUNT);
    Peer__Empty empty = PEER__EMPTY__INIT;
    bool ended = false;

    assert_int_equal(rpc_client_send(call, &empty.base, NULL, 0, &ended, NULL), ERROR_NONE);
    for (int i = 0; i < 100000 && !ended; i++)
        assert_int_equal(send_block(call, &ended, NULL), ERROR_NONE);
    assert_true(ended);
    assert_text_answer(call, "0");
    assert_end(call);
    rpc_client_free(call);
}

/* A reader that stops costs what is on its way, no more; then it goes on. */
static void holds_back_for_a_slow_reader(void **state)
{
    struct world *world = *state;
    struct rpc_client_call *call = ask(world, FLOOD, "400");
    struct rpc_response response;
    int sent = -1;
    int count = 1;
    bool end;

    assert_int_equal(rpc_client_receive(call, &response, &end, NULL), ERROR_NONE);
    while (sent != atomic_load(&world->sent)) { /* until it stands still */
        sent = atomic_load(&world->sent);
        usleep(300000);
    }
    /* A window of 1 MiB, the socket's buffers, and one message that waits. */
    assert_in_range(sent, 2, 60);
    while (!rpc_client_receive(call, &response, &end, NULL) && !end)
        count++;
    assert_int_equal(count, 400);
    rpc_client_free(call);
}

/* ---- waiting and waking ---- */

static void wakes_from_another_thread(void **state)
{
    struct world *world = *state;

    for (int i = 0; i < 200; i++) {
        struct rpc_client_call *call = ask(world, WAITING, "");

        rpc_call_wake(wait_for_waiting(world));
        assert_end(call);
        rpc_client_free(call);
        wait_until_closed(world, i + 1);
    }
}

static void remembers_an_early_wake(void **state)
{
    struct world *world = *state;

    atomic_store(&world->wake_early, true);
    for (int i = 0; i < 200; i++) {
        struct rpc_client_call *call = ask(world, WAITING, "");

        assert_end(call);
        rpc_client_free(call);
    }
}

static void leaves_a_wait_when_the_client_goes(void **state)
{
    struct world *world = *state;

    for (int i = 0; i < 50; i++) {
        struct rpc_client_call *call = ask(world, WAITING, "");

        (void)wait_for_waiting(world);
        rpc_client_free(call);
        wait_until_closed(world, i + 1);
    }
}

/* ---- breaking off ---- */

static void assert_broken_off(struct world *world, struct rpc_client_call *call)
{
    struct rpc_response response;
    struct error error = {.code = ERROR_NONE};
    bool end = false;

    rpc_call_abort(atomic_load(&world->last), ERROR_TIMEOUT, "nadie lee");
    while (!rpc_client_receive(call, &response, &end, &error))
        assert_false(end);
    assert_int_equal(error.code, ERROR_TIMEOUT);
    assert_string_equal(error.text, "nadie lee");
    rpc_client_free(call);
    wait_until_closed(world, atomic_load(&world->opened));
}

static void breaks_off_what_waits(void **state)
{
    struct world *world = *state;
    struct rpc_client_call *call = ask(world, WAITING, "");

    (void)wait_for_waiting(world);
    assert_broken_off(world, call);
}

static void breaks_off_a_client_that_sends_no_more(void **state)
{
    struct world *world = *state;
    struct rpc_client_call *call = start_call(world, COUNT);
    bool ended;

    assert_int_equal(send_text(call, "x", &ended, NULL), ERROR_NONE);
    for (int64_t limit = now_ms() + STEP_MS; !atomic_load(&world->last) && now_ms() < limit;)
        usleep(1000);
    assert_broken_off(world, call);
}

static void breaks_off_a_client_that_does_not_read(void **state)
{
    struct world *world = *state;
    struct rpc_client_call *call = ask(world, FLOOD, "400");

    for (int sent = -1; sent != atomic_load(&world->sent) || sent == 0;) {
        sent = atomic_load(&world->sent);
        usleep(300000);
    }
    assert_broken_off(world, call);
}

/* Waking and cancelling at the same moment, over and over. The lock is what a service has: no wake
 * after close has begun. */
struct waker {
    struct world *world;
    pthread_mutex_t lock;
    struct rpc_call *call; /* guarded by lock */
    bool stop;             /* guarded by lock */
    bool asked;
};

static struct waker waker = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void *race_open(void *service, struct rpc_call *call)
{
    atomic_fetch_add(&((struct world *)service)->opened, 1);
    pthread_mutex_lock(&waker.lock);
    waker.call = call;
    waker.asked = false;
    pthread_mutex_unlock(&waker.lock);
    return service;
}

static enum rpc_step race_next(void *state, struct rpc_reply *reply, struct error *error)
{
    (void)state;
    (void)reply;
    (void)error;
    return RPC_WAIT;
}

static void race_close(void *state)
{
    pthread_mutex_lock(&waker.lock);
    waker.call = NULL;
    pthread_mutex_unlock(&waker.lock);
    atomic_fetch_add(&((struct world *)state)->closed, 1);
}

static void *wake_for_ever(void *argument)
{
    bool stopped = false;

    (void)argument;
    while (!stopped) {
        pthread_mutex_lock(&waker.lock);
        if (waker.call)
            rpc_call_wake(waker.call);
        stopped = waker.stop;
        pthread_mutex_unlock(&waker.lock);
        sched_yield();
    }
    return NULL;
}

static const struct rpc_method race_methods[] = {
    {.path = WAITING,
     .request = &peer__empty__descriptor,
     .open = race_open,
     .message = wait_message,
     .next = race_next,
     .close = race_close},
};

static void survives_wakes_against_cancels(void **state)
{
    struct world *world = *state;
    struct rpc_service service = {.methods = race_methods, .method_count = 1, .service = world};
    struct rpc_server_options options = {
        .address = "127.0.0.1:0", .services = &service, .service_count = 1};
    struct rpc_server *server;
    struct rpc_channel *usual = world->channel;
    char target[64];
    pthread_t thread;

    assert_int_equal(rpc_server_start(&options, &server, NULL), ERROR_NONE);
    snprintf(target, sizeof target, "127.0.0.1:%u", rpc_server_port(server));
    world->channel = rpc_channel_open(target);
    waker.stop = false;
    pthread_create(&thread, NULL, wake_for_ever, NULL);
    for (int i = 0; i < 300; i++) {
        struct rpc_client_call *call = ask(world, WAITING, "");

        usleep((unsigned)(i % 7) * 100);
        rpc_client_free(call);
        wait_until_closed(world, atomic_load(&world->opened));
    }
    rpc_channel_close(world->channel);
    rpc_server_free(server);
    pthread_mutex_lock(&waker.lock);
    waker.stop = true;
    pthread_mutex_unlock(&waker.lock);
    pthread_join(thread, NULL);
    world->channel = usual;
}

/* ---- the client's failures ---- */

static void *cancel_later(void *call)
{
    usleep(50000);
    rpc_client_cancel(call);
    return NULL;
}

static void cancels_from_another_thread(void **state)
{
    struct world *world = *state;
    struct rpc_client_call *call = ask(world, WAITING, "");
    struct rpc_response response;
    struct error error;
    pthread_t thread;
    bool end;

    pthread_create(&thread, NULL, cancel_later, call);
    assert_int_equal(rpc_client_receive(call, &response, &end, &error), ERROR_CANCELLED);
    pthread_join(thread, NULL);
    assert_int_equal(rpc_client_receive(call, &response, &end, &error), ERROR_CANCELLED);
    rpc_client_free(call);
    wait_until_closed(world, 1);
}

static void gives_up_after_the_step(void **state)
{
    struct world *world = *state;
    struct rpc_client_call *call;
    struct rpc_response response;
    struct error error;
    int64_t begin = now_ms();
    bool end;

    assert_int_equal(rpc_client_start(world->channel, WAITING, 200, &call, NULL), ERROR_NONE);
    assert_int_equal(send_text(call, "", &end, NULL), ERROR_NONE);
    assert_int_equal(rpc_client_receive(call, &response, &end, &error), ERROR_TIMEOUT);
    assert_in_range(now_ms() - begin, 190, 5000);
    assert_non_null(strstr(error.text, world->target));
    rpc_client_free(call);
}

/* A port that nobody listens at. */
static int free_port(void)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof name;
    int descriptor = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(descriptor, (struct sockaddr *)&name, sizeof name), 0);
    assert_int_equal(getsockname(descriptor, (struct sockaddr *)&name, &length), 0);
    close(descriptor);
    return ntohs(name.sin_port);
}

static void says_when_nobody_is_there(void **state)
{
    struct world *world = *state;
    char target[64];
    char answer[1000];
    struct error error;
    int64_t begin = now_ms();
    struct rpc_channel *usual = world->channel;

    snprintf(target, sizeof target, "127.0.0.1:%d", free_port());
    world->channel = rpc_channel_open(target);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(unary(world, ECHO, "x", answer, &error), ERROR_UNREACHABLE);
        assert_non_null(strstr(error.text, target));
        assert_non_null(strstr(error.text, "Connection refused"));
    }
    assert_true(now_ms() - begin < 5000);
    rpc_channel_close(world->channel);
    world->channel = usual;
}

/* A channel whose peer comes up later works at once. */
static void finds_a_server_that_comes_later(void **state)
{
    struct world *world = *state;
    struct rpc_channel *usual = world->channel;
    struct rpc_server *server;
    char target[64];
    char answer[1000];

    snprintf(target, sizeof target, "127.0.0.1:%d", free_port());
    world->channel = rpc_channel_open(target);
    assert_int_equal(unary(world, ECHO, "x", answer, NULL), ERROR_UNREACHABLE);
    assert_int_equal(serve(world, target, &server, NULL), ERROR_NONE);
    for (int i = 0; i < 100 && unary(world, ECHO, "x", answer, NULL); i++)
        usleep(20000);
    assert_int_equal(unary(world, ECHO, "x", answer, NULL), ERROR_NONE);
    rpc_server_free(server);
    assert_int_equal(unary(world, ECHO, "x", answer, NULL), ERROR_UNREACHABLE);
    rpc_channel_close(world->channel);
    world->channel = usual;
}

/* Something listens, but it is no gRPC server: silent, or it speaks something else. */
static void bears_a_stranger(void **state)
{
    struct world *world = *state;
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof name;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct rpc_channel *channel;
    struct rpc_client_call *call;
    struct error error;
    char target[64];
    bool end;

    assert_int_equal(bind(listener, (struct sockaddr *)&name, sizeof name), 0);
    assert_int_equal(listen(listener, 5), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&name, &length), 0);
    snprintf(target, sizeof target, "127.0.0.1:%d", ntohs(name.sin_port));
    channel = rpc_channel_open(target);
    assert_int_equal(rpc_client_start(channel, ECHO, 300, &call, NULL), ERROR_NONE);
    assert_int_equal(send_text(call, "x", &end, &error), ERROR_TIMEOUT);
    rpc_client_free(call);
    rpc_channel_close(channel);
    close(listener);
    (void)world;
}

/* ---- servers ---- */

static void stops_with_calls_in_flight(void **state)
{
    enum { CALLS = 60 };
    struct world *world = *state;
    struct rpc_client_call *calls[CALLS];
    struct rpc_response response;
    struct error error;
    int64_t begin;
    bool end;

    for (int i = 0; i < CALLS; i++)
        calls[i] = i % 3 == 0   ? ask(world, WAITING, "")
                   : i % 3 == 1 ? ask(world, FLOOD, "100000") /* nobody reads it */
                                : start_call(world, COUNT);
    for (int i = 2; i < CALLS; i += 3)
        assert_int_equal(send_block(calls[i], &end, NULL), ERROR_NONE);
    begin = now_ms();
    rpc_server_stop(world->server, 100);
    assert_true(now_ms() - begin < STOP_MS);
    assert_int_equal(atomic_load(&world->opened), atomic_load(&world->closed));
    assert_int_equal(rpc_client_receive(calls[0], &response, &end, &error), ERROR_UNREACHABLE);
    for (int i = 0; i < CALLS; i++)
        rpc_client_free(calls[i]);
}

static void *stop_server(void *server)
{
    rpc_server_stop(server, 10000);
    return NULL;
}

/* A call that goes on when the server is told to stop is let to its end; a new one is refused. */
static void lets_running_calls_end(void **state)
{
    struct world *world = *state;
    struct rpc_client_call *call = ask(world, FLOOD, "200");
    struct rpc_response response;
    struct error error;
    char answer[1000];
    pthread_t thread;
    int count = 0;
    bool end = false;

    assert_int_equal(rpc_client_receive(call, &response, &end, NULL), ERROR_NONE);
    pthread_create(&thread, NULL, stop_server, world->server);
    while (unary(world, ECHO, "x", answer, &error) == ERROR_NONE)
        usleep(1000);
    assert_int_equal(error.code, ERROR_UNREACHABLE);
    for (count = 1; !end; count += !end)
        assert_int_equal(rpc_client_receive(call, &response, &end, NULL), ERROR_NONE);
    assert_int_equal(count, 200);
    rpc_client_free(call);
    pthread_join(thread, NULL);
}

static void refuses_addresses(void **state)
{
    struct world *world = *state;
    struct rpc_server *server;
    struct error error;
    char address[2 * UNIT_PATH_BYTES];
    struct stat status;

    assert_int_equal(serve(world, world->target, &server, &error), ERROR_BUSY);
    assert_non_null(strstr(error.text, "127.0.0.1:"));
    assert_int_equal(serve(world, "nonsense", &server, &error), ERROR_INVALID);
    assert_int_equal(serve(world, "192.0.2.1:80", &server, &error), ERROR_INVALID);
    assert_int_equal(serve(world, "unix:relative", &server, &error), ERROR_INVALID);
    snprintf(address, sizeof address, "unix:%s/missing/socket", world->folder);
    assert_int_equal(serve(world, address, &server, &error), ERROR_NOT_FOUND);

    snprintf(address, sizeof address, "unix:%s/socket", world->folder);
    assert_int_equal(serve(world, address, &server, &error), ERROR_NONE);
    assert_int_equal(stat(address + 5, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    {
        struct rpc_server *second;

        assert_int_equal(serve(world, address, &second, &error), ERROR_BUSY);
    }
    rpc_server_free(server);
}

/* What a daemon that was killed leaves behind does not keep the next one from starting. */
static void takes_over_a_left_socket(void **state)
{
    struct world *world = *state;
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    struct rpc_server *server;
    char address[sizeof name.sun_path + 8];
    int descriptor = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(name.sun_path, sizeof name.sun_path, "%.80s/left", world->folder);
    snprintf(address, sizeof address, "unix:%s", name.sun_path);
    assert_int_equal(bind(descriptor, (struct sockaddr *)&name, sizeof name), 0);
    close(descriptor);
    assert_int_equal(serve(world, address, &server, NULL), ERROR_NONE);
    rpc_server_free(server);
    assert_int_equal(access(name.sun_path, F_OK), -1);
}

int main(void)
{
#define ON_TCP(test)  cmocka_unit_test_setup_teardown(test, start_tcp, stop)
#define ON_UNIX(test) cmocka_unit_test_setup_teardown(test, start_unix, stop)
    const struct CMUnitTest tests[] = {
        ON_TCP(calls_and_answers),
        ON_UNIX(calls_and_answers),
        ON_TCP(brings_every_error_back),
        ON_TCP(knows_its_methods),
        ON_TCP(limits_replies),
        ON_TCP(refuses_what_is_no_message),
        ON_TCP(talks_both_ways),
        ON_UNIX(talks_both_ways),
        ON_TCP(streams_to_the_client),
        ON_UNIX(streams_to_the_client),
        ON_TCP(streams_to_the_server),
        ON_TCP(notices_an_early_end),
        ON_TCP(holds_back_for_a_slow_reader),
        ON_TCP(wakes_from_another_thread),
        ON_TCP(remembers_an_early_wake),
        ON_TCP(leaves_a_wait_when_the_client_goes),
        ON_TCP(breaks_off_what_waits),
        ON_TCP(breaks_off_a_client_that_sends_no_more),
        ON_TCP(breaks_off_a_client_that_does_not_read),
        ON_TCP(survives_wakes_against_cancels),
        ON_TCP(cancels_from_another_thread),
        ON_TCP(gives_up_after_the_step),
        ON_TCP(says_when_nobody_is_there),
        ON_TCP(finds_a_server_that_comes_later),
        ON_TCP(bears_a_stranger),
        ON_TCP(stops_with_calls_in_flight),
        ON_UNIX(stops_with_calls_in_flight),
        ON_TCP(lets_running_calls_end),
        ON_TCP(refuses_addresses),
        ON_TCP(takes_over_a_left_socket),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
