/*
 * Who may send (or receive) next: a queue that is fair by host, within limits of rate, of streams
 * that are served at once, and of memory. Pure: no locks, no clock; the time is passed in.
 *
 *   ask ──▶ waiting ──(its host's turn, both buckets open, a slot and room)──▶ granted ──▶ done
 *
 * Hosts take turns; within a host who has had nothing yet comes first, the others in the order in
 * which they asked. A grant is one message. So whoever has many streams gets no more than whoever
 * has one, and a small file waits for a message of each other host, not for their files.
 *
 * A message of a `serving` waiter holds a slot and, until it is done, its bytes of memory. A slot
 * that is held for longer than SLOT_MS while others wait goes back, its message stays under way: a
 * receiver that reads slowly or not at all costs memory, not the turns of others. Memory has a
 * bound: as it fills, messages get smaller, and then only what is done, or evicted, makes room.
 */
#pragma once

#include "peer/limits/host_key.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAIR_NEVER INT64_MAX

/* A message to a receiver that reads takes milliseconds on a local network. Whoever takes longer,
 * for whatever reason, does not need us meanwhile. */
#define FAIR_SLOT_MS 100

/* A message that has been under way for so long ends its stream when its memory is wanted. */
#define FAIR_EVICT_MS 10000

/* At a low rate a message is an eighth of a second's worth: smooth, and many streams all get
 * something within the time-outs of their receivers. Not less than this: the bytes around it. */
#define FAIR_RATE_PARTS         8
#define FAIR_RATE_MESSAGE_BYTES 4096

struct fair_limits {
    size_t slots;              /* of serving waiters at once; at least 1 */
    int64_t memory_bytes;      /* of their messages under way */
    int64_t message_max_bytes; /* while all of the memory is free; a quarter of it when half is */
    int64_t message_min_bytes; /* without so much room nothing is begun */
};

struct fair_queue;
struct fair_host;

/* One stream. The owner sets `serving`, all else is zero before fair_queue_join and the queue's
 * after; bytes, once granted, tells how many. */
struct fair_waiter {
    bool serving;
    enum { FAIR_IDLE, FAIR_WAITING, FAIR_GRANTED } state;
    int64_t bytes;

    struct fair_host *host;
    bool served;     /* it has had a message */
    bool holds_slot; /* in the list of holders, else of the parked, when granted and serving */
    bool evicted;
    int64_t granted_ms;
    struct fair_waiter *next, *previous;
};

struct fair_queue *fair_queue_new(const struct fair_limits *limits);
void fair_queue_free(struct fair_queue *queue); /* all have left; NULL is fine */

/* Bytes per second, 0 for no limit. */
void fair_queue_set_rates(struct fair_queue *queue, int64_t total, int64_t per_host,
                          int64_t now_ms);

void fair_queue_join(struct fair_queue *queue, struct fair_waiter *waiter,
                     const struct host_key *host, int64_t now_ms);
void fair_queue_leave(struct fair_queue *queue, struct fair_waiter *waiter, int64_t now_ms);

/* Asks to move so many bytes (at least 1), when idle. A serving waiter may be granted fewer. */
void fair_queue_ask(struct fair_queue *queue, struct fair_waiter *waiter, int64_t bytes);

/* The message that was granted is over; nothing for a waiter that has none. */
void fair_queue_done(struct fair_queue *queue, struct fair_waiter *waiter);

/* The next one that may go now, granted; NULL when nobody may. */
struct fair_waiter *fair_queue_grant(struct fair_queue *queue, int64_t now_ms);

/* One whose stream must end now to make room, each once; NULL when there is none. It leaves when
 * its owner says so. */
struct fair_waiter *fair_queue_evict(struct fair_queue *queue, int64_t now_ms);

/* When to look again, if nothing happens meanwhile. */
int64_t fair_queue_next_ms(struct fair_queue *queue, int64_t now_ms);

/* The most bytes that a message should have now, by rates and memory. */
int64_t fair_queue_message_bytes(const struct fair_queue *queue);

/* The waiter's place, 1 for the next; 0 when it does not wait. Slots and rates aside: so many turns
 * until it has had its own, if nobody joins. */
size_t fair_queue_place(const struct fair_queue *queue, const struct fair_waiter *waiter);

size_t fair_queue_waiting(const struct fair_queue *queue);
int64_t fair_queue_memory_bytes(const struct fair_queue *queue); /* under way */
