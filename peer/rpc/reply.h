/*
 * What a handler answers with: the functions of rpc/server.h that pack a message. Used by
 * server_call.c only.
 */
#pragma once

#include "peer/rpc/server.h"

#include <grpc/grpc.h>

struct rpc_reply {
    grpc_byte_buffer *buffer; /* NULL: nothing was packed */
    size_t limit_bytes;
};

void reply_drop(struct rpc_reply *reply);
