/*
 * A unary call of a test, from start to end.
 */
#pragma once

#include "peer/rpc/client.h"

static inline enum error_code unary_call(struct rpc_channel *channel, const char *method,
                                         const ProtobufCMessage *request,
                                         const ProtobufCMessageDescriptor *descriptor,
                                         int64_t step_ms, ProtobufCMessage **response,
                                         struct error *error)
{
    struct rpc_client_call *call;
    enum error_code code = rpc_client_start(channel, method, step_ms, &call, error);

    if (code)
        return code;
    code = rpc_client_send_only(call, request, error);
    if (!code)
        code = rpc_client_receive_only(call, descriptor, response, error);
    rpc_client_free(call);
    return code;
}
