/*
 * PeerService (proto/peer.proto): the methods that other peers call, on the shared folder.
 *
 * Names from the wire are checked here, once. What goes wrong is told in Spanish: users of the
 * network read it. Any thread.
 */
#pragma once

#include "common/error.h"
#include "peer/catalogue/catalogue.h"
#include "peer/locate/locator.h"
#include "peer/rpc/server.h"
#include "peer/share/share.h"

#include <stdint.h>

/* File bytes in one message of a download: a share of a sum, so that one receiver gets messages
 * that cost little a byte (a 1 GiB download to a file takes a tenth less processor time with 1 MiB
 * than with 256 KiB, and a fifth more with 128 KiB), and what hundreds of receivers that do not
 * read hold of our memory stays small. */
#define PEER_CHUNK_MAX_BYTES ((size_t)1 << 20)
#define PEER_CHUNK_MIN_BYTES ((size_t)128 << 10)
#define PEER_CHUNK_SUM_BYTES ((size_t)16 << 20)

/* grpcio takes 4 MiB by default. The one reply that may come near it is the list of files, about
 * 100,000 of them with names of 30 bytes. */
#define PEER_LIST_MAX_BYTES ((size_t)4 * 1024 * 1024 - 64 * 1024)

struct peer_service;

/* Hashes in one message of a manifest: 1 MiB. */
#define PEER_MANIFEST_HASHES ((size_t)32 << 10)

/* Share and catalogue are borrowed until peer_service_free. Without a catalogue (NULL) no ids are
 * known, and none ever will be. *service is owned by the caller. ERROR_IO: no threads. */
MUST_CHECK enum error_code peer_service_new(struct share *share, struct catalogue *catalogue,
                                            struct peer_service **service, struct error *error);
/* After the server that uses it is freed. Waits for a commit that runs. NULL is fine. */
void peer_service_free(struct peer_service *service);

/* Whom Locate asks; borrowed until peer_service_free. It is made after the server, when the port is
 * known: until then Locate is UNIMPLEMENTED, as for the reference. Any thread. */
void peer_service_set_locator(struct peer_service *service, struct locator *locator);

/* The rows for rpc_server_options; borrowed. */
const struct rpc_service *peer_service_rpc(const struct peer_service *service);

/* Downloads and uploads that are going on. */
int64_t peer_service_streams(const struct peer_service *service);
