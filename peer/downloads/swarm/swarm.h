/*
 * A download whose content is known, piece by piece from many sources: what its sessions, the
 * threads of the intake and the job's own thread share. Used inside downloads/ only.
 *
 *   job's thread ──▶ swarm_run ──▶ starts a session a source, records what is stored, syncs
 *   sessions     ──▶ receive ──▶ intake ──▶ hash, write ──▶ swarm_piece_done
 *   seeker       ──▶ asks the directory now and then ──▶ swarm_add_sources
 *
 * A source is in one of these states; texts and times are of the last change:
 *
 *   READY ─▶ ACTIVE ─┬▶ LATER (broke off; tried again after a while)
 *                     └▶ DROPPED (has not got it, or sent what is wrong)
 *
 * A source is one address. Those of one peer have one session at a time, or a peer would count as
 * many: the next address has its turn when one fails, and beside one that has not said a word yet;
 * then whoever speaks first goes on.
 */
#pragma once

#include "common/content.h"
#include "peer/downloads/downloads.h"
#include "peer/downloads/journal.h"
#include "peer/downloads/rate.h"
#include "peer/downloads/sources.h"
#include "peer/downloads/swarm/intake.h"
#include "peer/downloads/swarm/pieces.h"
#include "peer/network/interrupt.h"
#include "peer/share/arrivals.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#define SWARM_SOURCES_MAX   64   /* known; more than that are not looked at */
#define SWARM_SESSIONS_MAX  8    /* at work, a thread and a connection each */
#define SWARM_ADDRESSES_MAX 4    /* of one peer */
#define SWARM_SILENT_MS     1500 /* without a word: another address of the peer is tried beside it */

#define SWARM_SEEK_MS      10000 /* the directory is asked again so often, at first more so */
#define SWARM_LOOK_MS      250   /* a partial source is asked what it has so often; */
#define SWARM_QUIET_MS     3000  /* where nothing changes for so long, */
#define SWARM_LOOK_PART    4     /* after this part of the time beyond that, */
#define SWARM_LOOK_MAX_MS  5000  /* or this */
#define SWARM_RETRY_MS     1000  /* full jitter: a random part of this, doubled each time, ... */
#define SWARM_RETRY_MAX_MS 60000
#define SWARM_SPACE_MS     3000 /* a full disk is tried again so often */
#define SWARM_SYNC_MS      2000 /* what is fetched again after a loss of power: what came in so long */

/* A request names no more alternatives than this, for 4 GiB at once. */
#define SWARM_ALTERNATIVES_BYTES 512

struct swarm;

struct swarm_source {
    /* Constant once it is in the list. */
    struct swarm *swarm;
    struct address address;
    char *peer;                      /* whose address that is; NULL: not known. Owned */
    char who[DOWNLOAD_SOURCE_BYTES]; /* "Peer2 (172.28.0.4:8002)" */

    /* Under the swarm's lock. */
    enum download_source_state state;
    unsigned seen;      /* in which answer of the directory it was last */
    bool promised;      /* it has taken our content id: what it sends must be right */
    bool liar;          /* what it sent was wrong nevertheless: never again */
    struct error wrong; /* what was wrong in it, since the session began */
    int64_t bytes;      /* verified, from it */
    int64_t received;   /* all that came */
    struct rate rate;
    int64_t bytes_per_second;
    int64_t place;        /* in its line of receivers; 0: it sends */
    struct error error;   /* of the last failure; code ERROR_NONE before */
    unsigned failures;    /* since the last good piece */
    int64_t retry_ms;     /* LATER: when, on the boot clock. DROPPED: since when */
    unsigned number;      /* ACTIVE: in pieces */
    unsigned in_intake;   /* pieces that it has begun or given to the intake */
    int64_t began_ms;     /* ACTIVE: since then; */
    bool heard;           /* something has come since */
    bool finished;        /* its thread is about to end, ... */
    struct error outcome; /* ... with this */
    bool partial;         /* it has a part of the content only; the session sees to it */
    bool idle;            /* its session waits for a run, */
    int64_t idle_ms;      /* since then */
    bool gave_way;        /* it had nothing for us, and others wait for its session */
    bool look_now;        /* partial: it may have more by now */

    /* Of its session. */
    bool unhashed;         /* it does not know the hashes, so no id is asked for */
    struct file_name name; /* that the file has there */
    int64_t look_ms;       /* partial: when to ask again what it has, */
    size_t had;            /* how many pieces that were, */
    int64_t news_ms;       /* and since when */
    unsigned refusals;     /* since it last gave something */

    struct interrupt *interrupt; /* ACTIVE: of the session; made and freed by the job's thread */
    pthread_t thread;            /* likewise */
};

struct swarm {
    /* Constant while sessions run. */
    struct file_name name;
    struct manifest manifest;
    struct share_incoming *incoming;
    struct intake *intake;
    struct limits *limits; /* may be NULL */
    int64_t stall_ms;
    bool in_order;           /* somebody reads it while it arrives */
    struct journal *journal; /* to note pieces in; may be NULL */

    pthread_mutex_t lock; /* guards what follows; held for moments only */
    pthread_cond_t changed;
    pthread_cond_t done; /* the intake is done with the last piece of a session */
    struct pieces *pieces;
    struct swarm_source *sources[SWARM_SOURCES_MAX]; /* each stays where it is */
    size_t source_count;
    unsigned answers; /* of the directory, so far */
    unsigned active;  /* sources */
    int64_t received; /* all that came, of whatever worth; grows */
    int64_t held_bytes;
    size_t prefix;      /* pieces held from the first on */
    uint32_t *unsynced; /* stored, not yet recorded */
    size_t unsynced_count;
    int64_t unsynced_ms;     /* since when */
    struct error disk;       /* our own disk refused: what it said */
    struct arrival *arrival; /* others may have the pieces that are held; NULL: they may not */
    bool ending;             /* sessions are to end */
};

/* Takes manifest and incoming; held as in struct journal_job, may be NULL. Owned by the caller; the
 * file stays open until swarm_free, which forgets it: take it back before (swarm->incoming). */
struct swarm_options {
    const struct file_name *name;
    struct manifest *manifest;
    struct share_incoming *incoming;
    const uint8_t *held;
    struct journal *journal; /* borrowed; NULL: nothing is noted */
    struct intake *intake;
    struct limits *limits;
    int64_t stall_ms;
    bool in_order;
};
struct swarm *swarm_new(const struct swarm_options *options);
void swarm_free(struct swarm *swarm); /* NULL is fine */

/* Another thread may ask; rows are copied. Returns how many. */
size_t swarm_describe(struct swarm *swarm, struct download_source *rows, size_t capacity);

/* The sources of a search that have this content, or may have it: those whose content is not known,
 * of that peer only unless it is "". One that was not in the last answers is tried again at once.
 * Any thread. */
void swarm_add_sources(struct swarm *swarm, const struct directory_sources *sources,
                       const char *peer);

/* "Peer2 (172.28.0.4:8002)", cleaned; peer may be "". Pure. */
void swarm_describe_source(const char *peer, const struct address *address,
                           char who[DOWNLOAD_SOURCE_BYTES]);

/* ---- for the job's thread ---- */

/* Joins sessions that ended, starts those that are due. True: nobody is at work, and every source
 * that is known has failed. */
bool swarm_tend(struct swarm *swarm, int64_t now_ms);
/* Ends all sessions and waits until nothing of them is left; the next tend starts them again. */
void swarm_rest(struct swarm *swarm);
/* Others have it under its name now, or not any more (NULL). */
void swarm_end_arrival(struct swarm *swarm, const struct file_name *stored);
/* Waits until something has changed, at most so long. */
void swarm_wait(struct swarm *swarm, int64_t timeout_ms);
/* Why each source that failed did, into *failures as one line. */
struct failures;
void swarm_failures(struct swarm *swarm, struct failures *failures);

/* Under the lock: something of the source has come. Ends the session of another address of its
 * peer that nothing has come from, or its own. */
void swarm_heard_locked(struct swarm_source *source);

/* ---- for sessions ---- */

/* The next run; the first waits for one, until then (boot clock). count 0: nothing to do now, the
 * job is over, or the session was interrupted. */
struct pieces_run swarm_next_run(struct swarm_source *source, int64_t until_ms);
/* Whether somebody has said since the last call that the source may have more; then the one above
 * does not wait. */
bool swarm_take_news(struct swarm_source *source);
/* The latter two. */
bool swarm_is_over(struct swarm_source *source);
/* Which pieces the source, who has all, may send instead of its run: of those from *from on, as in
 * pieces.h. Returns the length of the bit field; 0: no others. */
size_t swarm_alternatives(struct swarm_source *source, const struct pieces_run *run, size_t *from,
                          uint8_t bits[SWARM_ALTERNATIVES_BYTES]);
/* Whether the content is exchanged: some have a part only. */
bool swarm_exchanges(struct swarm_source *source);
/* It sends these instead. */
void swarm_move_run(struct swarm_source *source, struct pieces_run run);
struct pieces_run swarm_try_run(struct swarm_source *source);
/* The run to ask for now, while left_bytes of the present one are still to come; count 0: it is too
 * early, or there is none. And it follows now; false: nothing of it is wanted any more. */
struct pieces_run swarm_next_ahead(struct swarm_source *source, int64_t left_bytes);
bool swarm_begin_ahead(struct swarm_source *source);
/* Waits until the session has no piece in the intake any more. */
void swarm_drain(struct swarm_source *source);
/* Waits for room in the intake. NULL: the session is to end. */
struct intake_piece *swarm_begin_piece(struct swarm_source *source, size_t index);
void swarm_drop_piece(struct swarm_source *source, struct intake_piece *piece);
/* Whether the source has said that what it sends is our content. */
void swarm_promised(struct swarm_source *source, bool promised);
/* Its place in the source's line; 0: it is served. */
void swarm_note_place(struct swarm_source *source, int64_t place);
/* wanted: they go into a piece. */
void swarm_received(struct swarm_source *source, size_t bytes, bool wanted);
/* Whether any of the pieces [first, end) is still to be fetched by it. */
bool swarm_wants(struct swarm_source *source, size_t first, size_t end);
/* Tells the plan which pieces can be had now from a source that sends the file from its start. */
void swarm_has_only(struct swarm_source *source, size_t first, size_t count);
/* What the source has now; NULL: all. */
void swarm_source_has(struct swarm_source *source, const uint8_t *have);
/* How far the source may be asked for: the end of its run; when no other session runs, as far
 * as pieces are missing. */
size_t swarm_run_limit(struct swarm_source *source, const struct pieces_run *run);
