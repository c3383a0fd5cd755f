/*
 * grpc.reflection v1 and v1alpha: tells tools the .proto files of the services on the peer's port,
 * as they were when the program was built. Services, files by name, files by symbol; other
 * questions are answered with an error inside the stream. Any thread.
 */
#pragma once

#include "common/error.h"
#include "peer/rpc/server.h"

struct reflection_service;

/* *service is owned by the caller. ERROR_CORRUPT: what the build has embedded is broken. */
MUST_CHECK enum error_code reflection_service_new(struct reflection_service **service,
                                                  struct error *error);
/* After the server that uses it is freed. NULL is fine. */
void reflection_service_free(struct reflection_service *service);

/* The rows for rpc_server_options; borrowed. */
const struct rpc_service *reflection_service_rpc(const struct reflection_service *service);
