/*
 * The one thread that writes the database. Jobs that have gathered while it was busy are committed
 * together (group commit), and each is told its outcome after the commit. Where they come one upon
 * the other it waits some milliseconds for more: a commit costs as much as many small jobs, and
 * lets readers begin anew with what they have cached. When a group fails, each of its jobs is tried
 * in a transaction of its own, so that one too big for the disk does not fail the others.
 *
 * What is stored of a peer is what the registry knows when the job's turn comes, so that it does
 * not matter in which order threads submit.
 */
#pragma once

#include "common/error.h"
#include "directory/files_index.h"
#include "directory/index.h"
#include "directory/registry.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INDEX_WRITER_ADDED_MAX 100 /* names that a job remembers for the log */
/* Jobs that wait: two seconds' work, when they are small. */
#define INDEX_WRITER_JOBS_MAX 8192
/* Memory of the lists that wait; a list that is longer waits alone. */
#define INDEX_WRITER_BYTES_MAX ((size_t)256 << 20)
/* Records that one job for all the registry stores; the rest has its turn a second later. */
#define INDEX_WRITER_RECORDS_MAX 4096

struct index_writer;

/* Filled by whoever submits, who owns it again when done is called (from the writer's thread). */
struct index_job {
    int64_t peer_id;
    bool with_record;                /* of that peer; a list is always stored with it */
    const struct files_index *files; /* its new list; NULL: none */
    struct index_change change;      /* or how its list changes; files NULL: not */
    bool behind; /* instead: all that the registry has collected; never refused */
    void (*done)(struct index_job *job, enum error_code code, const struct error *error);

    bool fits; /* for done: the change was one of the list that is stored */
    /* For done: what the list brought. */
    size_t added_count;
    char *added[INDEX_WRITER_ADDED_MAX]; /* the first of them; index_job_done frees them */

    /* The writer's. */
    struct index_job *next;
    size_t bytes;
    int64_t *collected; /* ids of the records that a job for all has taken */
    size_t collected_count;
};

/* Frees the names, not the files and the job. */
void index_job_done(struct index_job *job);

/* index and registry are borrowed until index_writer_stop. Files of who has been away for
 * retention_ms are dropped (directory/retention.h); 0: never. */
struct index_writer *index_writer_start(struct index *index, struct registry *registry,
                                        int64_t retention_ms);

/* Any thread. On failure done will not be called: ERROR_BUSY: too much is waiting;
 * ERROR_CANCELLED: it is stopping. */
MUST_CHECK enum error_code index_writer_submit(struct index_writer *writer, struct index_job *job);

/* What waits. Any thread. */
void index_writer_queued(struct index_writer *writer, size_t *entries, size_t *bytes);

/* Commits what was submitted, at most for limit_ms (what is left then is done with
 * ERROR_CANCELLED), joins the thread, and refuses all jobs from then on. */
void index_writer_stop(struct index_writer *writer, int64_t limit_ms);
/* After index_writer_stop. NULL is allowed. */
void index_writer_free(struct index_writer *writer);
