/*
 * Threads that commit received files: an fsync may take seconds, and the engine's threads, who
 * serve everybody, must not wait for it.
 *
 * Whoever submits a job releases it, once, at any time: before its commit has begun (nothing is
 * stored then), while it runs (it goes on, its outcome is nobody's), or after. Once that is done,
 * `done` is not called any more.
 */
#pragma once

#include "common/error.h"
#include "common/file_name.h"
#include "peer/share/share.h"

#include <stdbool.h>

struct committer;
struct commit_job;

/* Two uploads that end at once need not wait for each other's disk; more would not be faster. */
#define COMMITTER_THREADS 2

MUST_CHECK enum error_code committer_start(struct committer **committer, struct error *error);
/* Waits for what runs, joins. All jobs must have been released. NULL is fine. */
void committer_stop(struct committer *committer);

/* done is called on a thread of the committer, under its lock: it must be short. */
struct commit_job *commit_job_new(struct share_incoming *incoming, /* taken */
                                  const struct file_name *name, enum share_conflict conflict,
                                  void (*done)(void *context), void *context);
void committer_submit(struct committer *committer, struct commit_job *job);

/* Whether the commit is over; then *stored or *error tell how (ERROR_NONE: stored). */
bool commit_job_is_done(struct committer *committer, const struct commit_job *job,
                        struct file_name *stored, struct error *error);

/* The submitter's last word on a job that was submitted. NULL is fine. */
void commit_job_release(struct committer *committer, struct commit_job *job);
