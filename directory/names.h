/*
 * The names that files have, each once, with the id that files know it by, and the index of what
 * stands in them (directory/index.h has the schema, directory/trigrams.h what is indexed).
 *
 * The index follows later, for many names at once, which costs a tenth of it: FTS5 writes a segment
 * for each transaction, and for each id that is lower than the one before. What waits is in the
 * database, so nothing of it is forgotten: names that came have ids after `worded`, and readers
 * compare them one by one; names that nobody shares any more stay until then, listed in `unused`,
 * and readers find that they have no files.
 *
 * Works within the transactions of whoever owns the connection, on that one's thread.
 */
#pragma once

#include "common/database.h"
#include "common/error.h"

#include <stdbool.h>
#include <stdint.h>

struct names;
struct name_ids;

/* Of the names that are committed (directory/name_ids.h) it keeps ids, which is borrowed like the
 * connection, until names_close. Names that were indexed by other rules
 * (common/fold.h), or not at all, are indexed anew before, in a transaction of its own. */
MUST_CHECK enum error_code names_open(struct database *database, struct name_ids *ids,
                                      struct names **names, struct error *error);
void names_close(struct names *names); /* NULL is allowed */
/* ERROR_INVALID: names_open would index them anew. */
MUST_CHECK enum error_code names_check(struct database *database, struct error *error);

/* The name's id. One that is not there is made, or else ERROR_CORRUPT: the caller knows that it has
 * files. */
MUST_CHECK enum error_code names_get(struct names *names, const char *name, bool make, int64_t *id,
                                     struct error *error);
/* If no file has the name any more, it will be forgotten. */
MUST_CHECK enum error_code names_forget_unused(struct names *names, int64_t id,
                                               struct error *error);

/* Names that may wait when a transaction ends: comparing them takes a search half a millisecond. */
#define NAMES_WAITING_MAX 1024
/* Before a transaction ends: brings the index up to date and forgets unused names, if more than max
 * wait. */
MUST_CHECK enum error_code names_settle(struct names *names, int64_t max, struct error *error);

/* After a transaction, before anybody is told that it is committed. */
void names_committed(struct names *names);
void names_rolled_back(struct names *names);

/* Between transactions: puts some of the names that were there before into ids; false: all are in,
 * or they cannot be read. */
bool names_load_some(struct names *names);
