/*
 * Which source of a download fetches which pieces: the plan of one job. Pure: no threads, no clock,
 * no network; time and randomness are passed in, so that a whole swarm can be simulated in a test.
 *
 * A piece is missing, assigned (to one source; in the endgame to more), or held. A source asks for
 * a run of pieces, as long as it would need about PIECES_RUN_MS for at the rate it has shown
 * (PIECES_SWARM_MS in a swarm, for what others have changes all the time), and reports piece after
 * piece. Which pieces: those that the fewest sources have (all complete: from a random place on, so
 * that several downloaders of one file have something to give each other; or in order when
 * `in_order` is set, for one that is read while it arrives).
 *
 * When nothing is missing any more, a source that is free takes over the end of the run of the one
 * that would need longest (work stealing), and at last fetches single pieces a second time that
 * would come sooner from it (endgame). Who has lost pieces so learns it from pieces_wanted.
 *
 * Not thread-safe: the job holds its lock.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PIECES_SOURCES_MAX 16
#define PIECES_RUN_MS      2000
#define PIECES_SWARM_MS    700 /* the same while a source is partial */
#define PIECES_RUN_MAX     64
#define PIECES_STALL_MS    3000 /* without a byte: others may take over all that it has not begun */

struct pieces;

struct pieces_options {
    size_t count;        /* of the file */
    size_t piece_bytes;  /* of each but the last */
    const uint8_t *held; /* bit i % 8 of byte i / 8; NULL: none. Copied */
    bool in_order;
    uint64_t seed; /* of what is random: another one in each job of each peer */
};

struct pieces *
pieces_new(const struct pieces_options *options); /* owned by the caller; never NULL */
void pieces_free(struct pieces *pieces);

struct pieces_run {
    size_t first;
    size_t count; /* 0: nothing to do now */
};

/* A source, by a number below PIECES_SOURCES_MAX that the job chose and that is free. have: the
 * pieces that it has, as a bit field, copied; NULL: all. */
void pieces_add_source(struct pieces *pieces, unsigned source, const uint8_t *have, int64_t now_ms);
/* What a partial source has now. */
void pieces_source_has(struct pieces *pieces, unsigned source, const uint8_t *have);
/* Its pieces are missing again (if no other has them). */
void pieces_remove_source(struct pieces *pieces, unsigned source);

/* The next run for a source that has finished or lost its last one; what it has not reported of
 * that is missing again. count 0: it has nothing that we need and that it would bring sooner. Ask
 * again when something has changed (a source went, gained pieces, missed some), and once a second:
 * nobody tells that another one has become slow. */
struct pieces_run pieces_next(struct pieces *pieces, unsigned source, int64_t now_ms);

/* Whether any source is partial. */
bool pieces_any_partial(const struct pieces *pieces);

/* A run to follow the one that the source has, asked for before that ends, so that the source never
 * pauses; of missing pieces only. count 0: there are none, or it has one already. */
struct pieces_run pieces_next_ahead(struct pieces *pieces, unsigned source, int64_t now_ms);
/* Its run has ended, and the one ahead is its run now. False: nothing of it is wanted (any more).
 */
bool pieces_begin_ahead(struct pieces *pieces, unsigned source, int64_t now_ms);

/* Which pieces the source may fetch instead of a run that it was just given: those that are missing
 * and as rare, of the `count` (a multiple of 8) from `from` on, as a bit field. Returns how
 * many there are. */
size_t pieces_alternatives(const struct pieces *pieces, unsigned source,
                           const struct pieces_run *run, size_t from, size_t count, uint8_t *bits);
/* The source sends these instead of its run, at most PIECES_RUN_MAX: it is to fetch those of them
 * that were missing, or its own. */
void pieces_move_run(struct pieces *pieces, unsigned source, struct pieces_run run);

/* Whether the source is still to fetch that piece of its run: it was not taken over, and is not
 * held. */
bool pieces_wanted(const struct pieces *pieces, unsigned source, size_t index);

/* Bytes of its run have come (any number): its rate, and how far it is. */
void pieces_received(struct pieces *pieces, unsigned source, size_t bytes, int64_t now_ms);

/* The piece is verified and written. False: it was held already (somebody was quicker). */
bool pieces_hold(struct pieces *pieces, unsigned source, size_t index, int64_t now_ms);
/* A piece of its run has to be fetched again: broken off, wrong, or not written. One that is held
 * (from somebody else) stays held. */
void pieces_miss(struct pieces *pieces, unsigned source, size_t index);
/* What is left of the source's run is missing again; it asks for another one. Its rate is
 * forgotten. */
void pieces_give_back(struct pieces *pieces, unsigned source);

size_t pieces_held(const struct pieces *pieces); /* how many */
bool pieces_is_held(const struct pieces *pieces, size_t index);
bool pieces_is_missing(const struct pieces *pieces, size_t index); /* nobody fetches it, either */
bool pieces_complete(const struct pieces *pieces);
const uint8_t *pieces_bits(const struct pieces *pieces); /* held, as in options; borrowed */
int64_t pieces_rate(const struct pieces *pieces, unsigned source,
                    int64_t now_ms); /* bytes/s lately */
