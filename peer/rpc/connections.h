/*
 * Who is connected to a server, and how many may be. Knows descriptors and addresses; opens, reads
 * and closes nothing. Any thread.
 *
 * A connection is silent until its greeting has come (greeting.h), then it is the core's. The core
 * does not say when it closes a descriptor. So whenever the count matters each one is looked at:
 * one that is closed, or is another file by now, is no connection any more.
 */
#pragma once

#include "common/compiler.h"
#include "peer/rpc/peer_name.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct connection_limits {
    size_t total;
    size_t host; /* of one IPv4 address, or of one IPv6 network of 64 bits, which one host has */
};

/* What a process may have that may open so many descriptors: half of those that the daemon does not
 * need for itself, for each connection may want a file; at most 4,096, which take some 130 MiB when
 * they are idle. One host gets a quarter, so that none takes all places; loopback is a host too.
 * local: for a Unix socket, an eighth, at most 256, besides the others: commands find a place
 * however many peers there are. */
struct connection_limits connection_limits_of(uint64_t descriptors, bool local);

struct connections;

struct connections *connections_new(struct connection_limits limits);
void connections_free(struct connections *connections);

enum admission { ADMISSION_GRANTED, ADMISSION_FULL, ADMISSION_HOST_FULL };

/* Takes in a silent connection that has to greet until deadline_ms. At a limit the one that has
 * been silent for longest makes room: *displaced is its descriptor, which the caller closes; else
 * -1. */
MUST_CHECK enum admission connections_admit(struct connections *connections, int descriptor,
                                            const struct sockaddr_storage *address,
                                            int64_t deadline_ms, int *displaced);

bool connections_is_silent(struct connections *connections, int descriptor);
void connections_greeted(struct connections *connections, int descriptor);
void connections_drop(struct connections *connections, int descriptor);

/* Takes out a silent connection whose deadline is not after now_ms; the caller closes its
 * descriptor. -1: there is none. */
int connections_take_late(struct connections *connections, int64_t now_ms);

size_t connections_silent(struct connections *connections);
size_t connections_count(struct connections *connections);
struct connection_limits connections_limits(const struct connections *connections);

/* The other side of a connection that is open. "" for a descriptor that is none. Returns out. */
const char *connections_name(struct connections *connections, int descriptor,
                             char out[PEER_NAME_BYTES]);
