/*
 * grpc.health.v1.Health: whether the peer serves. It knows "" (the whole server) and
 * "peer.PeerService"; both are SERVING from the start until health_service_stop. Any thread.
 */
#pragma once

#include "peer/rpc/server.h"

struct health_service;

struct health_service *health_service_new(void); /* owned by the caller; never NULL */

/* Before rpc_server_stop: tells the watchers NOT_SERVING and ends their streams, which would
 * otherwise last as long as the server's grace. */
void health_service_stop(struct health_service *service);

/* After the server that uses it is freed. NULL is fine. */
void health_service_free(struct health_service *service);

/* The rows for rpc_server_options; borrowed. */
const struct rpc_service *health_service_rpc(const struct health_service *service);
