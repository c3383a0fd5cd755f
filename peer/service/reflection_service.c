#include "peer/service/reflection_service.h"

#include "common/memory.h"
#include "peer/service/descriptor_index.h"
#include "proto/reflection_v1.pb-c.h"

#include <stdlib.h>

/* Made by the build from the .proto files (proto/CMakeLists.txt). */
extern const unsigned char p2p_descriptors[];
extern const size_t p2p_descriptors_bytes;

typedef Grpc__Reflection__V1__ServerReflectionRequest reflection_request;
typedef Grpc__Reflection__V1__ServerReflectionResponse reflection_response;

/* As protoc-c names the cases of the two oneofs. */
#define ASKS(what)  GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##what
#define TELLS(what) GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##what

/* Statuses of gRPC, which here are data. */
enum { STATUS_NOT_FOUND = 5, STATUS_UNIMPLEMENTED = 12 };

struct reflection_service {
    struct rpc_service rpc;
    struct descriptor_index *index;
};

struct reflection {
    struct reflection_service *service;
    reflection_request *request; /* waits for its answer; owned */
    bool ended;
};

/* ---- the answers ---- */

static enum error_code pack(struct rpc_reply *reply, reflection_request *request,
                            reflection_response *response, struct error *error)
{
    response->valid_host = request->host;
    response->original_request = request;
    return rpc_reply_pack(reply, &response->base, error);
}

static enum error_code answer_error(reflection_request *request, int32_t status, const char *text,
                                    struct rpc_reply *reply, struct error *error)
{
    reflection_response response = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;
    Grpc__Reflection__V1__ErrorResponse answer = GRPC__REFLECTION__V1__ERROR_RESPONSE__INIT;

    answer.error_code = status;
    answer.error_message = (char *)(uintptr_t)text; /* packing only reads it */
    response.message_response_case = TELLS(ERROR_RESPONSE);
    response.error_response = &answer;
    return pack(reply, request, &response, error);
}

static enum error_code answer_file(reflection_request *request, const struct descriptor_file *file,
                                   struct rpc_reply *reply, struct error *error)
{
    reflection_response response = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;
    Grpc__Reflection__V1__FileDescriptorResponse answer =
        GRPC__REFLECTION__V1__FILE_DESCRIPTOR_RESPONSE__INIT;
    ProtobufCBinaryData bytes = {.data = (uint8_t *)(uintptr_t)file->data, .len = file->bytes};

    answer.n_file_descriptor_proto = 1;
    answer.file_descriptor_proto = &bytes;
    response.message_response_case = TELLS(FILE_DESCRIPTOR_RESPONSE);
    response.file_descriptor_response = &answer;
    return pack(reply, request, &response, error);
}

static void add_service(void *context, const char *name)
{
    Grpc__Reflection__V1__ListServiceResponse *answer = context;
    Grpc__Reflection__V1__ServiceResponse *service = memory_new(1, sizeof *service);

    grpc__reflection__v1__service_response__init(service);
    service->name = memory_copy_string(name);
    answer->service = memory_resize(answer->service, answer->n_service + 1, sizeof(void *));
    answer->service[answer->n_service++] = service;
}

static enum error_code answer_services(struct reflection *reflection, struct rpc_reply *reply,
                                       struct error *error)
{
    reflection_response response = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;
    Grpc__Reflection__V1__ListServiceResponse *answer = memory_new(1, sizeof *answer);
    enum error_code code;

    grpc__reflection__v1__list_service_response__init(answer);
    descriptor_index_each_service(reflection->service->index, add_service, answer);
    response.message_response_case = TELLS(LIST_SERVICES_RESPONSE);
    response.list_services_response = answer;
    code = pack(reply, reflection->request, &response, error);
    grpc__reflection__v1__list_service_response__free_unpacked(answer, NULL);
    return code;
}

static enum error_code answer(struct reflection *reflection, struct rpc_reply *reply,
                              struct error *error)
{
    const struct descriptor_index *index = reflection->service->index;
    reflection_request *request = reflection->request;
    struct descriptor_file file;
    bool found;

    switch (request->message_request_case) {
    case ASKS(LIST_SERVICES):
        return answer_services(reflection, reply, error);
    case ASKS(FILE_BY_FILENAME):
        found = descriptor_index_find_file(index, request->file_by_filename, &file);
        break;
    case ASKS(FILE_CONTAINING_SYMBOL):
        found = descriptor_index_find_symbol(index, request->file_containing_symbol, &file);
        break;
    default:
        return answer_error(request, STATUS_UNIMPLEMENTED, "not implemented", reply, error);
    }
    if (!found)
        return answer_error(request, STATUS_NOT_FOUND, "not found", reply, error);
    return answer_file(request, &file, reply, error);
}

/* ---- the stream ---- */

static void *reflection_open(void *service, struct rpc_call *call)
{
    struct reflection *reflection = memory_new(1, sizeof *reflection);

    (void)call;
    reflection->service = service;
    return reflection;
}

static void drop_request(struct reflection *reflection)
{
    if (reflection->request)
        grpc__reflection__v1__server_reflection_request__free_unpacked(reflection->request, NULL);
    reflection->request = NULL;
}

/* The message is only lent, and the answer is asked for later: keeps a copy. */
static enum error_code reflection_message(void *state, const struct rpc_request *request,
                                          struct error *error)
{
    struct reflection *reflection = state;
    auto_free uint8_t *packed = NULL;
    size_t length;

    if (!request) {
        reflection->ended = true;
        return ERROR_NONE;
    }
    packed = memory_new(protobuf_c_message_get_packed_size(request->message), 1);
    length = protobuf_c_message_pack(request->message, packed);
    reflection->request =
        grpc__reflection__v1__server_reflection_request__unpack(NULL, length, packed);
    if (!reflection->request)
        return error_set(error, ERROR_BUSY, "No hay memoria para la petición");
    return ERROR_NONE;
}

static enum rpc_step reflection_next(void *state, struct rpc_reply *reply, struct error *error)
{
    struct reflection *reflection = state;
    enum error_code code;

    if (!reflection->request)
        return reflection->ended ? RPC_END : RPC_READ;
    code = answer(reflection, reply, error);
    drop_request(reflection);
    return code ? RPC_END : RPC_SEND;
}

static void reflection_close(void *state)
{
    struct reflection *reflection = state;

    drop_request(reflection);
    free(reflection);
}

#define ROW(version)                                                                     \
    {                                                                                    \
        .path = "/grpc.reflection." version ".ServerReflection/ServerReflectionInfo",    \
        .request = &grpc__reflection__v1__server_reflection_request__descriptor,         \
        .open = reflection_open, .message = reflection_message, .next = reflection_next, \
        .close = reflection_close,                                                       \
    }

static const struct rpc_method methods[] = {ROW("v1"), ROW("v1alpha")};

/* ---- life ---- */

enum error_code reflection_service_new(struct reflection_service **service_out, struct error *error)
{
    struct reflection_service *service = memory_new(1, sizeof *service);
    enum error_code code =
        descriptor_index_new(p2p_descriptors, p2p_descriptors_bytes, &service->index, error);

    if (code) {
        reflection_service_free(service);
        return code;
    }
    service->rpc = (struct rpc_service){
        .methods = methods, .method_count = ARRAY_LENGTH(methods), .service = service};
    *service_out = service;
    return ERROR_NONE;
}

void reflection_service_free(struct reflection_service *service)
{
    if (!service)
        return;
    descriptor_index_free(service->index);
    free(service);
}

const struct rpc_service *reflection_service_rpc(const struct reflection_service *service)
{
    return &service->rpc;
}
