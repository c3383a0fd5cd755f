/*
 * The line of jobs that wait for a place: by priority, then by age, the oldest first. Who had a
 * place and no use for it, because it found no source, rests for a while: it lets all others
 * through, whatever its priority, and is taken before its time only when nobody else waits.
 *
 * Pure: no clock, no lock, nothing of what a job is. Each call takes at most logarithmic time.
 */
#pragma once

#include "peer/downloads/priority.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct job;

/* A part of each job; zeroed, it is in no line. */
struct job_queue_entry {
    struct job *job; /* constant, as is the age: the lower the older */
    uint64_t age;
    enum download_priority priority; /* changed by job_queue_set_priority only */

    /* Of the queue. */
    size_t place; /* in the heap, from 1 on; 0: it is not there */
    bool rests;
    int64_t rest_end_ms;
    TAILQ_ENTRY(job_queue_entry) next;
};

struct job_queue {
    struct job_queue_entry **heap; /* from 1 on; who goes first is the first */
    size_t count;
    size_t capacity;
    size_t waiting[DOWNLOAD_PRIORITY_COUNT]; /* of each priority, in the heap */
    TAILQ_HEAD(, job_queue_entry) resting;   /* whose time is up first is the first */
    size_t resting_count;
};

void job_queue_init(struct job_queue *queue);
void job_queue_done(struct job_queue *queue); /* entries are their owners' */

void job_queue_add(struct job_queue *queue, struct job_queue_entry *entry);
/* until_ms: not before that of those that rest already. */
void job_queue_rest(struct job_queue *queue, struct job_queue_entry *entry, int64_t until_ms);
void job_queue_remove(struct job_queue *queue, struct job_queue_entry *entry); /* also: not in it */
void job_queue_set_priority(struct job_queue *queue, struct job_queue_entry *entry,
                            enum download_priority priority);

/* Those whose rest is over are in line again. */
void job_queue_wake(struct job_queue *queue, int64_t now_ms);
/* Whose turn it is: it is in no line any more. NULL: nobody waits. */
struct job *job_queue_take(struct job_queue *queue);

/* Likewise several, which come one after the other, of one priority; who rests comes alone. Returns
 * how many, at most max. */
size_t job_queue_take_some(struct job_queue *queue, size_t max, struct job **jobs);

size_t job_queue_count(const struct job_queue *queue); /* those that rest, too */
/* Those that wait, without those that rest, and are more urgent than that. */
size_t job_queue_above(const struct job_queue *queue, enum download_priority priority);
