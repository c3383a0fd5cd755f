/*
 * A stream's turns to send files: what DownloadFile and DownloadFiles have in common. The limits
 * grant one message after the other; who waits and understands it is told its place now and then.
 *
 *   ask ──▶ granted ──▶ read, send ──▶ sent ─┐
 *    ▲ └──▶ wait (now and then: the place)   │
 *    └───────────────────────────────────────┘
 *
 * All but what wakes it: on the thread of the call.
 */
#pragma once

#include "peer/limits/deadlines.h"
#include "peer/limits/limits.h"
#include "peer/rpc/server.h"

#include <stdbool.h>
#include <stdint.h>

struct peer_service;

/* In the call's state. */
struct peer_turn {
    struct peer_service *service;
    struct rpc_call *call;
    struct limits_stream stream;
    struct deadline place; /* set while a receiver waits that understands it */
    bool granted;          /* the message that is on its way is one that the limits know of */
    bool wants_place;
    int64_t told_ms; /* the last message, or the request */
};

/* What deadlines call, with the turn. */
void peer_turn_wake(void *turn);

void peer_turn_join(struct peer_turn *turn, struct peer_service *service, struct rpc_call *call);
void peer_turn_leave(struct peer_turn *turn);

/* The request is here; wants_place: the receiver understands messages with its place. */
void peer_turn_begin(struct peer_turn *turn, bool wants_place);

/* The last message, if there was one, has passed. At the beginning of each next(). */
void peer_turn_sent(struct peer_turn *turn);

/* Whether a message of so many bytes (at least 1) may go; *granted: perhaps fewer. False: until the
 * wake the call waits, unless *place is above 0, which is to be told. */
bool peer_turn_ask(struct peer_turn *turn, int64_t bytes, int64_t *granted, int64_t *place);

/* A message goes out now. */
void peer_turn_told(struct peer_turn *turn);
