/*
 * One thread for what is too slow for an HTTP thread: Argon2 and the parsing of long bodies. One at
 * a time, so that strangers with wrong passwords take one core at most and 19 MiB. The queue is
 * bounded: at WORKER_QUEUE_MAX waiting jobs the last has waited about four seconds, and more is
 * refused.
 */
#pragma once

#include "common/compiler.h"

#include <stdbool.h>

#define WORKER_QUEUE_MAX 128

struct worker;

struct worker_job {
    /* On the worker's thread; the job is its submitter's again. cancelled: the worker is stopping,
     * and nothing slow should be done. */
    void (*run)(struct worker_job *job, bool cancelled);
    struct worker_job *next; /* the worker's */
};

struct worker *worker_start(void);

/* Any thread. False when the queue is full or the worker is stopping: run will not be called. */
MUST_CHECK bool worker_submit(struct worker *worker, struct worker_job *job);

/* Runs what waits as cancelled, joins the thread, and refuses all jobs from then on. */
void worker_stop(struct worker *worker);
/* After worker_stop. NULL is allowed. */
void worker_free(struct worker *worker);
