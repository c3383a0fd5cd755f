/*
 * The list of what is shared between who keeps it (watch.h) and who wants it (share_listing): who
 * wants it asks, and waits until it was looked at what has happened. Nobody keeps it: each who
 * wants it looks at the folder by himself.
 *
 * For who keeps it; one thread at a time.
 */
#pragma once

#include "common/error.h"
#include "peer/share/list/listing.h"
#include "peer/share/list/pending.h"
#include "peer/share/share.h"

#include <stdint.h>

/* From now on share_listing asks; wake is an eventfd, written to for each question. */
void kept_begin(struct share *share, int wake);
/* Who waits looks by himself. */
void kept_end(struct share *share);

/* The number of the last question, and the names that are to be looked at (share_look_again). */
uint64_t kept_take(struct share *share, struct pending *pending);

/* Answers all questions up to that number: with the list, of which a reference is taken, or with
 * why there is none. */
void kept_answer(struct share *share, uint64_t number, struct listing *listing,
                 const struct error *error);
