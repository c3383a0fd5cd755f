/*
 * All jobs: found by their number, listed in the order of their last changes, and who follows
 * those. Under the lock of downloads.c, all of it. Each call takes constant time, but for the
 * followers, which are few, and job_book_find among more than JOB_BOOK_BUCKETS jobs.
 */
#pragma once

#include "peer/downloads/downloads.h"

#include <sys/queue.h>

#define JOB_BOOK_BUCKETS 4096

struct job;

/* A part of each job. */
struct job_book_entry {
    struct job *same_bucket;
    TAILQ_ENTRY(job) by_change;
    TAILQ_ENTRY(job) by_end;
    bool over;
};

struct job_book {
    struct job *buckets[JOB_BOOK_BUCKETS];
    TAILQ_HEAD(, job) by_change; /* the latest change is the last */
    TAILQ_HEAD(, job) by_end;    /* of those that are over; likewise */
    size_t count;
    size_t over_count;
    uint64_t last_revision;
    struct downloads_follower *followers;
};

void job_book_init(struct job_book *book);

void job_book_add(struct job_book *book, struct job *job); /* without news of it */
void job_book_remove(struct job_book *book, struct job *job);
struct job *job_book_find(const struct job_book *book, uint64_t id); /* NULL: none */

/* What is shown of the job has changed: it gets the next revision. Followers are not woken. */
void job_book_changed(struct job_book *book, struct job *job);
/* Wakes who follows it. */
void job_book_wake(const struct job_book *book, const struct job *job);
/* Wakes everybody, after several have changed. */
void job_book_wake_all(const struct job_book *book);

/* From now on; job NULL: all. */
void job_book_follow(struct job_book *book, struct downloads_follower *follower, struct job *job);
void job_book_unfollow(struct job_book *book, struct downloads_follower *follower);
/* The next change for who follows all; it is told then. NULL: none. */
const struct job *job_book_next(struct downloads_follower *follower);
/* All who follow all have been told of the changes up to this one. */
uint64_t job_book_heard(const struct job_book *book);
