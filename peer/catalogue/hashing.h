/*
 * Hashing files on several threads with the least priority for processor and disk, several also
 * within one file: pieces are independent. Of the files that are there, the one with the least left
 * comes first.
 *
 * The threads never take part in anything that others wait for: with the least priority on a busy
 * machine they may hold a lock for long. All functions are for one thread, the owner's.
 */
#pragma once

#include "common/content.h"
#include "common/error.h"
#include "peer/share/share.h"

#include <stdbool.h>
#include <stddef.h>

struct hashing;

/* A file on its way. `done` is called on a hashing thread, once there is something to take; it must
 * be short. *hashing is owned by the caller. */
struct hashing *hashing_new(unsigned threads, void (*done)(void *context), void *context);
void hashing_stop(struct hashing *hashing); /* breaks off what runs, joins */
void hashing_free(struct hashing *hashing); /* stops first; NULL is fine */

struct hashing_job {
    struct file_name name;
    struct share_identity identity;
    int file;                 /* taken; closed with the job */
    struct manifest manifest; /* with room for the hashes; sealed when the job was taken back */
    /* From here on: of hashing, under its lock. */
    size_t next, finished, running; /* pieces: the next one, hashed ones, those in the making */
    enum error_code failure;        /* ERROR_CHANGED: no longer the file with that identity */
    struct hashing_job *following;
};

/* The job for the file that is open there: ERROR_TOO_LARGE and so on as manifest_init. *job is
 * owned by the caller; the descriptor is taken on success. */
MUST_CHECK enum error_code hashing_job_new(const struct file_name *name,
                                           const struct share_identity *identity, int descriptor,
                                           struct hashing_job **job, struct error *error);
void hashing_job_free(struct hashing_job *job);

/* Begins; the job is hashing's until it is taken back. Starts threads where there are none;
 * ERROR_IO when there can be none, and the job stays the caller's. */
MUST_CHECK enum error_code hashing_add(struct hashing *hashing, struct hashing_job *job,
                                       struct error *error);

/* A job that is over, or NULL. Without a failure its file is still the one with that identity, and
 * its manifest is whole. Owned by the caller. */
struct hashing_job *hashing_take(struct hashing *hashing);

struct hashing_load {
    size_t jobs;           /* not taken back yet */
    size_t pieces;         /* that no thread has begun */
    bool is_short;         /* threads will soon have nothing to begin */
    int64_t shortest_left; /* bytes of the job with the least left; INT64_MAX without jobs */
};
void hashing_read_load(struct hashing *hashing, struct hashing_load *load);

/* Whether a file of that identity is on its way. */
bool hashing_has(struct hashing *hashing, const struct share_identity *identity);

/* Ends the threads, which have nothing to do: only without jobs. */
void hashing_rest(struct hashing *hashing);
