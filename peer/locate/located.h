/*
 * Sources that no directory told just now: how they are put together, and what the user is told of
 * them. Pure.
 */
#pragma once

#include "peer/network/directory_client.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of one answer, also of all that a question brings: a download that has failed at so many is
 * better told than tried on, and nobody makes us knock at thousands of doors. */
#define LOCATED_SOURCES_MAX   64
#define LOCATED_ADDRESSES_MAX 2   /* of one source */
#define LOCATED_PEER_BYTES    128 /* the longest name that a peer may have */

#define LOCATED_NOTE_BYTES 512
#define LOCATED_AGE_BYTES  32

/* Whether a name can be that of a peer: not empty, not too long, nothing to control a terminal. */
bool located_peer_is_good(const char *peer, size_t length);

/* Whether an address that the peer `from` told of is one to connect to: not a wildcard, nor this
 * machine's own loopback unless `from` is there too. Names are taken as they are. */
bool located_address_is_good(const struct address *address, const struct address *from);

/* Moves the sources of `from` behind those of `into`, up to LOCATED_SOURCES_MAX in all. Left out is
 * who has no address, or only such as are there already, with the same content: what was remembered
 * of a peer and what is said of it now both stay when they differ. `from` is empty afterwards. */
void located_merge(struct directory_sources *into, struct directory_sources *from);

/* Takes out those of that name. */
void located_drop_peer(struct directory_sources *sources, const char *peer);

/* "hace 12 s", "hace 5 min", "hace 3 h", "hace 2 días". Returns out. */
const char *located_age(int64_t age_ms, char out[LOCATED_AGE_BYTES]);

/* "El directorio no responde; según lo recordado hace 5 min", with each origin once; "" where a
 * directory told all. Returns out. */
const char *located_note(const struct directory_sources *sources, char out[LOCATED_NOTE_BYTES]);
