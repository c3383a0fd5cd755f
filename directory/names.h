/*
 * The names that files have, each once, with the id that files know it by, and the index of what
 * stands in them (directory/index.h has the schema, directory/trigrams.h what is indexed). The two
 * change together, so that whoever reads finds each name by all that stands in it.
 *
 * Works within the transactions of whoever owns the connection, on that one's thread.
 */
#pragma once

#include "common/database.h"
#include "common/error.h"

#include <stdbool.h>
#include <stdint.h>

struct names;

/* On a connection that is borrowed until names_close. Names that were indexed by other rules
 * (common/fold.h), or not at all, are indexed anew before, in a transaction of its own. */
MUST_CHECK enum error_code names_open(struct database *database, struct names **names,
                                      struct error *error);
void names_close(struct names *names); /* NULL is allowed */

/* The name's id. One that is not there is made, or else ERROR_CORRUPT: the caller knows that it has
 * files. */
MUST_CHECK enum error_code names_get(struct names *names, const char *name, bool make, int64_t *id,
                                     struct error *error);
/* Forgets the name if no file has it any more. */
MUST_CHECK enum error_code names_forget_unused(struct names *names, int64_t id, const char *name,
                                               struct error *error);
