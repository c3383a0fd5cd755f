/*
 * Where a file can be had: the directory's answer (or what stands in for it, peer/locate), made
 * into peers with the addresses to try.
 */
#pragma once

#include "common/address.h"
#include "common/error.h"
#include "common/file_name.h"
#include "peer/locate/locator.h"
#include "peer/network/directory_client.h"
#include "peer/network/interrupt.h"

#include <stdbool.h>
#include <stddef.h>

/* What is needed to look for sources. Plain, borrowed pointers; they stay as long as whoever was
 * given this. */
struct source_finder {
    const char *own_name;            /* our peer name: we are our own last resort */
    struct locator *locator;         /* NULL: nobody is asked, nothing is found */
    const struct address *fallbacks; /* grpc_urls */
    size_t fallback_count;
};

/* Asks the locator and applies sources_complete and sources_spread; that we have a part ourselves
 * is left out. Any thread; ends soon after the interrupt is raised. Errors as locator_find. */
MUST_CHECK enum error_code sources_find(const struct source_finder *finder,
                                        const struct locator_search *search,
                                        struct directory_sources *sources, struct error *error);

/* Asks the directory for many names at once (locator_find_many), and applies sources_complete,
 * sources_spread and sources_order to what it tells of each. Any thread. Errors as
 * locator_find_many. */
MUST_CHECK enum error_code sources_find_many(const struct source_finder *finder,
                                             const struct locator_names *names,
                                             struct directory_sources *sources,
                                             struct error *error);

/* A whole file came from there, well: a peer to ask when no directory answers. Any thread. */
void sources_worked(const struct source_finder *finder, const struct address *address);

/* Pure. A peer that gave no address gets the fallbacks, all of them: the list does not say whose
 * they are (guessed), and a peer without the file says so. Not for ourselves. */
void sources_complete(const struct source_finder *finder, struct directory_sources *sources);

/* All of so many take part in a download (SWARM_SESSIONS_MAX), whatever their order. */
#define SOURCES_IN_ORDER 8

/* Pure. Of more than that the first ones are others for each peer who asks, or those that stand
 * first in the directory's list would have to serve everybody; for one peer always the same, so
 * that small files still come from few sources in groups. It is the order of hashes of both names
 * (rendezvous hashing: Thaler and Ravishankar, IEEE/ACM Transactions on Networking 6:1, 1998). */
void sources_spread(const struct source_finder *finder, struct directory_sources *sources);

/* Pure. Takes away those that have a part only; of that peer, or of all for NULL. */
void sources_drop_partial(struct directory_sources *sources, const char *peer);

/* Pure. Keeps the sources of one peer only. False when there are none (the list is empty then). */
bool sources_keep_peer(struct directory_sources *sources, const char *peer);

/* Pure. Puts ourselves last: a download from ourselves is of use only where nobody else has it. */
void sources_order(const struct source_finder *finder, struct directory_sources *sources);

/* Pure. Takes ourselves away if anybody else is there. */
void sources_leave_out_self(const struct source_finder *finder, struct directory_sources *sources);

/* Pure. The content that is wanted: that of the peer, or for "" the one that most sources have; of
 * two, the one that comes first. False when none is known. */
bool sources_wanted_content(const struct directory_sources *sources, const char *peer,
                            struct content_id *content);

/* Pure. One source, for addresses that were given. Owned by the caller (directory_sources_done). */
void sources_given(const char *peer, const struct address *addresses, size_t count,
                   struct directory_sources *sources);
