/*
 * What clients may take of the gRPC engine: time for each step, and calls at once. The rules by
 * themselves, and an engine with short times.
 */
#include "common/clock.h"
#include "peer/limits/host_counts.h"
#include "peer/rpc/client.h"
#include "peer/rpc/server.h"
#include "peer/rpc/timeouts.h"
#include "proto/peer.pb-c.h"
#include "unary.h"
#include "unit.h"

#include <stdatomic.h>

#define STEP_MS   60000
#define SHORT_MS  300 /* the time that the test is about; all others are STEP_MS */
#define BIG_BYTES ((size_t)1024 * 1024)

/* ---- who is late ---- */

static int expired_count;
static struct timeout *expired_last;

static void note_expired(struct timeout *timeout)
{
    expired_count++;
    expired_last = timeout;
}

static int look(struct timeouts *timeouts, int64_t now_ms)
{
    expired_count = 0;
    timeouts_look(timeouts, now_ms, note_expired);
    return expired_count;
}

static void looks_once_a_second(void **state)
{
    struct timeouts timeouts = {.first = NULL};
    struct timeout items[3] = {{.link = NULL}};

    (void)state;
    assert_int_equal(timeouts_wait_ms(&timeouts, 50), -1);
    timeout_set(&timeouts, &items[0], 100, 500);
    timeout_set(&timeouts, &items[1], 100, 5000);
    timeout_set(&timeouts, &items[2], 100, TIMEOUT_NEVER);
    assert_int_equal(timeouts_wait_ms(&timeouts, 300), 100 + TIMEOUTS_LOOK_MS - 300);
    assert_int_equal(look(&timeouts, 900), 0);
    assert_int_equal(look(&timeouts, 1100), 1);
    assert_ptr_equal(expired_last, &items[0]);
    timeout_clear(&items[0]);
    for (int64_t now_ms = 2100; now_ms < 5100; now_ms += TIMEOUTS_LOOK_MS)
        assert_int_equal(look(&timeouts, now_ms), 0);
    timeout_set(&timeouts, &items[1], 5000, 1000);
    assert_int_equal(look(&timeouts, 5100), 0);
    timeout_clear(&items[1]);
    timeout_clear(&items[1]);
    assert_int_equal(look(&timeouts, 100000), 0);
    assert_int_equal(timeouts_wait_ms(&timeouts, 100000), -1);
}

static void forgets_any_of_them(void **state)
{
    static const int orders[][3] = {{0, 1, 2}, {2, 1, 0}, {1, 0, 2}, {1, 2, 0}};

    (void)state;
    for (size_t row = 0; row < ARRAY_LENGTH(orders); row++) {
        struct timeouts timeouts = {.first = NULL};
        struct timeout items[3] = {{.link = NULL}};

        for (int i = 0; i < 3; i++)
            timeout_set(&timeouts, &items[i], 0, 10);
        for (int i = 0; i < 2; i++)
            timeout_clear(&items[orders[row][i]]);
        check_row(row, look(&timeouts, 1000) == 1);
        check_row(row, expired_last == &items[orders[row][2]]);
        check_row(row, !timeouts.first);
    }
}

/* A thread that was held up for ten seconds has read nothing: nobody is late for that. */
static void counts_no_time_that_was_its_own(void **state)
{
    struct timeouts timeouts = {.first = NULL};
    struct timeout item = {.link = NULL};

    (void)state;
    timeout_set(&timeouts, &item, 0, 5000);
    assert_int_equal(look(&timeouts, 1000), 0);
    assert_int_equal(look(&timeouts, 12000), 0); /* ten seconds late: 4 are left */
    for (int64_t now_ms = 13000; now_ms < 15000; now_ms += TIMEOUTS_LOOK_MS)
        assert_int_equal(look(&timeouts, now_ms), 0);
    assert_int_equal(look(&timeouts, 15000), 1);
}

/* ---- how many ---- */

static enum admission take(struct host_counts *counts, const char *address)
{
    struct host_key host = host_key_of(address);

    return host_counts_take(counts, &host);
}

static void give(struct host_counts *counts, const char *address)
{
    struct host_key host = host_key_of(address);

    host_counts_give(counts, &host);
}

static void a_host_has_its_number(void **state)
{
    struct host_counts *counts = host_counts_new(4, 2, false);
    struct host_key host = host_key_of("10.0.0.1");

    (void)state;
    assert_int_equal(take(counts, "10.0.0.1:1"), ADMISSION_GRANTED);
    assert_int_equal(take(counts, "[::ffff:10.0.0.1]:2"), ADMISSION_GRANTED);
    assert_int_equal(take(counts, "10.0.0.1:3"), ADMISSION_HOST_FULL);
    assert_int_equal(host_counts_of(counts, &host), 2);
    assert_int_equal(take(counts, "10.0.0.2:1"), ADMISSION_GRANTED);
    assert_int_equal(take(counts, "10.0.0.2:2"), ADMISSION_GRANTED);
    assert_int_equal(take(counts, "10.0.0.3:1"), ADMISSION_FULL);
    give(counts, "10.0.0.1");
    assert_int_equal(take(counts, "10.0.0.3:1"), ADMISSION_GRANTED);
    struct host_key other = host_key_of("10.0.0.4");
    host_counts_move(counts, &host, &other);
    assert_int_equal(host_counts_of(counts, &host), 0);
    assert_int_equal(host_counts_of(counts, &other), 1);
    assert_int_equal(take(counts, "10.0.0.1"), ADMISSION_FULL);
    host_counts_free(counts);
}

/* However many hosts take what they can get, another one finds a place. */
static void hosts_leave_room(void **state)
{
    static const struct {
        int hosts;
        size_t most, least; /* that all of them have together */
    } rows[] = {{1, 25, 25}, {3, 75, 75}, {4, 80, 76}, {9, 92, 88}, {20, 97, 93}};

    (void)state;
    for (size_t row = 0; row < ARRAY_LENGTH(rows); row++) {
        struct host_counts *counts = host_counts_new(100, 25, true);
        size_t taken = 0;
        char text[32];

        for (int turn = 0; turn < 30; turn++)
            for (int i = 0; i < rows[row].hosts; i++) {
                snprintf(text, sizeof text, "10.0.0.%d", i);
                taken += take(counts, text) == ADMISSION_GRANTED;
            }
        check_row(row, taken <= rows[row].most && taken >= rows[row].least);
        check_row(row, take(counts, "10.1.0.1") == ADMISSION_GRANTED);
        host_counts_free(counts);
    }
}

/* ---- an engine ---- */

struct world {
    struct rpc_times times;
    struct rpc_server *server;
    struct rpc_channel *channel;
    atomic_int opened, closed;
};

struct stream {
    struct world *world;
    int messages;
    bool ended, answered;
};

static enum error_code echo(void *service, const ProtobufCMessage *request, struct rpc_reply *reply,
                            struct error *error)
{
    Peer__UploadResponse response = PEER__UPLOAD_RESPONSE__INIT;

    (void)service;
    (void)request;
    response.message = (char *)(uintptr_t) "eco";
    return rpc_reply_pack(reply, &response.base, error);
}

/* A reply that is larger than what the client's window and buffers take. */
static enum error_code pack_big(struct rpc_reply *reply, struct error *error)
{
    Peer__Chunk chunk = PEER__CHUNK__INIT;
    void *payload = calloc(1, BIG_BYTES);

    chunk.data = (ProtobufCBinaryData){.data = payload, .len = BIG_BYTES};
    return rpc_reply_pack_payload(reply, &chunk.base, payload, BIG_BYTES, error);
}

static void *stream_open(void *service, struct rpc_call *call)
{
    struct stream *stream = calloc(1, sizeof *stream);

    (void)call;
    stream->world = service;
    atomic_fetch_add(&stream->world->opened, 1);
    return stream;
}

static enum error_code stream_message(void *state, const struct rpc_request *request,
                                      struct error *error)
{
    struct stream *stream = state;

    (void)error;
    stream->messages++;
    stream->ended = !request;
    return ERROR_NONE;
}

static enum rpc_step count_next(void *state, struct rpc_reply *reply, struct error *error)
{
    struct stream *stream = state;
    Peer__UploadResponse response = PEER__UPLOAD_RESPONSE__INIT;

    if (!stream->ended)
        return RPC_READ;
    if (stream->answered)
        return RPC_END;
    stream->answered = true;
    response.message = (char *)(uintptr_t) "fin";
    return rpc_reply_pack(reply, &response.base, error) ? RPC_END : RPC_SEND;
}

static enum rpc_step flood_next(void *state, struct rpc_reply *reply, struct error *error)
{
    (void)state;
    return pack_big(reply, error) ? RPC_END : RPC_SEND;
}

static enum rpc_step wait_next(void *state, struct rpc_reply *reply, struct error *error)
{
    (void)state;
    (void)reply;
    (void)error;
    return RPC_WAIT;
}

static void stream_close(void *state)
{
    struct stream *stream = state;

    atomic_fetch_add(&stream->world->closed, 1);
    free(stream);
}

#define STREAM(next_function) \
    .open = stream_open, .message = stream_message, .next = (next_function), .close = stream_close

static const struct rpc_method methods[] = {
    {.path = "/t/Echo", .request = &peer__empty__descriptor, .call = echo},
    {.path = "/t/Files", .raw = true, STREAM(count_next)},
    {.path = "/t/Talk", .request = &peer__empty__descriptor, STREAM(count_next)},
    {.path = "/t/Flood", .request = &peer__empty__descriptor, STREAM(flood_next)},
    {.path = "/t/Wait", .request = &peer__empty__descriptor, STREAM(wait_next)},
};

/* calls: that one host may have; 0: as usual. */
static void start(struct world *world, size_t calls)
{
    struct rpc_service service = {
        .methods = methods, .method_count = ARRAY_LENGTH(methods), .service = world};
    struct rpc_server_options options = {.address = "127.0.0.1:0",
                                         .services = &service,
                                         .service_count = 1,
                                         .max_calls = 4 * calls,
                                         .max_host_calls = calls,
                                         .times = &world->times};
    char target[32];

    assert_int_equal(rpc_server_start(&options, &world->server, NULL), ERROR_NONE);
    snprintf(target, sizeof target, "127.0.0.1:%u", rpc_server_port(world->server));
    world->channel = rpc_channel_open(target);
}

static void stop(struct world *world)
{
    rpc_channel_close(world->channel);
    rpc_server_free(world->server);
    assert_int_equal(atomic_load(&world->opened), atomic_load(&world->closed));
}

static struct rpc_client_call *begin(struct world *world, const char *method, int messages)
{
    Peer__Empty request = PEER__EMPTY__INIT;
    struct rpc_client_call *call;
    bool ended;

    assert_int_equal(rpc_client_start(world->channel, method, STEP_MS, &call, NULL), ERROR_NONE);
    for (int i = 0; i < messages; i++)
        assert_int_equal(rpc_client_send(call, &request.base, NULL, 0, &ended, NULL), ERROR_NONE);
    return call;
}

/* Reads to the end; the error of it. */
static struct error end_of(struct rpc_client_call *call)
{
    struct rpc_response response;
    struct error error = {.code = ERROR_NONE};
    bool end = false;

    while (!end && !rpc_client_receive(call, &response, &end, &error))
        ;
    rpc_client_free(call);
    return error;
}

static void wait_until_closed(struct world *world, int count)
{
    for (int i = 0; i < STEP_MS && atomic_load(&world->closed) < count; i++)
        usleep(1000);
    assert_int_equal(atomic_load(&world->closed), count);
}

#define ALL_LONG                                                        \
    {                                                                   \
        .request_ms = STEP_MS, .read_ms = STEP_MS, .write_ms = STEP_MS, \
        .write_bytes_s = (int64_t)1 << 40, .refuse_ms = STEP_MS         \
    }

static void ends_who_sends_nothing(void **state)
{
    static const struct {
        const char *method;
        int messages;
        bool is_request; /* else it is the time for a stream's message */
    } rows[] = {
        {"/t/Echo", 0, true},   {"/t/Flood", 0, true},  {"/t/Wait", 0, true},
        {"/t/Files", 0, false}, {"/t/Files", 3, false}, {"/t/Talk", 0, true},
        {"/t/Talk", 1, false},
    };

    (void)state;
    for (size_t row = 0; row < ARRAY_LENGTH(rows); row++) {
        struct world world = {.times = ALL_LONG};
        int64_t begin_ms = clock_boot_ms();

        *(rows[row].is_request ? &world.times.request_ms : &world.times.read_ms) = SHORT_MS;
        start(&world, 0);
        struct error error = end_of(begin(&world, rows[row].method, rows[row].messages));
        check_row(row, error.code == ERROR_TIMEOUT);
        check_row(row, strstr(error.text, "No llegan datos"));
        check_row(row, clock_boot_ms() - begin_ms >= SHORT_MS);
        check_row(row, clock_boot_ms() - begin_ms < STEP_MS / 2);
        stop(&world);
    }
}

static void ends_who_does_not_read(void **state)
{
    struct world world = {.times = ALL_LONG};

    (void)state;
    world.times.write_ms = SHORT_MS;
    start(&world, 0);
    struct rpc_client_call *call = begin(&world, "/t/Flood", 1);
    wait_until_closed(&world, 1);
    struct error error = end_of(call);
    assert_int_equal(error.code, ERROR_TIMEOUT);
    assert_non_null(strstr(error.text, "El receptor no lee los datos"));
    stop(&world);
}

/* A slow line gets the time that it needs for a long reply. */
static void gives_long_replies_more_time(void **state)
{
    struct world world = {.times = ALL_LONG};
    int64_t begin_ms = clock_boot_ms();

    (void)state;
    world.times.write_ms = SHORT_MS;
    world.times.write_bytes_s = BIG_BYTES / 4;
    start(&world, 0);
    struct rpc_client_call *call = begin(&world, "/t/Flood", 1);
    wait_until_closed(&world, 1);
    assert_true(clock_boot_ms() - begin_ms >= 4000 + SHORT_MS);
    assert_int_equal(end_of(call).code, ERROR_TIMEOUT);
    stop(&world);
}

/* What waits for us has no time, nor what goes on. */
static void ends_nobody_who_does_what_is_due(void **state)
{
    struct world world = {.times = {.request_ms = SHORT_MS,
                                    .read_ms = SHORT_MS,
                                    .write_ms = SHORT_MS,
                                    .write_bytes_s = BIG_BYTES}};

    (void)state;
    start(&world, 0);
    struct rpc_client_call *waiting = begin(&world, "/t/Wait", 1);
    struct rpc_client_call *silent = begin(&world, "/t/Echo", 0);
    assert_int_equal(end_of(silent).code, ERROR_TIMEOUT); /* looked at both, and then once more */
    assert_int_equal(end_of(begin(&world, "/t/Echo", 0)).code, ERROR_TIMEOUT);
    assert_int_equal(atomic_load(&world.closed), 0);
    rpc_client_free(waiting);
    wait_until_closed(&world, 1);
    stop(&world);
}

static enum error_code ask(struct world *world, struct error *error)
{
    Peer__Empty request = PEER__EMPTY__INIT;
    ProtobufCMessage *message = NULL;
    enum error_code code = unary_call(world->channel, "/t/Echo", &request.base,
                                      &peer__upload_response__descriptor, STEP_MS, &message, error);

    protobuf_c_message_free_unpacked(message, NULL);
    return code;
}

static void limits_the_calls_of_a_host(void **state)
{
    enum { CALLS = 20 };
    struct world world = {.times = ALL_LONG};
    struct rpc_client_call *calls[CALLS];
    struct error error;

    (void)state;
    start(&world, CALLS);
    for (int i = 0; i < CALLS; i++)
        calls[i] = begin(&world, i % 2 ? "/t/Wait" : "/t/Files", 1);
    while (atomic_load(&world.opened) < CALLS)
        usleep(1000);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ask(&world, &error), ERROR_BUSY);
        assert_non_null(strstr(error.text, "Demasiadas llamadas a la vez"));
    }
    rpc_client_free(calls[7]);
    wait_until_closed(&world, 1);
    for (int i = 0; i < 1000 && ask(&world, &error); i++) /* its place is free soon after */
        usleep(10000);
    assert_int_equal(ask(&world, &error), ERROR_NONE);
    for (int i = 0; i < CALLS; i++)
        if (i != 7)
            rpc_client_free(calls[i]);
    wait_until_closed(&world, CALLS);
    stop(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(looks_once_a_second),
        cmocka_unit_test(forgets_any_of_them),
        cmocka_unit_test(counts_no_time_that_was_its_own),
        cmocka_unit_test(a_host_has_its_number),
        cmocka_unit_test(hosts_leave_room),
        cmocka_unit_test(ends_who_sends_nothing),
        cmocka_unit_test(ends_who_does_not_read),
        cmocka_unit_test(gives_long_replies_more_time),
        cmocka_unit_test(ends_nobody_who_does_what_is_due),
        cmocka_unit_test(limits_the_calls_of_a_host),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
