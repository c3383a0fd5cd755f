/*
 * The downloads that have not begun: what is wanted, for a daemon that is killed meanwhile. All of
 * them in one file, a line of JSON each, because thousands may be asked for at once and most are
 * done before a file of their own (journal.h) would be worth its making.
 *
 * A line with the id of an earlier one takes its place; one that says "over" ends it. What follows
 * the last whole line is a torn end. Lines are written at once and not waited for: what a process
 * has written outlives it, though not the machine. Any thread.
 */
#pragma once

#include "common/error.h"
#include "peer/downloads/journal.h"

#include <stdbool.h>
#include <stdint.h>

#define WANTED_FILE "wanted.jsonl"

struct wanted;

/* Opens or makes the file in that folder, and reads it. Lines that are none are passed over, and
 * *aside is set: the file as it was is WANTED_FILE ".bad". Owned by the caller. */
MUST_CHECK enum error_code wanted_open(const char *folder, struct wanted **wanted, bool *aside,
                                       struct error *error);
void wanted_close(struct wanted *wanted); /* NULL is fine */

/* Name, peer, addresses, priority and pause of the job are kept; again, when they change. lasting:
 * waits until the machine may fail, too. */
MUST_CHECK enum error_code wanted_put(struct wanted *wanted, uint64_t id,
                                      const struct journal_job *job, bool lasting,
                                      struct error *error);
/* The same for several new ones, by one write: all of them are kept, or none. */
struct wanted_item {
    uint64_t id;
    const struct journal_job *job; /* borrowed */
};
MUST_CHECK enum error_code wanted_put_all(struct wanted *wanted, const struct wanted_item *items,
                                          size_t count, struct error *error);

/* It has a journal of its own now, or is over. One that is not there is fine. */
void wanted_drop(struct wanted *wanted, uint64_t id);
/* The same for several, by one write. */
void wanted_drop_all(struct wanted *wanted, const uint64_t *ids, size_t count);

/* The one with the lowest id above *id, which becomes *id; *job is the caller's (journal_job_done).
 * False: there is none. */
bool wanted_next(struct wanted *wanted, uint64_t *id, struct journal_job *job);
