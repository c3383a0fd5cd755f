/*
 * A simulated network of peers that fetch one file from each other by the plan of pieces.h: links
 * shared fairly (max-min), an own clock, nothing random but the seed. Driven from event to event.
 */
#pragma once

#include "peer/downloads/swarm/pieces.h"
#include "peer/service/handouts.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SWARM_NODES       PIECES_SOURCES_MAX
#define SWARM_PIECE_BYTES 1048576
#define SWARM_MBIT        125.0  /* bytes a millisecond */
#define SWARM_NEVER       1.0e12 /* ms */

struct swarm_node {
    double up, down;      /* bytes a millisecond */
    struct pieces *job;   /* NULL: it only gives. Made by swarm_receiver */
    double dies_ms;       /* its streams end then, and it is gone */
    double stalls_ms;     /* it sends nothing from then on, without a word */
    bool lies;            /* every third piece that it sends is wrong: it is dropped */
    const uint8_t *have;  /* of one that only gives: NULL all */
    unsigned has_up_to;   /* a giver that gains pieces: as many as it has had time for, one a */
    double gain_every_ms; /* gain_every_ms; 0: it has what `have` says */
    struct handouts *handouts; /* of one that gives all: it chooses for those who let it */
    double done_ms;            /* the result */
};

struct swarm_flow {
    bool usable; /* `to` knows `from` as a source */
    struct pieces_run run;
    struct pieces_run ahead; /* asked for already */
    size_t at;               /* the piece of the run that is coming; at run.count: idle */
    double left_bytes;       /* of the piece */
    double chunk_bytes;
    double starts_ms; /* the request takes its time */
    double rate;
    double look_ms; /* when `to` asks again what `from` has: between runs, and while it waits */
    unsigned sent;
};

struct swarm {
    size_t count;
    size_t last_bytes; /* of the last piece */
    double latency_ms;
    double look_ms; /* how often one asks what a partial source has, and an idle one for work */
    double meet_ms; /* when receivers learn of each other */
    double now_ms;
    unsigned nodes;
    bool in_order;
    uint64_t seed;
    struct swarm_node node[SWARM_NODES];
    struct swarm_flow flow[SWARM_NODES][SWARM_NODES]; /* [to][from] */
    uint64_t sent_bytes[SWARM_NODES];                 /* of each giver */
    size_t fetched;                                   /* pieces that came whole, also in vain */
    bool out_of_order; /* a receiver was given a run before an earlier missing one */
};

/* size_bytes, links of `mbit` each way, all idle. */
void swarm_init(struct swarm *swarm, uint64_t size_bytes, unsigned nodes, double mbit);
void swarm_receiver(struct swarm *swarm, unsigned node, const uint8_t *held);
/* Runs until all receivers are done. Returns when the last one was; SWARM_NEVER when nothing moves.
 */
double swarm_run(struct swarm *swarm);
void swarm_done(struct swarm *swarm);
