/*
 * The one thread that writes the database. Jobs that have gathered while it was busy are committed
 * together (group commit), and each is told its outcome after the commit. When a group fails, each
 * of its jobs is tried in a transaction of its own, so that one too big for the disk does not fail
 * the others.
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

struct index_writer;

/* Liveness of some peers, and perhaps a new list for the first of them. Filled by whoever submits,
 * who owns it again when done is called (from the writer's thread). */
struct index_job {
    struct registry_record *records;
    size_t record_count;
    int64_t written_ms;              /* the boot clock now */
    const struct files_index *files; /* NULL: no list */
    void (*done)(struct index_job *job, enum error_code code, const struct error *error);

    /* For done: what the list brought. */
    size_t added_count;
    char *added[INDEX_WRITER_ADDED_MAX]; /* the first of them; index_job_done frees them */

    struct index_job *next; /* the writer's */
};

/* Frees records and names, not the files and the job. */
void index_job_done(struct index_job *job);

/* index is borrowed until index_writer_stop. */
struct index_writer *index_writer_start(struct index *index);

/* Any thread. False when it is stopping: done will not be called. */
MUST_CHECK bool index_writer_submit(struct index_writer *writer, struct index_job *job);

/* Commits what was submitted, at most for limit_ms (what is left then is done with
 * ERROR_CANCELLED), joins the thread, and refuses all jobs from then on. */
void index_writer_stop(struct index_writer *writer, int64_t limit_ms);
/* After index_writer_stop. NULL is allowed. */
void index_writer_free(struct index_writer *writer);
