/*
 * What downloads.c and downloads_run.c share. Not for others: they include downloads.h.
 */
#pragma once

#include "peer/downloads/downloads.h"
#include "peer/downloads/job.h"
#include "peer/downloads/job_book.h"
#include "peer/downloads/storer.h"
#include "peer/downloads/swarm/intake.h"

#include <pthread.h>

struct downloads_batch;

/* One of those that run at once: a job, or a batch of them. */
struct downloads_place {
    struct job *job;
    struct downloads_batch *batch;
};

/* Those that may go together have a line and places of their own, those that go alone, too: so a
 * few large files never hold up small ones, nor the other way round. */
struct downloads_lane {
    struct downloads *downloads;                          /* constant, */
    size_t place_count;                                   /* too; at most */
    struct downloads_place places[DOWNLOADS_RUNNING_MAX]; /* zeroes: free */
    struct job_queue line;                                /* those that wait for a place */
    size_t workers; /* threads that run jobs or look for one */
};

struct downloads {
    struct job_environment environment; /* constant */
    char *folder;                       /* constant; of the journals, or NULL */
    struct intake *intake;              /* constant */
    struct storer *storer;              /* constant */
    struct thread_pool *pool;           /* constant; its threads run the jobs */

    pthread_mutex_t lock; /* guards what follows; never held while waiting for anything */
    struct job_book book; /* all jobs */
    struct downloads_lane alone;
    struct downloads_lane together;
    size_t batches;                   /* so many have begun */
    struct downloads_counts finished; /* done and failed, since the start */
    uint64_t last_id;
    bool begun; /* earlier jobs are there: those that wait may run */
    bool stopping;
};

/* All functions *_locked are called with the lock held. */

/* The draft becomes the status, and followers hear of it. */
void downloads_publish_locked(struct job *job, int64_t now_ms);
/* The same, but followers are woken by who calls, when he is through with all of several. */
void downloads_change_locked(struct job *job, int64_t now_ms);

/* Forgets the oldest finished jobs beyond the cap; those that somebody uses stay. */
void downloads_forget_locked(struct downloads *downloads);

/* Takes the bytes of a released job away, with the lock open meanwhile. */
void downloads_drop_spool_locked(struct downloads *downloads, struct job *job);

bool downloads_is_running_locked(const struct job *job);
bool downloads_may_run_locked(const struct job *job);

/* A new job: it is shown, and unless it is paused, in line. Taken. */
void downloads_insert_locked(struct downloads *downloads, struct job *job);

/* Puts the job in line, and starts what can start. */
void downloads_enqueue_locked(struct downloads *downloads, struct job *job);
/* Also out of its batch. */
void downloads_leave_line_locked(struct job *job);
/* Asks as many of those that run to go back to the line as more urgent ones wait there. */
void downloads_make_way_locked(struct downloads *downloads);
/* Those whose rest is over are in line again. */
void downloads_wake_resting_locked(struct downloads *downloads, int64_t now_ms);

/* A place that is free, which there is for each worker. */
struct downloads_place *downloads_find_place_locked(struct downloads_lane *lane);
void downloads_leave_place_locked(struct downloads_lane *lane, const struct downloads_place *who);

/* ---- downloads_batch.c ---- */

/* Whether the job may be one of a batch. */
bool downloads_may_batch(const struct job *job);
/* How many are to be taken for the next batch. */
size_t downloads_batch_size(const struct downloads *downloads);
/* Runs these, which are in no line any more; with the lock, which is open meanwhile. */
void downloads_run_batch_locked(struct downloads *downloads, struct job *const *jobs, size_t count);

enum download_priority downloads_batch_priority(const struct downloads_batch *batch);
uint64_t downloads_batch_age(const struct downloads_batch *batch);
bool downloads_batch_is_leaving(const struct downloads_batch *batch);
/* What it has not fetched goes back to the line, soon. */
void downloads_batch_give_way(struct downloads_batch *batch);
/* The job has left it, for another reason. */
void downloads_batch_without(struct downloads_batch *batch);

/* Of the storer: these have got their names, or an error each. */
void downloads_files_stored(void *downloads, struct storer_item *const *items, size_t count);

/* Whether others wait for a place. Takes the lock. */
bool downloads_is_crowded(struct job *job);

/* Makes the folder of the journals, and goes on with what is in it. */
MUST_CHECK enum error_code downloads_restore(struct downloads *downloads, struct error *error);
