/*
 * Downloads of the daemon: jobs that fetch a file from other peers and go on whether or not anybody
 * looks. A few run at once, the rest waits in line; finished ones are remembered for a while. Those
 * to the shared folder outlive the daemon, too (downloads/journal.h).
 *
 * Where a source knows the hashes of the file's pieces, the pieces are fetched from all sources at
 * once and verified (downloads/swarm.h). Such a job fails only as long as no piece is there;
 * afterwards it waits for sources or for the disk. Otherwise the sources are taken in turn, and
 * what comes is checked by its length only.
 *
 * Only a whole file becomes visible: under its own name, or "NAME (1).ext" when that is taken by
 * other content. The reason of each failure is kept.
 *
 *   QUEUED ─▶ SEARCHING ─▶ RUNNING ◀─▶ WAITING ─▶ DONE, FAILED
 *     ▲                                   │
 *     └─────────────── PAUSED ◀───────────┘ from each of them, and CANCELLED, too
 *
 * Any thread may call anything here; nothing blocks but start, stop, and for the disk
 * downloads_read and downloads_release. Texts are Spanish: users see them.
 */
#pragma once

#include "common/error.h"
#include "common/file_name.h"
#include "peer/catalogue/catalogue.h"
#include "peer/downloads/priority.h"
#include "peer/downloads/sources.h"
#include "peer/limits/limits.h"
#include "peer/share/arrivals.h"
#include "peer/share/share.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DOWNLOADS_RUNNING_MAX  4     /* each has a thread; more at once only share the same disk */
#define DOWNLOADS_BATCHES_MAX  3     /* of small files that go together; likewise, beside those */
#define DOWNLOADS_QUEUED_MAX   20000 /* that are not over; about 5 KiB each while they wait */
#define DOWNLOADS_FINISHED_MAX 100   /* remembered for `status` and the menu */
#define DOWNLOADS_UNHEARD_MAX  20000 /* finished, and not told to all who follow yet */
#define DOWNLOADS_STALL_MS     10000 /* no byte for so long: on to the next source */
#define DOWNLOADS_REST_MS      30000 /* who gave its place away for want of sources lets others go */
#define DOWNLOADS_PROGRESS_MS  100   /* followers hear of progress at most this often */

#define DOWNLOAD_SOURCE_BYTES 512

enum download_state {
    DOWNLOAD_QUEUED,
    DOWNLOAD_SEARCHING,
    DOWNLOAD_RUNNING,
    DOWNLOAD_DONE,
    DOWNLOAD_FAILED,
    DOWNLOAD_CANCELLED,
    DOWNLOAD_WAITING, /* for a source, or for room on the disk: the reason says which */
    DOWNLOAD_PAUSED,
    DOWNLOAD_STATE_COUNT
};

/* "queued", "done", ... for --json and logs. */
const char *download_state_name(enum download_state state);
bool download_state_is_final(enum download_state state);

enum download_destination {
    DOWNLOAD_SHARE, /* the file goes to the shared folder */
    DOWNLOAD_SPOOL, /* somebody reads the bytes with downloads_read; no file stays here */
};

struct download_request {
    struct file_name name;
    enum download_destination destination;
    /* Only what this peer has: from it, and from those that are known to have the same content.
     * NULL or "": from anybody. */
    const char *peer;
    const struct address *addresses; /* try these instead of asking the directory */
    size_t address_count;
    enum download_priority priority;
};

/* What is known of a job at one moment. */
struct download_status {
    uint64_t id;       /* from 1 on */
    uint64_t revision; /* grows with every change, over all jobs */
    enum download_state state;
    enum download_destination destination;
    enum download_priority priority;
    struct file_name name;
    char source[DOWNLOAD_SOURCE_BYTES]; /* "Peer2 (172.28.0.4:8002)", "… y 2 más"; "" before the
                                           first */
    unsigned active_sources;            /* that send now */
    int64_t bytes;                      /* of this attempt; of SPOOL those that can be read */
    int64_t held_bytes;                 /* verified and written */
    int64_t total_bytes;                /* 0: unknown */
    int64_t bytes_per_second;           /* lately */
    char reason[ERROR_TEXT_BYTES];      /* WAITING: for what */
    unsigned attempt;                   /* counts up when another source begins from the start */
    struct error error;                 /* FAILED and CANCELLED: why */
    struct file_name stored;            /* DONE in SHARE: the name that it has now */
};

struct downloads_options {
    struct share *share;                /* borrowed */
    const struct source_finder *finder; /* borrowed */
    struct catalogue *catalogue;        /* borrowed; NULL: what was fetched is not told to any */
    struct arrivals *arrivals;          /* borrowed; NULL: nobody is told what is under way */
    struct limits *limits;              /* borrowed; NULL: there are none */
    const char *folder; /* of the journals; made where missing. NULL: no job outlives this */
    int64_t stall_ms;   /* a source without a byte for so long has failed; 0: DOWNLOADS_STALL_MS */
};

struct downloads;

/* Goes on with the jobs that journals tell of. *downloads is owned by the caller. ERROR_IO: no
 * threads. */
MUST_CHECK enum error_code downloads_start(const struct downloads_options *options,
                                           struct downloads **downloads, struct error *error);
/* Ends all, joins; what has a journal goes on at the next start. NULL is fine. */
void downloads_stop(struct downloads *downloads);
void downloads_free(struct downloads *downloads); /* after stop and after all followers left */

/* *id: the new job. ERROR_BUSY: too many wait already; ERROR_CANCELLED: stopping. */
MUST_CHECK enum error_code downloads_add(struct downloads *downloads,
                                         const struct download_request *request, uint64_t *id,
                                         struct error *error);
/* Several at once, for less than they would cost one by one. Returns how many, the first ones;
 * fewer than count: *error says why. */
size_t downloads_add_all(struct downloads *downloads, const struct download_request *requests,
                         size_t count, uint64_t *ids, struct error *error);
/* A job that is over stays what it is. False: no such job (any more); likewise below. */
bool downloads_cancel(struct downloads *downloads, uint64_t id);
/* Lets go of its sources and of its place; what it has stays, also over a restart. */
bool downloads_pause(struct downloads *downloads, uint64_t id);
bool downloads_resume(struct downloads *downloads, uint64_t id);
/* Also of one that runs or is paused; it stays over a restart. One that is over stays what it is.
 */
bool downloads_set_priority(struct downloads *downloads, uint64_t id,
                            enum download_priority priority);

enum download_source_state {
    DOWNLOAD_SOURCE_READY,   /* not asked yet */
    DOWNLOAD_SOURCE_ACTIVE,  /* at work */
    DOWNLOAD_SOURCE_LATER,   /* failed; is tried again */
    DOWNLOAD_SOURCE_DROPPED, /* failed, for this job */
    DOWNLOAD_SOURCE_STATE_COUNT
};
const char *download_source_state_name(enum download_source_state state); /* "active", ... */

/* A source of a job whose content is known; or the one that sends a file as one whole stream. */
struct download_source {
    char who[DOWNLOAD_SOURCE_BYTES];
    struct address address;
    enum download_source_state state;
    int64_t bytes; /* verified, from it */
    int64_t bytes_per_second;
    int64_t retry_in_ms; /* LATER */
    int64_t place;       /* ACTIVE: in the line of those that it sends to; 0: it sends */
    bool liar;           /* it sent what is wrong */
    bool whole_stream;   /* it gives no hashes: nothing of it is verified */
    struct error error;  /* why it last failed; code ERROR_NONE: it has not */
};
/* Returns how many; 0 also when there is no such job. */
size_t downloads_sources(struct downloads *downloads, uint64_t id, struct download_source *rows,
                         size_t capacity);

/* False: no such job (any more). */
bool downloads_find(struct downloads *downloads, uint64_t id, struct download_status *status);

/* The ids of all that are remembered, the oldest change first. Returns how many; *ids is owned by
 * the caller. */
size_t downloads_list(struct downloads *downloads, uint64_t **ids);

struct downloads_counts {
    size_t queued, running, paused; /* now; those that wait are running */
    size_t done, failed;            /* since the start, cancelled ones among the failed */
};
void downloads_count(struct downloads *downloads, struct downloads_counts *counts);

/* Bytes of a SPOOL job from offset on, as far as they are there; *got 0: none now. ERROR_CHANGED:
 * attempt is over, another source begins from the start. ERROR_NOT_FOUND: no such job. */
MUST_CHECK enum error_code downloads_read(struct downloads *downloads, uint64_t id,
                                          unsigned attempt, int64_t offset, void *data,
                                          size_t capacity, size_t *got, struct error *error);
/* The reader of a SPOOL job is done with it: cancels if need be, removes the bytes; the worker
 * does, a moment later, if it is not done with the job. */
void downloads_release(struct downloads *downloads, uint64_t id);

/* wake is called after every change until unfollow has returned, from any thread; it must not
 * block and not call back. The struct is the caller's and stays until unfollow. */
struct downloads_follower {
    void (*wake)(void *context);
    void *context;
    /* Of job_book.c. */
    struct downloads_follower *next;
    struct job *job;        /* of this one only; NULL: of all */
    const struct job *news; /* that is to be told next; NULL: none */
};
/* From now on. */
void downloads_follow(struct downloads *downloads, struct downloads_follower *follower);
/* Changes of this job only, which is not forgotten meanwhile. False: no such job, and nothing is
 * followed. */
bool downloads_follow_job(struct downloads *downloads, struct downloads_follower *follower,
                          uint64_t id);
void downloads_unfollow(struct downloads *downloads, struct downloads_follower *follower);

/* For who follows all: the job whose last change came first and was not told yet; false when there
 * is none. So each follower hears of every job that changes, and of each the latest state; of jobs
 * that have ended, too, unless it lags DOWNLOADS_UNHEARD_MAX of them behind. */
bool downloads_next_change(struct downloads *downloads, struct downloads_follower *follower,
                           struct download_status *status);
