/*
 * One download, as its thread runs it. Used inside downloads/ only.
 */
#pragma once

#include "peer/downloads/downloads.h"
#include "peer/downloads/rate.h"
#include "peer/network/interrupt.h"

#include <pthread.h>
#include <stdbool.h>

struct job {
    /* Constant. */
    char *peer; /* "": anybody */
    struct address *addresses;
    size_t address_count;

    /* Of the job's thread; of whoever made the job before that runs. */
    struct download_status draft;
    struct rate rate;

    pthread_mutex_t spool_lock;      /* held while a reader reads: only the same job's next attempt
                                        or its end would wait for it */
    struct share_incoming *incoming; /* written by the job's thread; exchanged under spool_lock */
    unsigned spool_attempt;          /* likewise: which attempt's bytes these are */

    /* Of downloads.c, under its lock. */
    struct download_status status; /* the draft as it was last published */
    struct interrupt *interrupt;   /* while the job runs */
    int64_t published_ms;
    bool active;   /* in the pool's queue or running */
    bool released; /* SPOOL: nobody reads it any more */
    unsigned pins; /* threads that use it without the lock */
    struct job *next;
    struct downloads *owner;
};

struct job *job_new(const struct download_request *request);
void job_free(struct job *job);

struct job_environment {
    struct share *share;
    const struct source_finder *finder;
    /* The draft has changed: another state or source, or only more bytes. */
    void (*publish)(struct job *job, bool only_progress);
};

/* Runs the job to its end; the draft is final then, and has been published. */
void job_run(struct job *job, const struct job_environment *environment,
             struct interrupt *interrupt);

/* Takes the bytes away. */
void job_drop_spool(struct job *job);
