/*
 * Takes in the connections of a server and hands them over to the core when they have greeted. One
 * thread.
 *
 * The core's own listener is not used: once accepting has failed for want of descriptors it never
 * accepts again, it knows no limit, and it keeps connections that say nothing.
 *
 *   accept ─▶ silent ── greeting (rpc/greeting.h) ──▶ the core's
 *     │         └── 15 s, wrong bytes, or room is needed: closed
 *     └── too many (rpc/connections.h), and none that can make room: closed at once, which is an
 *         error there and no waiting
 */
#pragma once

#include "common/error.h"
#include "peer/rpc/connections.h"

#include <stdint.h>

struct acceptor;

struct acceptor_options {
    const char *address; /* as for rpc_server_start; borrowed for the call */
    struct connection_limits limits;
    /* On the acceptor's thread: the descriptor is taken. */
    void (*hand_over)(void *context, int descriptor);
    void *context;
};

/* Listens, but accepts nothing yet. Errors as listener_open. */
MUST_CHECK enum error_code acceptor_open(const struct acceptor_options *options,
                                         struct acceptor **acceptor, struct error *error);
MUST_CHECK enum error_code acceptor_start(struct acceptor *acceptor, struct error *error);

/* Listens no more, and hands nothing over once this has returned. What is silent is closed. */
void acceptor_stop(struct acceptor *acceptor);
void acceptor_free(struct acceptor *acceptor); /* stops first; NULL is fine */

uint16_t acceptor_port(const struct acceptor *acceptor);                   /* 0: a Unix socket */
struct connections *acceptor_connections(const struct acceptor *acceptor); /* borrowed */
