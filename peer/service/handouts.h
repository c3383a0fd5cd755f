/*
 * Which pieces of a content this peer has given away, so that receivers that begin together are
 * given other ones each, and pass them on to each other: what a swarm lacks leaves its only source
 * once. Nobody but the source sees what is on its way to whom.
 *
 * Counts are kept in memory for the contents that were asked for last. Pure but for its lock: any
 * thread.
 */
#pragma once

#include "common/content.h"

#include <stddef.h>
#include <stdint.h>

#define HANDOUTS_CONTENTS_MAX 8
#define HANDOUTS_PIECES_MAX \
    ((size_t)1 << 18) /* of a content, a byte each; larger ones: no choice */

struct handouts;

struct handouts *handouts_new(void); /* owned by the caller */
void handouts_free(struct handouts *handouts);

struct handout {
    size_t first; /* pieces */
    size_t count;
};

/* What a receiver would take: the run `asked`, or as many from any of the alternatives, bit i % 8
 * of byte i / 8 being piece from + i. */
struct handout_wish {
    const struct content_id *content;
    size_t piece_count; /* of the content */
    struct handout asked;
    size_t from;
    const uint8_t *alternatives;
    size_t bytes;
};

/* The pieces to give: in one row, none that was not wished for, no more than asked; those that were
 * given least, from what was asked upwards. They count as given. */
struct handout handouts_choose(struct handouts *handouts, const struct handout_wish *wish);

/* These were not given after all. */
void handouts_return(struct handouts *handouts, const struct content_id *content,
                     struct handout handout);
