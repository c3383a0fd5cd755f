/*
 * Who is alive, in memory. Time is passed in (milliseconds of the boot clock, common/clock.h), so a
 * step of the wall clock expires nobody. Any thread; one lock, held for memory only, and never for
 * a walk over all peers: what needs the times of all takes them part by part.
 *
 *            login                    login: seen = now
 *   unknown ───────▶ active (sequence n) ◀───┐
 *                      │  ▲ └────────────────┘
 *   expiry passed, seen │  │ login: new sequence, new token
 *   by sweep or login,  ▼  │
 *   or logout         away (sequence 0; keeps id, urls and etag, its files are kept too)
 *
 * Every peer that ever logged in has an id that is never given to another. The sequence counts
 * activations and is the login order.
 *
 * What is stored of it (index_peers.h): a peer's record, when more of it changes than the time of
 * its last login, and those times in blocks of many peers. Whoever lets a record change stores it,
 * or leaves it to registry_collect.
 */
#pragma once

#include "common/index_sum.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REGISTRY_TOKEN_BYTES 33 /* 128 bits in hexadecimal and a NUL */
#define REGISTRY_NAME_BYTES  129
#define REGISTRY_BLOCK_PEERS 1024
#define REGISTRY_HOST_BYTES  46 /* INET6_ADDRSTRLEN */
#define REGISTRY_WARN_MS     600000

struct registry;

/* What is stored of a peer. */
struct registry_record {
    int64_t id; /* from 1 on */
    const char *name;
    char token[REGISTRY_TOKEN_BYTES]; /* "": none */
    uint64_t mark;                    /* whom the token was given to (users.h); 0: not known */
    int64_t seen_ms;
    uint64_t sequence; /* 0: away */
    int64_t away_ms;   /* since then it is away, on the run clock (registry_restored) */
    const char *urls;  /* JSON list of the peer's usual urls */
    bool has_etag;     /* a files_index was stored */
    struct index_sum etag;
    const char *host; /* the address that its wildcards were replaced by, "": there were none */
    char *memory;     /* owned; holds the strings, unless they are borrowed */
};
#define REGISTRY_NOTHING_KEPT (-1) /* as away_ms: its files were dropped already */

void registry_record_done(struct registry_record *record);

struct registry *registry_new(int64_t expiry_ms);
void registry_free(struct registry *registry);

/* So many peers will be put back, about. Saves time only. */
void registry_expect(struct registry *registry, size_t count);
/* Puts back a stored peer (its strings are borrowed). written_ms: the boot clock at the last write
 * before the restart; the peer keeps the time that it had left then. Before any other call. */
void registry_restore(struct registry *registry, const struct registry_record *record,
                      int64_t written_ms, int64_t now_ms);
/* All are back. The run clock, which only counts while the directory runs, is at run_ms now. */
void registry_restored(struct registry *registry, int64_t run_ms, int64_t now_ms);

/* What somebody who logs in says of his list. */
struct registry_claim {
    int64_t id;                   /* of the peer, where his token has told; else 0 */
    const struct index_sum *etag; /* of the list that he brings, or has; NULL: he does not say */
    bool brings_list;
    const struct index_sum *base; /* or what makes it of the list with this sum; NULL: no change */
    const char *host;             /* where he logs in from */
    uint64_t mark;                /* of the user that he is; 0: not known */
    uint32_t mark_generation;     /* of the users when that was looked up (users.h) */
};

struct registry_login {
    int64_t id;
    char token[REGISTRY_TOKEN_BYTES];
    bool became_active;     /* it was not */
    bool had_expired;       /* became_active, and no sweep had noticed the expiry yet */
    bool must_store_record; /* it has changed; the token is new, for instance */
    bool is_stored;         /* the list that the claim is about is the one that is stored */
    /* From where the login before this one came, if the peer has been there since then and that was
     * another address; else "". Two that go by one name so learn of each other; the last wins. */
    char other_host[REGISTRY_HOST_BYTES];
    bool is_news;    /* there is one, for the first time in REGISTRY_WARN_MS */
    bool must_store; /* it is not, and what the peer brings may make it so; see below */
};

/* The peer is alive now. name is a good one (its password or token was right). With
 * login->must_store one of registry_set_index and registry_keep_index is due; until then no list of
 * the peer is taken for stored, since what is on its way will replace the one that is known here.
 * Nor is one whose wildcards stand for another address than this one. A token is new when the peer
 * comes, and when it is another user's by now. */
void registry_log_in(struct registry *registry, const char *name,
                     const struct registry_claim *claim, int64_t now_ms,
                     struct registry_login *login);

/* Whose token it is. */
struct registry_owner {
    int64_t id;
    uint64_t mark;            /* as he claimed when he logged in last, */
    uint32_t mark_generation; /* likewise; 0: not since the directory started */
    char name[REGISTRY_NAME_BYTES];
};
/* False when no peer that is there has it. */
bool registry_find_token(struct registry *registry, const char *token, int64_t now_ms,
                         struct registry_owner *owner);
/* The peer is away now, if it has that token still; its record must be stored. */
bool registry_log_out(struct registry *registry, int64_t id, const char *token, int64_t now_ms);

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

/* Or somebody whose time is over, until the next sweep. */
bool registry_has_active(struct registry *registry);
/* Goes through all times: some milliseconds where there are a million. */
size_t registry_active_count(struct registry *registry, int64_t now_ms);

/* Takes those out of the active ones whose time is over, and tells each (its `active` is false). */
void registry_sweep(struct registry *registry, int64_t now_ms, registry_visitor *visitor,
                    void *context);

/* Of a stored list; the strings as in struct registry_record, or NULL: they are as they were. */
struct registry_list {
    const struct index_sum *etag;
    const char *host;
    const char *urls;
};
/* A list that had to be stored was committed. */
void registry_set_index(struct registry *registry, int64_t id, const struct registry_list *list);
/* It could not be stored: the peer keeps the one that it had. */
void registry_keep_index(struct registry *registry, int64_t id);

/* ---- storing ---- */

/* A copy of one peer's record; false when there is no such peer. The caller's (record_done). */
bool registry_get(struct registry *registry, int64_t id, struct registry_record *record);

/* Up to max ids of peers whose record has changed and that were not collected since. */
size_t registry_collect(struct registry *registry, int64_t *ids, size_t max);
/* This record could not be stored, or shall be stored later. */
void registry_collect_again(struct registry *registry, int64_t id);

/* When the peers from block * REGISTRY_BLOCK_PEERS + 1 on were seen, as the time since then. */
struct registry_seen {
    int64_t block;
    int64_t now_ms;
    uint32_t ages_ms[REGISTRY_BLOCK_PEERS];
};
#define REGISTRY_AGE_AWAY UINT32_MAX /* not active, or no such peer */

/* The first block from number *next on in which a time has changed since it was collected; false
 * when there is none. *next becomes the one after it. */
bool registry_collect_seen(struct registry *registry, size_t *next, int64_t now_ms,
                           struct registry_seen *seen);
/* They could not be stored. */
void registry_collect_all_seen(struct registry *registry);

/* Whether anything is to be collected. */
bool registry_has_changed(struct registry *registry);

/* ---- retention (directory/retention.h) ---- */

/* A peer that has been away for limit_ms of the run clock, 0: none. From now on no list of it is
 * taken for stored, and it is not given again. */
int64_t registry_take_overdue(struct registry *registry, int64_t now_ms, int64_t limit_ms);
/* Its files could not be dropped: it is given again. */
void registry_keep_overdue(struct registry *registry, int64_t id);
/* All are dropped. */
void registry_note_dropped(struct registry *registry, int64_t id);
/* Whether a list of that peer is stored. */
bool registry_has_list(struct registry *registry, int64_t id);

int64_t registry_run_ms(struct registry *registry, int64_t now_ms);
