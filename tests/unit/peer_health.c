/* The standard health service over a real server and client. */
#include "peer/rpc/client.h"
#include "peer/rpc/server.h"
#include "peer/service/health_service.h"
#include "proto/health.pb-c.h"
#include "unary.h"
#include "unit.h"

#define STEP_MS 20000
#define CHECK   "/grpc.health.v1.Health/Check"
#define WATCH   "/grpc.health.v1.Health/Watch"

enum { SERVING = 1, NOT_SERVING = 2, SERVICE_UNKNOWN = 3 };

struct world {
    struct health_service *health;
    struct rpc_server *server;
    struct rpc_channel *channel;
};

static int start(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    struct rpc_server_options options = {.address = "127.0.0.1:0", .service_count = 1};
    char target[64];

    world->health = health_service_new();
    options.services = health_service_rpc(world->health);
    assert_int_equal(rpc_server_start(&options, &world->server, NULL), ERROR_NONE);
    snprintf(target, sizeof target, "127.0.0.1:%u", rpc_server_port(world->server));
    world->channel = rpc_channel_open(target);
    *state = world;
    return 0;
}

static int stop(void **state)
{
    struct world *world = *state;

    rpc_channel_close(world->channel);
    rpc_server_free(world->server);
    health_service_free(world->health);
    free(world);
    return 0;
}

static Grpc__Health__V1__HealthCheckRequest ask(const char *service)
{
    Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;

    request.service = (char *)(uintptr_t)service;
    return request;
}

static int status_of(const ProtobufCMessage *message)
{
    return (int)((const Grpc__Health__V1__HealthCheckResponse *)message)->status;
}

static void checks(void **state)
{
    static const struct {
        const char *service;
        enum error_code code;
    } rows[] = {{"", ERROR_NONE}, {"peer.PeerService", ERROR_NONE}, {"other", ERROR_NOT_FOUND}};
    struct world *world = *state;

    for (size_t row = 0; row < ARRAY_LENGTH(rows); row++) {
        Grpc__Health__V1__HealthCheckRequest request = ask(rows[row].service);
        ProtobufCMessage *message = NULL;

        check_row(row, unary_call(world->channel, CHECK, &request.base,
                                  &grpc__health__v1__health_check_response__descriptor, STEP_MS,
                                  &message, NULL) == rows[row].code);
        check_row(row, !message || status_of(message) == SERVING);
        if (message)
            protobuf_c_message_free_unpacked(message, NULL);
    }
}

static struct rpc_client_call *watch(struct world *world, const char *service)
{
    Grpc__Health__V1__HealthCheckRequest request = ask(service);
    struct rpc_client_call *call;
    bool ended;

    assert_int_equal(rpc_client_start(world->channel, WATCH, STEP_MS, &call, NULL), ERROR_NONE);
    assert_int_equal(rpc_client_send(call, &request.base, NULL, 0, &ended, NULL), ERROR_NONE);
    assert_int_equal(rpc_client_send_end(call, NULL), ERROR_NONE);
    return call;
}

static int next_status(struct rpc_client_call *call)
{
    struct rpc_response response;
    ProtobufCMessage *message;
    bool end;
    int status;

    assert_int_equal(rpc_client_receive(call, &response, &end, NULL), ERROR_NONE);
    if (end)
        return -1;
    assert_int_equal(rpc_response_unpack(&response,
                                         &grpc__health__v1__health_check_response__descriptor,
                                         &message, NULL),
                     ERROR_NONE);
    status = status_of(message);
    protobuf_c_message_free_unpacked(message, NULL);
    return status;
}

static void watches_until_the_stop(void **state)
{
    struct world *world = *state;
    struct rpc_client_call *known = watch(world, "peer.PeerService");
    struct rpc_client_call *unknown = watch(world, "other");
    struct rpc_client_call *left = watch(world, "");

    assert_int_equal(next_status(known), SERVING);
    assert_int_equal(next_status(unknown), SERVICE_UNKNOWN);
    assert_int_equal(next_status(left), SERVING);
    rpc_client_free(left); /* a watcher that goes away */
    health_service_stop(world->health);
    assert_int_equal(next_status(known), NOT_SERVING);
    assert_int_equal(next_status(known), -1);
    assert_int_equal(next_status(unknown), -1);
    rpc_client_free(known);
    rpc_client_free(unknown);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(checks, start, stop),
        cmocka_unit_test_setup_teardown(watches_until_the_stop, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
