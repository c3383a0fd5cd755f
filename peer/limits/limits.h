/*
 * What this peer may use of its line and its memory: rates in total and for each other peer, both
 * ways, upload slots, and memory for what is being sent. Who has to wait waits in a line that is
 * fair by peer (fair_queue.h). Any thread.
 *
 * Upload is what we send (DownloadFile replies, files that we put), download what we receive.
 * Streams of the server engine join, ask, and are woken; threads of the client side call
 * limits_take and wait.
 */
#pragma once

#include "common/error.h"
#include "peer/limits/fair_queue.h"
#include "peer/limits/timer.h"
#include "peer/network/interrupt.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reading files and handing messages over keeps two cores busy with a handful of streams; what 16
 * add is that slow receivers among them leave room for fast ones. */
#define LIMITS_UPLOAD_SLOTS     16
#define LIMITS_UPLOAD_SLOTS_MAX 1000

/* File bytes in one message of a download: a share of a sum, so that one receiver gets messages
 * that cost little a byte (a 1 GiB download to a file takes a tenth less processor time with 1 MiB
 * than with 256 KiB, and a fifth more with 128 KiB), and what any number of receivers that do not
 * read hold of our memory stays below the sum. Some 700 of them have room in it. */
#define LIMITS_MESSAGE_MAX_BYTES ((int64_t)1 << 20)
#define LIMITS_MESSAGE_MIN_BYTES ((int64_t)16 << 10)
#define LIMITS_MEMORY_BYTES      ((int64_t)48 << 20)

enum limits_direction { LIMITS_UPLOAD, LIMITS_DOWNLOAD, LIMITS_DIRECTIONS };

/* Bytes per second, 0: no limit. */
struct limits_rates {
    int64_t total[LIMITS_DIRECTIONS];
    int64_t per_peer[LIMITS_DIRECTIONS];
};

struct limits;

/* *rates and *timer are borrowed, the timer until limits_free. slots: at least 1. */
struct limits *limits_new(const struct limits_rates *rates, size_t upload_slots,
                          struct timer *timer);
void limits_free(struct limits *limits); /* all streams have left; NULL is fine */

void limits_set_rates(struct limits *limits, const struct limits_rates *rates);
struct limits_rates limits_read_rates(struct limits *limits);

/* Streams that wait for their turn to send. */
size_t limits_uploads_waiting(struct limits *limits);

/* ---- streams of the server engine ---- */

/* In the stream's state. The owner sets what is before the line. */
struct limits_stream {
    struct limits *limits;
    enum limits_direction direction;
    bool serving; /* a download that we serve: it takes slots, and memory for its messages */
    /* Both under a lock of this module: short, like rpc_call_wake and rpc_call_abort. */
    void (*wake)(void *context);  /* limits_ask would say true now */
    void (*evict)(void *context); /* serving: the stream has to end, its memory is wanted */
    void *context;
    /* ---- */
    bool asked; /* the owner's: it waits for an answer */
    struct fair_waiter waiter;
};

/* peer: the other side's address, with or without a port. */
void limits_join(struct limits_stream *stream, const char *peer);
/* No wake and no evict comes after it returns. Also for one that never joined. */
void limits_leave(struct limits_stream *stream);

/* Whether so many bytes (at least 1) may pass; *granted tells how many (serving: perhaps fewer,
 * else all). False: wait for the wake and ask again. */
bool limits_ask(struct limits_stream *stream, int64_t bytes, int64_t *granted);

/* Of a serving stream: the message that was granted has passed. */
void limits_done(struct limits_stream *stream);

/* Place in the line, 1 for the next one; 0: it does not wait. */
size_t limits_place(struct limits_stream *stream);

/* ---- threads of the client side ---- */

/* Waits until so many bytes from or to that peer may pass. False: the interrupt was raised. limits
 * NULL: there are none. */
bool limits_take(struct limits *limits, enum limits_direction direction, const char *peer,
                 int64_t bytes, struct interrupt *interrupt);

/* How many bytes a message should have at most, of the `most` that it could: at a low rate small
 * ones, so that the other side sees them come. */
int64_t limits_message_bytes(struct limits *limits, enum limits_direction direction, int64_t most);
