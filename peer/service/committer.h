/*
 * Threads that wait for the disk on behalf of received files: that what was written of one settles,
 * and that one is committed. Either may take seconds, and the engine's threads, who serve
 * everybody, must not wait.
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
/* The same for a file that is to settle: its submitter takes it back when the job is done. */
struct commit_job *settle_job_new(struct share_incoming *incoming, /* taken */
                                  void (*done)(void *context), void *context);
struct share_incoming *settle_job_take(struct commit_job *job);

void committer_submit(struct committer *committer, struct commit_job *job);

/* Whether the job is over; then, for a commit, *stored or *error tell how (ERROR_NONE: stored).
 * Both NULL for one that settles. */
bool commit_job_is_done(struct committer *committer, const struct commit_job *job,
                        struct file_name *stored, struct error *error);

/* The submitter's last word on a job that was submitted. NULL is fine. */
void commit_job_release(struct committer *committer, struct commit_job *job);
