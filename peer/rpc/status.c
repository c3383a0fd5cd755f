#include "peer/rpc/status.h"

#include <string.h>

static const struct {
    grpc_status_code status;
    const char *word;
} statuses[ERROR_CODE_COUNT] = {
    [ERROR_NONE] = {GRPC_STATUS_OK, "none"},
    [ERROR_INVALID] = {GRPC_STATUS_INVALID_ARGUMENT, "invalid"},
    [ERROR_NOT_FOUND] = {GRPC_STATUS_NOT_FOUND, "not-found"},
    [ERROR_EXISTS] = {GRPC_STATUS_ALREADY_EXISTS, "exists"},
    [ERROR_DENIED] = {GRPC_STATUS_PERMISSION_DENIED, "denied"},
    [ERROR_TOO_LARGE] = {GRPC_STATUS_RESOURCE_EXHAUSTED, "too-large"},
    [ERROR_NO_SPACE] = {GRPC_STATUS_RESOURCE_EXHAUSTED, "no-space"},
    [ERROR_BUSY] = {GRPC_STATUS_UNAVAILABLE, "busy"},
    [ERROR_CHANGED] = {GRPC_STATUS_ABORTED, "changed"},
    [ERROR_UNREACHABLE] = {GRPC_STATUS_UNAVAILABLE, "unreachable"},
    [ERROR_TIMEOUT] = {GRPC_STATUS_DEADLINE_EXCEEDED, "timeout"},
    [ERROR_CANCELLED] = {GRPC_STATUS_CANCELLED, "cancelled"},
    [ERROR_UNSUPPORTED] = {GRPC_STATUS_UNIMPLEMENTED, "unsupported"},
    [ERROR_CORRUPT] = {GRPC_STATUS_DATA_LOSS, "corrupt"},
    [ERROR_IO] = {GRPC_STATUS_INTERNAL, "io"},
};

grpc_status_code rpc_status_of(enum error_code code)
{
    return (unsigned)code < ERROR_CODE_COUNT ? statuses[code].status : GRPC_STATUS_UNKNOWN;
}

enum error_code rpc_status_to_code(grpc_status_code status)
{
    switch (status) {
    case GRPC_STATUS_OK:
        return ERROR_NONE;
    case GRPC_STATUS_INVALID_ARGUMENT:
    case GRPC_STATUS_OUT_OF_RANGE:
        return ERROR_INVALID;
    case GRPC_STATUS_NOT_FOUND:
        return ERROR_NOT_FOUND;
    case GRPC_STATUS_ALREADY_EXISTS:
        return ERROR_EXISTS;
    case GRPC_STATUS_PERMISSION_DENIED:
    case GRPC_STATUS_UNAUTHENTICATED:
        return ERROR_DENIED;
    case GRPC_STATUS_RESOURCE_EXHAUSTED: /* from the core: a message over the limit */
        return ERROR_TOO_LARGE;
    case GRPC_STATUS_ABORTED:
    case GRPC_STATUS_FAILED_PRECONDITION:
        return ERROR_CHANGED;
    case GRPC_STATUS_UNAVAILABLE: /* from the core: no connection, or it broke */
        return ERROR_UNREACHABLE;
    case GRPC_STATUS_DEADLINE_EXCEEDED:
        return ERROR_TIMEOUT;
    case GRPC_STATUS_CANCELLED:
        return ERROR_CANCELLED;
    case GRPC_STATUS_UNIMPLEMENTED:
        return ERROR_UNSUPPORTED;
    case GRPC_STATUS_DATA_LOSS:
        return ERROR_CORRUPT;
    case GRPC_STATUS_INTERNAL:
    case GRPC_STATUS_UNKNOWN: /* what grpcio sends when a handler raises */
    default:
        return ERROR_IO;
    }
}

bool rpc_status_needs_word(enum error_code code)
{
    grpc_status_code status = rpc_status_of(code);

    return status == GRPC_STATUS_UNAVAILABLE || status == GRPC_STATUS_CANCELLED ||
           rpc_status_to_code(status) != code;
}

const char *rpc_status_word(enum error_code code)
{
    return (unsigned)code < ERROR_CODE_COUNT ? statuses[code].word : "io";
}

bool rpc_status_parse_word(const char *word, size_t length, enum error_code *code)
{
    for (int i = 1; i < ERROR_CODE_COUNT; i++)
        if (strlen(statuses[i].word) == length && memcmp(statuses[i].word, word, length) == 0) {
            *code = (enum error_code)i;
            return true;
        }
    return false;
}
