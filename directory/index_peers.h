/*
 * What the database keeps of the registry (directory/registry.h), on the writing connection:
 *
 *   peers  a row for each, written when more of it changes than the time it was seen: id, name,
 *          token, mark, sequence, away_ms, and of the stored list urls, etag, host. seen_ms is the
 *          time of that write.
 *   seen   when they were seen, a row for each block of 1,024 ids: `ages` has 4 bytes for each (the
 *          processor's order), the time since then at now_ms.
 *   state  written_ms: the boot clock at the last write; run_ms: the run clock then; epoch.
 *
 * Times are of the boot clock, which begins anew with the machine. So each start is an epoch of its
 * own: its first write replaces all blocks and the epoch, and a row's seen_ms only counts in the
 * epoch that the row is of. It does when the row is newer than its block.
 */
#pragma once

#include "common/database.h"
#include "directory/registry.h"

#include <stdint.h>

struct index_peers;

/* The database is borrowed. *peers is the caller's. Errors are as in directory/index.h. */
MUST_CHECK enum error_code index_peers_open(struct database *database, struct index_peers **peers,
                                            struct error *error);
void index_peers_close(struct index_peers *peers); /* NULL is allowed */

struct index_clocks {
    int64_t written_ms;
    int64_t run_ms;
};
MUST_CHECK enum error_code index_peers_clocks(struct index_peers *peers,
                                              struct index_clocks *clocks, struct error *error);

/* The highest id of a stored peer: there are at most so many. 0: none. */
MUST_CHECK enum error_code index_peers_last_id(struct index_peers *peers, int64_t *id,
                                               struct error *error);
/* Hands every stored peer to the function, for which its strings are borrowed. */
typedef void index_peer_fn(void *context, const struct registry_record *record);
MUST_CHECK enum error_code index_peers_load(struct index_peers *peers, index_peer_fn *take,
                                            void *context, struct error *error);

/* In a transaction of directory/index.h: */

/* The first in an epoch comes with all blocks. */
MUST_CHECK enum error_code index_peers_store_clocks(struct index_peers *peers,
                                                    const struct index_clocks *clocks,
                                                    struct error *error);
MUST_CHECK enum error_code index_peers_begin_epoch(struct index_peers *peers, struct error *error);
/* Not urls, etag and host: those are stored with the list. */
MUST_CHECK enum error_code index_peers_store(struct index_peers *peers,
                                             const struct registry_record *record,
                                             struct error *error);
MUST_CHECK enum error_code index_peers_store_seen(struct index_peers *peers,
                                                  const struct registry_seen *seen,
                                                  struct error *error);
