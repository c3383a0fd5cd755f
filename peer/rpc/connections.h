/*
 * Who is connected to a server, and how many may be. Knows descriptors and addresses; opens, reads
 * and closes nothing. Any thread.
 *
 * A connection is silent until its greeting has come (greeting.h), then it is the core's. The core
 * does not say when it closes a descriptor. So whenever the count matters each one is looked at:
 * one that is closed, or is another file by now, is no connection any more.
 *
 * At a limit room is made: first by the one that has been silent for longest, else by one that has
 * had no call for longest, and at least for CONNECTION_IDLE_MS. It is one of the same host, when
 * that has any, else of the host that has most. Clients keep connections for what they may ask
 * later, and open another one when it is gone.
 */
#pragma once

#include "common/compiler.h"
#include "peer/limits/host_counts.h"
#include "peer/rpc/peer_name.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

/* A client that has just connected is about to call, slow lines take a while, and so do we when
 * there is much to do. */
#define CONNECTION_IDLE_MS 10000

struct connection_limits {
    size_t total;
    size_t host; /* less than total: it leaves room for others, see limits/host_counts.h */
};

/* What a process may have that may open so many descriptors: half of those that the daemon does not
 * need for itself, for each connection may want a file; at most 4,096, which take some 130 MiB when
 * they are idle. One host gets a quarter at most; loopback is a host too.
 * local: for a Unix socket, an eighth, at most 256, besides the others: commands find a place
 * however many peers there are. */
struct connection_limits connection_limits_of(uint64_t descriptors, bool local);

struct connections;

struct connections *connections_new(struct connection_limits limits);
void connections_free(struct connections *connections);

/* What had to go for a new one; descriptor -1: nothing had to. */
struct displaced {
    int descriptor;
    bool silent; /* the caller closes it; else it is the core's, and connection_end's */
    dev_t device;
    ino_t inode;
};

/* Takes in a silent connection that has to greet by deadline_ms. What is displaced is none any
 * more. */
MUST_CHECK enum admission connections_admit(struct connections *connections, int descriptor,
                                            const struct sockaddr_storage *address, int64_t now_ms,
                                            int64_t deadline_ms, struct displaced *displaced);

/* Ends one that is the core's, if it still is the one that was displaced: both sides see its end,
 * and the core then closes the descriptor. Safe against that one being closed meanwhile, and its
 * number being another file's. */
void connection_end(const struct displaced *displaced);

bool connections_is_silent(struct connections *connections, int descriptor);
void connections_greeted(struct connections *connections, int descriptor, int64_t now_ms);
void connections_drop(struct connections *connections, int descriptor);

/* Takes out a silent connection whose deadline is not after now_ms; the caller closes its
 * descriptor. -1: there is none. */
int connections_take_late(struct connections *connections, int64_t now_ms);

size_t connections_silent(struct connections *connections);
size_t connections_count(struct connections *connections);
struct connection_limits connections_limits(const struct connections *connections);

/* A call has come in on it, and is over: meanwhile it is not idle. The descriptor stays open as
 * long as the call is there, so it is no other connection's. out: the other side; "" for a
 * descriptor that is none, of which no end is to be told (false). */
bool connections_call_begins(struct connections *connections, int descriptor,
                             char out[PEER_NAME_BYTES]);
void connections_call_ends(struct connections *connections, int descriptor, int64_t now_ms);
