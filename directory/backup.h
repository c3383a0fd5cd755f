/*
 * A copy of the database while the directory uses it, or while it does not. It is of one moment,
 * needs no log beside it, and is compact; it takes a reader's place, so that nobody waits for it,
 * but the database's log cannot be folded back before it is done.
 */
#pragma once

#include "common/error.h"

#include <stdatomic.h>

/* The copy has its name only when it is whole and on the disk; it never replaces a file. Whatever
 * fails, nothing is left. ERROR_EXISTS: there is a file of that name; ERROR_INVALID: the database
 * is none of ours; ERROR_NO_SPACE; ERROR_CANCELLED: the flag was set, by any thread; others as of
 * common/database.h. */
MUST_CHECK enum error_code backup_make(const char *database, const char *file,
                                       const atomic_bool *cancelled, struct error *error);
