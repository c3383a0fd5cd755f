/* Server reflection, both versions, over a real server and client; and the index behind it. */
#include "peer/rpc/client.h"
#include "peer/rpc/server.h"
#include "peer/service/descriptor_index.h"
#include "peer/service/reflection_service.h"
#include "proto/descriptor_index.pb-c.h"
#include "proto/reflection_v1.pb-c.h"
#include "unit.h"

#define STEP_MS 20000

#define ASKS(what)  GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##what
#define TELLS(what) GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##what

typedef Grpc__Reflection__V1__ServerReflectionRequest reflection_request;
typedef Grpc__Reflection__V1__ServerReflectionResponse reflection_response;

struct world {
    struct reflection_service *reflection;
    struct rpc_server *server;
    struct rpc_channel *channel;
    struct rpc_client_call *call;
};

static int start(void **state, const char *method)
{
    struct world *world = calloc(1, sizeof *world);
    struct rpc_server_options options = {.address = "127.0.0.1:0", .service_count = 1};
    char target[64];

    assert_int_equal(reflection_service_new(&world->reflection, NULL), ERROR_NONE);
    options.services = reflection_service_rpc(world->reflection);
    assert_int_equal(rpc_server_start(&options, &world->server, NULL), ERROR_NONE);
    snprintf(target, sizeof target, "127.0.0.1:%u", rpc_server_port(world->server));
    world->channel = rpc_channel_open(target);
    assert_int_equal(rpc_client_start(world->channel, method, STEP_MS, &world->call, NULL),
                     ERROR_NONE);
    *state = world;
    return 0;
}

static int start_v1(void **state)
{
    return start(state, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo");
}

static int start_v1alpha(void **state)
{
    return start(state, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo");
}

static int stop(void **state)
{
    struct world *world = *state;

    rpc_client_free(world->call);
    rpc_channel_close(world->channel);
    rpc_server_free(world->server);
    reflection_service_free(world->reflection);
    free(world);
    return 0;
}

/* The answer is the caller's. */
static reflection_response *ask(struct world *world, int what, const char *text)
{
    reflection_request request = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    struct rpc_response response;
    ProtobufCMessage *message;
    bool end;

    request.message_request_case = what;
    request.file_by_filename = (char *)(uintptr_t)text; /* all are texts in one union */
    assert_int_equal(rpc_client_send(world->call, &request.base, NULL, 0, &end, NULL), ERROR_NONE);
    assert_false(end);
    assert_int_equal(rpc_client_receive(world->call, &response, &end, NULL), ERROR_NONE);
    assert_false(end);
    assert_int_equal(rpc_response_unpack(
                         &response, &grpc__reflection__v1__server_reflection_response__descriptor,
                         &message, NULL),
                     ERROR_NONE);
    assert_string_equal(((reflection_response *)message)->original_request->file_by_filename, text);
    return (reflection_response *)message;
}

static void done(reflection_response *response)
{
    protobuf_c_message_free_unpacked(&response->base, NULL);
}

static void assert_file(reflection_response *response, const char *name)
{
    P2p__Descriptor__File *file;

    assert_int_equal(response->message_response_case, TELLS(FILE_DESCRIPTOR_RESPONSE));
    assert_int_equal(response->file_descriptor_response->n_file_descriptor_proto, 1);
    file = p2p__descriptor__file__unpack(
        NULL, response->file_descriptor_response->file_descriptor_proto[0].len,
        response->file_descriptor_response->file_descriptor_proto[0].data);
    assert_non_null(file);
    assert_string_equal(file->name, name);
    p2p__descriptor__file__free_unpacked(file, NULL);
}

static void tells_services_and_files(void **state)
{
    static const char *const services[] = {
        "peer.PeerService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    };
    struct world *world = *state;
    reflection_response *response = ask(world, ASKS(LIST_SERVICES), "*");

    assert_int_equal(response->message_response_case, TELLS(LIST_SERVICES_RESPONSE));
    assert_int_equal(response->list_services_response->n_service, ARRAY_LENGTH(services));
    for (size_t i = 0; i < ARRAY_LENGTH(services); i++) {
        bool found = false;

        for (size_t j = 0; j < ARRAY_LENGTH(services); j++)
            found = found ||
                    strcmp(response->list_services_response->service[j]->name, services[i]) == 0;
        check_row(i, found);
    }
    done(response);
    response = ask(world, ASKS(FILE_BY_FILENAME), "peer.proto");
    assert_file(response, "peer.proto");
    done(response);
    response = ask(world, ASKS(FILE_BY_FILENAME), "google/protobuf/descriptor.proto");
    assert_file(response, "google/protobuf/descriptor.proto");
    done(response);
}

static void finds_symbols(void **state)
{
    static const struct {
        const char *symbol;
        const char *file; /* NULL: not found */
    } rows[] = {
        {"peer.PeerService", "peer.proto"},
        {"peer.PeerService.ListFiles", "peer.proto"},
        {"peer.Chunk", "peer.proto"},
        {"grpc.health.v1.HealthCheckResponse.ServingStatus", "health.proto"},
        {"grpc.reflection.v1.ServerReflection", "reflection_v1.proto"},
        {"grpc.reflection.v1alpha.ErrorResponse", "reflection_v1alpha.proto"},
        {"google.protobuf.FieldDescriptorProto.Type", "google/protobuf/descriptor.proto"},
        {"peer", NULL},
        {"peer.", NULL},
        {"peer.Chun", NULL},
        {"peer.Chunks", NULL},
        {"peer.Chunk.", NULL},
        {"peer.PeerService.", NULL},
        {"peer.PeerService.ListFiles.x", NULL},
        {"", NULL},
    };
    struct world *world = *state;

    for (size_t row = 0; row < ARRAY_LENGTH(rows); row++) {
        reflection_response *response = ask(world, ASKS(FILE_CONTAINING_SYMBOL), rows[row].symbol);

        if (rows[row].file) {
            assert_file(response, rows[row].file);
        } else {
            check_row(row, response->message_response_case == TELLS(ERROR_RESPONSE));
            check_row(row, response->error_response->error_code == 5);
        }
        done(response);
    }
}

static void answers_other_questions_with_an_error(void **state)
{
    struct world *world = *state;
    reflection_response *response = ask(world, ASKS(ALL_EXTENSION_NUMBERS_OF_TYPE), "peer.Chunk");
    struct rpc_response received;
    bool end;

    assert_int_equal(response->message_response_case, TELLS(ERROR_RESPONSE));
    assert_int_equal(response->error_response->error_code, 12);
    done(response);
    assert_int_equal(rpc_client_send_end(world->call, NULL), ERROR_NONE);
    assert_int_equal(rpc_client_receive(world->call, &received, &end, NULL), ERROR_NONE);
    assert_true(end);
}

static void refuses_a_broken_set(void **state)
{
    struct descriptor_index *index;

    (void)state;
    assert_int_equal(descriptor_index_new("\x0a\x05x", 3, &index, NULL), ERROR_CORRUPT);
    assert_int_equal(descriptor_index_new("\x0a\x02\x0a\x07", 4, &index, NULL), ERROR_CORRUPT);
    assert_int_equal(descriptor_index_new("\x0a\x02\x0a\x07\x0a\x00", 6, &index, NULL),
                     ERROR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tells_services_and_files, start_v1, stop),
        cmocka_unit_test_setup_teardown(tells_services_and_files, start_v1alpha, stop),
        cmocka_unit_test_setup_teardown(finds_symbols, start_v1, stop),
        cmocka_unit_test_setup_teardown(answers_other_questions_with_an_error, start_v1alpha, stop),
        cmocka_unit_test(refuses_a_broken_set),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
