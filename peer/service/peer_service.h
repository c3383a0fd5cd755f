/*
 * PeerService (proto/peer.proto): the methods that other peers call, on the shared folder.
 *
 * Names from the wire are checked here, once. What goes wrong is told in Spanish: users of the
 * network read it. Any thread.
 */
#pragma once

#include "common/error.h"
#include "peer/catalogue/catalogue.h"
#include "peer/limits/limits.h"
#include "peer/limits/timer.h"
#include "peer/locate/locator.h"
#include "peer/rpc/server.h"
#include "peer/share/arrivals.h"
#include "peer/share/share.h"

#include <stdint.h>

/* How often a receiver that understands it is told its place while it waits. */
#define PEER_PLACE_MS 2000

/* Uploads to us at once, altogether and at most of one host (limits/host_counts.h). Each holds a
 * descriptor, a temporary file, and up to 3 MiB of a message that is on its way. */
#define PEER_MAX_UPLOADS      64
#define PEER_MAX_HOST_UPLOADS 16

/* Calls of DownloadFiles at once, likewise: each keeps what it was asked for, 140 KiB at most. Who
 * is refused asks file by file. */
#define PEER_MAX_FILES_CALLS      256
#define PEER_MAX_HOST_FILES_CALLS 32

/* File bytes in a message of DownloadFiles: it should not be asked for a grant, nor wake a
 * receiver, for every few files. A larger file has as large a message as the limits grant. */
#define PEER_FILES_MESSAGE_BYTES ((int64_t)256 << 10)

/* A message goes out with what it has when it has taken so long to fill: other connections wait. */
#define PEER_FILES_MESSAGE_MS 20

/* grpcio takes 4 MiB by default. The one reply that may come near it is the list of files, about
 * 100,000 of them with names of 30 bytes. */
#define PEER_LIST_MAX_BYTES ((size_t)4 * 1024 * 1024 - 64 * 1024)

struct peer_service;

/* Hashes in one message of a manifest: 128 KiB, which each of those who do not read one holds. */
#define PEER_MANIFEST_HASHES ((size_t)4 << 10)

struct peer_service_options {
    struct share *share;         /* all borrowed until peer_service_free */
    struct catalogue *catalogue; /* NULL: no ids are known, and none ever will be */
    struct arrivals *arrivals;   /* NULL: what arrives is not served before it is whole */
    struct limits *limits;
    struct timer *timer;
};

/* *service is owned by the caller. ERROR_IO: no threads. */
MUST_CHECK enum error_code peer_service_new(const struct peer_service_options *options,
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
