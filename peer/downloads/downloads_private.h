/*
 * What downloads.c and downloads_run.c share. Not for others: they include downloads.h.
 */
#pragma once

#include "peer/downloads/downloads.h"
#include "peer/downloads/job.h"
#include "peer/downloads/job_book.h"
#include "peer/downloads/swarm/intake.h"

#include <pthread.h>

struct downloads {
    struct job_environment environment; /* constant */
    char *folder;                       /* constant; of the journals, or NULL */
    struct intake *intake;              /* constant */
    struct storer *storer;              /* constant */
    struct thread_pool *pool;           /* constant; its threads run the jobs */

    pthread_mutex_t lock;  /* guards what follows; never held while waiting for anything */
    struct job_book book;  /* all jobs */
    struct job_queue line; /* those that wait for a place */
    struct job *places[DOWNLOADS_RUNNING_MAX]; /* those that run; NULL: free */
    size_t workers;                            /* threads that run jobs or look for one */
    struct downloads_counts finished;          /* done and failed, since the start */
    uint64_t last_id;
    bool begun; /* earlier jobs are there: those that wait may run */
    bool stopping;
};

/* All functions *_locked are called with the lock held. */

/* The draft becomes the status, and followers hear of it. */
void downloads_publish_locked(struct job *job, int64_t now_ms);

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
void downloads_leave_line_locked(struct downloads *downloads, struct job *job);

/* Asks as many jobs that run to go back to the line as more urgent ones wait there. */
void downloads_make_way_locked(struct downloads *downloads);

/* Whether others wait for a place. Takes the lock. */
bool downloads_is_crowded(struct job *job);

/* Makes the folder of the journals, and goes on with what is in it. */
MUST_CHECK enum error_code downloads_restore(struct downloads *downloads, struct error *error);
