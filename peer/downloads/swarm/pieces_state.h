/*
 * What pieces.c, pieces_rates.c and pieces_steal.c share; nobody else looks at it.
 */
#pragma once

#include "common/compiler.h"
#include "peer/downloads/swarm/piece_set.h"
#include "peer/downloads/swarm/pieces.h"

#define PIECES_LEVELS (PIECES_SOURCES_MAX + 1)

struct piece_source {
    bool used;
    bool partial; /* only these it has: */
    struct piece_set have;
    size_t first;               /* its run, */
    uint64_t todo;              /* what is left of it: bit i is piece first + i */
    size_t ahead_first;         /* the run that is to follow, as that one; */
    uint64_t ahead_todo;        /* nobody else has a piece of it */
    size_t cursor;              /* behind its last run */
    size_t limit;               /* of its next run, in pieces */
    size_t got_bytes;           /* of pieces that it has not yet reported as held or missed */
    int64_t last_ms;            /* something came, or the run began */
    double rate_bytes, rate_ms; /* while it had a run, weighed by RATE_WINDOW_MS */
};

struct pieces {
    size_t count;
    size_t piece_bytes;
    bool in_order;
    uint64_t random;
    uint8_t *held;
    size_t held_count;
    size_t missing_count;
    struct piece_set missing[PIECES_LEVELS]; /* by how many partial sources have the piece */
    uint8_t *partial_owners;                 /* of each piece: its level above */
    unsigned partial_sources;
    size_t cursor; /* where the next run begins while all sources are complete */
    struct piece_source sources[PIECES_SOURCES_MAX];
};

/* The bit of the piece in the todo of a run that begins at first; 0: outside of the run. */
static inline uint64_t pieces_run_bit(size_t first, size_t index)
{
    return index >= first && index - first < PIECES_RUN_MAX ? UINT64_C(1) << (index - first) : 0;
}

static inline uint64_t pieces_todo_bit(const struct piece_source *source, size_t index)
{
    return pieces_run_bit(source->first, index);
}

static inline struct piece_source *pieces_source_at(struct pieces *pieces, unsigned source)
{
    return source < PIECES_SOURCES_MAX && pieces->sources[source].used ? &pieces->sources[source]
                                                                       : NULL;
}

bool pieces_is_stalled(const struct piece_source *source, int64_t now_ms);
/* Bytes a millisecond that are expected of each source; of one that is not known yet, the mean of
 * the others, and no more than the piece that it has not brought since it was asked. Returns the
 * sum. */
double pieces_rates_expected(const struct pieces *pieces, int64_t now_ms,
                             double rates[PIECES_SOURCES_MAX]);
/* It is one of unknown rate again. */
void pieces_rate_forget(struct piece_source *source);

/* Which bits of the source's todo others are to fetch, too. */
uint64_t pieces_todo_shared(const struct pieces *pieces, const struct piece_source *source);

/* For a source that has no run and finds nothing missing; rates: bytes a millisecond that are
 * expected of each source, 0: of a stalled one. */

/* The end of the run that would take longest, as much of it as lets both end together; it is taken
 * out of that run. count 0: the source would bring none of it sooner. */
struct pieces_run pieces_take_over(struct pieces *pieces, struct piece_source *thief,
                                   const double rates[PIECES_SOURCES_MAX]);

/* The one piece that would come last, if this source would bring it clearly sooner and nobody else
 * fetches it a second time. */
struct pieces_run pieces_take_twice(struct pieces *pieces, const struct piece_source *source,
                                    const double rates[PIECES_SOURCES_MAX]);
