/*
 * PeerService (proto/peer.proto): the methods that other peers call, on the shared folder.
 *
 * Names from the wire are checked here, once. What goes wrong is told in Spanish: users of the
 * network read it. Any thread.
 */
#pragma once

#include "common/error.h"
#include "peer/rpc/server.h"
#include "peer/share/share.h"

#include <stdint.h>

/* File bytes in one message of a download. Larger ones cost less a byte (256 KiB is within 5 % of
 * 1 MiB on loopback); smaller ones let more streams share a connection and a memory: what a
 * receiver that does not read holds of ours is about twice this. */
#define PEER_CHUNK_BYTES ((size_t)256 << 10)

/* grpcio takes 4 MiB by default. The one reply that may come near it is the list of files, about
 * 100,000 of them with names of 30 bytes. */
#define PEER_LIST_MAX_BYTES ((size_t)4 * 1024 * 1024 - 64 * 1024)

struct peer_service;

/* The share is borrowed until peer_service_free. *service is owned by the caller. ERROR_IO: no
 * threads. */
MUST_CHECK enum error_code peer_service_new(struct share *share, struct peer_service **service,
                                            struct error *error);
/* After the server that uses it is freed. Waits for a commit that runs. NULL is fine. */
void peer_service_free(struct peer_service *service);

/* The rows for rpc_server_options; borrowed. */
const struct rpc_service *peer_service_rpc(const struct peer_service *service);

/* Downloads and uploads that are going on. */
int64_t peer_service_streams(const struct peer_service *service);
