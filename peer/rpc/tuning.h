/*
 * The settings of the gRPC core, each with its reason. Used inside peer/rpc only.
 */
#pragma once

#include <grpc/grpc.h>

#define TUNING_MAX_ARGS 16

struct tuning {
    grpc_arg items[TUNING_MAX_ARGS];
    grpc_channel_args args; /* points into the struct: do not copy it */
};

void tuning_for_server(struct tuning *tuning);
void tuning_for_client(struct tuning *tuning);
