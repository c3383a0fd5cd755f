/*
 * What downloads.c and downloads_run.c share. Not for others: they include downloads.h.
 */
#pragma once

#include "peer/downloads/downloads.h"
#include "peer/downloads/intake.h"
#include "peer/downloads/job.h"

#include <pthread.h>

struct downloads {
    struct job_environment environment; /* constant */
    char *folder;                       /* constant; of the journals, or NULL */
    struct intake *intake;              /* constant */
    struct thread_pool *pool;           /* constant; runs the jobs */

    pthread_mutex_t lock; /* guards what follows; never held while waiting for anything */
    struct job *jobs;     /* newest first */
    struct downloads_follower *followers;
    struct downloads_counts finished; /* done and failed, since the start */
    uint64_t last_id;
    uint64_t last_revision;
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

/* Puts the job in line. False: there is no room, or we are stopping. */
bool downloads_submit_locked(struct downloads *downloads, struct job *job);

/* Whether others wait for a place. Takes the lock. */
bool downloads_is_crowded(struct job *job);

/* Makes the folder of the journals, and goes on with what is in it. */
MUST_CHECK enum error_code downloads_restore(struct downloads *downloads, struct error *error);
