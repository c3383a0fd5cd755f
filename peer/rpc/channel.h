/*
 * What the calls of rpc/client.h need of their channel. Any thread. Used by client.c only.
 */
#pragma once

#include "peer/rpc/client.h"

#include <grpc/grpc.h>

/* A new call, whose events come to the queue. Never NULL; connecting begins with its first batch.
 */
grpc_call *rpc_channel_call(struct rpc_channel *channel, grpc_completion_queue *queue,
                            const char *method);

/* A call could not connect. */
void rpc_channel_failed(struct rpc_channel *channel);

/* As the user wrote it. Borrowed, as long as the channel. */
const char *rpc_channel_target(const struct rpc_channel *channel);
