/*
 * Who is alive, in memory. Time is passed in (milliseconds of the boot clock, common/clock.h), so a
 * step of the wall clock expires nobody. Any thread; one lock, held for memory only.
 *
 *            login                    login: seen = now
 *   unknown ───────▶ active (sequence n) ◀───┐
 *                      │  ▲ └────────────────┘
 *   expiry passed, seen │  │ login: new sequence, new token
 *   by sweep or login   ▼  │
 *                     expired (sequence 0; keeps id, urls and etag, its files are kept too)
 *
 * Every peer that ever logged in has an id that is never given to another. The sequence counts
 * activations and is the login order.
 */
#pragma once

#include "common/index_sum.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REGISTRY_TOKEN_BYTES 33 /* 128 bits in hexadecimal and a NUL */

struct registry;

/* What is stored of a peer. */
struct registry_record {
    int64_t id; /* from 1 on */
    char *name; /* owned */
    char token[REGISTRY_TOKEN_BYTES];
    int64_t seen_ms;
    uint64_t sequence; /* 0: not active */
    char *urls;        /* owned; JSON list of the peer's usual urls */
    bool has_etag;     /* a files_index was stored */
    struct index_sum etag;
    char *host; /* owned; the address that its wildcards were replaced by, "": there were none */
};

void registry_record_done(struct registry_record *record);

struct registry *registry_new(int64_t expiry_ms);
void registry_free(struct registry *registry);

/* Puts back a stored peer (its strings are taken). written_ms: the boot clock at the last write
 * before the restart; the peer keeps the time that it had left then. Before any other call. */
void registry_restore(struct registry *registry, struct registry_record *record, int64_t written_ms,
                      int64_t now_ms);

/* What somebody who logs in says of his list. */
struct registry_claim {
    const struct index_sum *etag; /* of the list that he brings, or has; NULL: he does not say */
    bool brings_list;
    const char *host; /* where he logs in from */
};

struct registry_login {
    int64_t id;
    char token[REGISTRY_TOKEN_BYTES];
    bool became_active; /* it was not; the token is new */
    bool had_expired;   /* became_active, and no sweep had noticed the expiry yet */
    bool is_stored;     /* the list that the claim is about is the one that is stored */
    bool must_store;    /* it is not, and the peer brings it; see below */
};

/* The peer is alive now. name is a good one (its password was right). With login->must_store one of
 * registry_set_index and registry_keep_index is due; until then no list of the peer is taken for
 * stored, since what is on its way will replace the one that is known here. Nor is one whose
 * wildcards stand for another address than this one. */
void registry_log_in(struct registry *registry, const char *name,
                     const struct registry_claim *claim, int64_t now_ms,
                     struct registry_login *login);

/* What is known of a peer during a visit; borrowed until the visitor returns. */
struct registry_peer {
    int64_t id;
    const char *name;
    const char *urls; /* JSON list */
    uint64_t sequence;
    bool active;
};
/* Called under the lock: touches memory only and calls nothing of the registry. */
typedef void registry_visitor(void *context, const struct registry_peer *peer);

/* False, and no visit, when there is no such peer. */
bool registry_visit(struct registry *registry, int64_t id, int64_t now_ms,
                    registry_visitor *visitor, void *context);

/* Visits up to max active peers in login order, those after the sequence. */
void registry_list(struct registry *registry, uint64_t after, size_t max, int64_t now_ms,
                   registry_visitor *visitor, void *context);

size_t registry_active_count(struct registry *registry, int64_t now_ms);

/* Takes those out of the active ones whose time is over, and tells each (its `active` is false). */
void registry_sweep(struct registry *registry, int64_t now_ms, registry_visitor *visitor,
                    void *context);

/* Of a stored list; the strings as in struct registry_record, but borrowed. */
struct registry_list {
    const struct index_sum *etag;
    const char *host;
    const char *urls;
};
/* A list that had to be stored was committed. */
void registry_set_index(struct registry *registry, int64_t id, const struct registry_list *list);
/* It could not be stored: the peer keeps the one that it had. */
void registry_keep_index(struct registry *registry, int64_t id);

/* A copy of one peer's record; false when there is no such peer. The caller's (record_done). */
bool registry_get(struct registry *registry, int64_t id, struct registry_record *record);

/* Copies of the records that changed since they were collected last; *records is the caller's
 * (each record_done, then free). */
size_t registry_collect(struct registry *registry, struct registry_record **records);
/* Those could not be stored: they count as changed again. */
void registry_collect_again(struct registry *registry, const struct registry_record *records,
                            size_t count);
