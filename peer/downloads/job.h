/*
 * One download, as its thread runs it. Used inside downloads/ only.
 */
#pragma once

#include "peer/catalogue/catalogue.h"
#include "peer/downloads/downloads.h"
#include "peer/downloads/job_book.h"
#include "peer/downloads/job_queue.h"
#include "peer/downloads/journal.h"
#include "peer/downloads/rate.h"
#include "peer/downloads/swarm/swarm.h"
#include "peer/downloads/wanted.h"
#include "peer/network/interrupt.h"
#include "peer/rpc/channel_pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

/* Who has no source gives its place to others that wait in line after so long. */
#define JOB_YIELD_MS 10000

/* While no directory answers it is asked again so often. */
#define JOB_FIND_AGAIN_MS 5000

enum job_wish {
    JOB_GO_ON,
    JOB_GIVE_WAY, /* to a more urgent one: back to the line, with all that it has */
    JOB_CANCEL,
    JOB_PAUSE,
    JOB_STOP
};

struct job {
    /* Constant. */
    char *peer; /* "": anybody */
    struct address *addresses;
    size_t address_count;

    /* Of the job's thread; while that does not run, of who has the lock of downloads.c. The id is
     * constant, revision and priority are of downloads.c. */
    struct download_status draft;
    struct rate rate;
    struct journal_job restored; /* what a journal knew of the content, until it is used */
    bool is_restored;            /* it was begun by an earlier daemon */
    bool recorded;               /* the journal names the temporary file */
    bool yielded;                /* it has only given its place away */

    _Atomic(struct swarm *) swarm; /* NULL until the content is known; then it stays */
    _Atomic int64_t readable;      /* SPOOL: bytes from the start that may be read */
    atomic_int wish;               /* enum job_wish; set before the interrupt is raised */
    atomic_int priority;           /* enum download_priority; set under the lock of downloads.c */

    pthread_mutex_t spool_lock; /* for the next six; held while the disk is read or written: only
                                   the job itself and who reads it would wait */
    struct share_incoming *incoming;
    unsigned spool_attempt;  /* which attempt's bytes these are */
    struct journal *journal; /* of one whose content is known; until then: */
    struct wanted *wanted;   /* borrowed; NULL: it is not recorded there */
    bool recorded_pause;
    struct address *stream_from; /* who sends the whole file as one stream; NULL: nobody has */

    /* Of downloads.c, under its lock. */
    struct download_status *shown; /* the draft; while the job runs, as it was last published */
    struct interrupt *interrupt;   /* while the job runs */
    int64_t published_ms;
    bool active;                   /* in line, in a batch, or running */
    bool alone;                    /* no batch can fetch it */
    bool storing;                  /* its bytes are there: the storer has it */
    struct downloads_batch *batch; /* that has it; NULL: none */
    bool again;                    /* resumed while it was about to pause */
    bool released;                 /* SPOOL: nobody reads it any more */
    unsigned pins;                 /* who uses it without the lock, or wants it to stay */
    struct job_book_entry book;
    struct job_queue_entry line;
    struct downloads_lane *lane; /* of that line; NULL: it was in none yet */
    struct downloads *owner;
};

struct job *job_new(const struct download_request *request);
/* Takes the journal and what it says. */
struct job *job_restore(uint64_t id, struct journal *journal, struct journal_job *restored);
void job_free(struct job *job); /* what has a journal stays on disk */

struct job_environment {
    struct share *share;
    const struct source_finder *finder;
    struct catalogue *catalogue; /* may be NULL, */
    struct arrivals *arrivals;   /* this, too, */
    struct limits *limits;       /* and this */
    struct intake *intake;
    struct channel_pool *channels;
    const char *folder;    /* of the journals; NULL: none */
    struct wanted *wanted; /* or NULL */
    int64_t stall_ms;
    /* The draft has changed: another state or source, or only more bytes. */
    void (*publish)(struct job *job, bool only_progress);
    /* Whether others wait for a place. */
    bool (*is_crowded)(struct job *job);
};

/* Runs the job until it is over, paused, or yielded; unless yielded, the draft has been published.
 */
void job_run(struct job *job, const struct job_environment *environment,
             struct interrupt *interrupt);
/* The same for one that has yielded or paused, and whose wish is another one by now. */
void job_break_off(struct job *job, const struct job_environment *environment);

/* Records jobs that have just been made; if that fails they do not outlive the daemon. */
void job_record_all(struct job *const *jobs, size_t count,
                    const struct job_environment *environment);
void job_record_pause(struct job *job, bool paused);
void job_record_priority(struct job *job); /* as it is now */
/* The job has a journal of its own from now on; what was ordered meanwhile goes in. */
void job_exchange_journal(struct job *job, struct journal *journal);

/* The job is over: its line in the file of those that are wanted may go. False: it has none. */
bool job_take_wish(struct job *job);

/* Takes the bytes away. */
void job_drop_spool(struct job *job);
/* The same, and what is on disk of it besides, the journal first of all. */
void job_discard(struct job *job, const struct job_environment *environment);

/* ---- between job.c, job_pieces.c and job_stream.c ---- */

/* What the functions of one run hand to each other. */
struct job_call {
    struct job *job;
    const struct job_environment *environment;
    struct interrupt *interrupt;
};

/* An incoming file takes the place of what was there before, for the next attempt. */
void job_exchange_incoming(struct job *job, struct share_incoming *incoming);

/* The job waits for that; followers are told if it is news. */
void job_tell_waiting(struct job_call *call, const char *reason);

/* Fetches a file whose content is known: by the manifest (taken), unless the job has a swarm or was
 * restored. ERROR_NONE: all is there; it is not stored yet. With job->yielded set: not over. */
MUST_CHECK enum error_code job_fetch_pieces(struct job_call *call, struct manifest *manifest,
                                            const struct directory_sources *sources,
                                            struct error *error);

/* Fetches a file whose content nobody knows, and stores it. Who sends it is remembered. */
MUST_CHECK enum error_code job_fetch_stream(const struct job_call *call,
                                            const struct directory_sources *sources,
                                            struct error *error);

/* Gives the file its name. Of a SPOOL job nothing is stored: its reader takes it from here. */
MUST_CHECK enum error_code job_store(struct job *job, struct error *error);
