#include "peer/downloads/job_book.h"

#include "peer/downloads/job.h"

void job_book_init(struct job_book *book)
{
    TAILQ_INIT(&book->by_change);
    TAILQ_INIT(&book->by_end);
}

/* ---- jobs ---- */

static struct job **bucket(struct job_book *book, uint64_t id)
{
    return &book->buckets[id % JOB_BOOK_BUCKETS];
}

struct job *job_book_find(const struct job_book *book, uint64_t id)
{
    struct job *job = book->buckets[id % JOB_BOOK_BUCKETS];

    while (job && job->draft.id != id)
        job = job->book.same_bucket;
    return job;
}

/* Who would have been told of this one next is told of the one after it. */
static void step_over(struct job_book *book, const struct job *job)
{
    for (struct downloads_follower *each = book->followers; each; each = each->next)
        if (each->news == job)
            each->news = TAILQ_NEXT(job, book.by_change);
}

void job_book_add(struct job_book *book, struct job *job)
{
    struct job **first = bucket(book, job->draft.id);

    job->book.same_bucket = *first;
    *first = job;
    book->count++;
    TAILQ_INSERT_TAIL(&book->by_change, job, book.by_change);
}

void job_book_remove(struct job_book *book, struct job *job)
{
    struct job **link = bucket(book, job->draft.id);

    while (*link != job)
        link = &(*link)->book.same_bucket;
    *link = job->book.same_bucket;
    book->count--;
    step_over(book, job);
    TAILQ_REMOVE(&book->by_change, job, book.by_change);
    if (job->book.over) {
        TAILQ_REMOVE(&book->by_end, job, book.by_end);
        book->over_count--;
    }
}

void job_book_changed(struct job_book *book, struct job *job)
{
    step_over(book, job);
    TAILQ_REMOVE(&book->by_change, job, book.by_change);
    TAILQ_INSERT_TAIL(&book->by_change, job, book.by_change);
    job->shown->revision = ++book->last_revision;
    for (struct downloads_follower *each = book->followers; each; each = each->next)
        if (!each->job && !each->news)
            each->news = job;
    if (!job->book.over && download_state_is_final(job->shown->state)) {
        job->book.over = true;
        TAILQ_INSERT_TAIL(&book->by_end, job, book.by_end);
        book->over_count++;
    }
}

/* ---- followers ---- */

void job_book_wake(const struct job_book *book, const struct job *job)
{
    for (const struct downloads_follower *each = book->followers; each; each = each->next)
        if (!each->job || each->job == job)
            each->wake(each->context);
}

void job_book_wake_all(const struct job_book *book)
{
    for (const struct downloads_follower *each = book->followers; each; each = each->next)
        each->wake(each->context);
}

void job_book_follow(struct job_book *book, struct downloads_follower *follower, struct job *job)
{
    follower->job = job;
    follower->news = NULL;
    follower->next = book->followers;
    book->followers = follower;
}

void job_book_unfollow(struct job_book *book, struct downloads_follower *follower)
{
    struct downloads_follower **link = &book->followers;

    while (*link && *link != follower)
        link = &(*link)->next;
    if (*link)
        *link = follower->next;
}

const struct job *job_book_next(struct downloads_follower *follower)
{
    const struct job *job = follower->news;

    if (job)
        follower->news = TAILQ_NEXT(job, book.by_change);
    return job;
}

uint64_t job_book_heard(const struct job_book *book)
{
    uint64_t heard = book->last_revision;

    for (const struct downloads_follower *each = book->followers; each; each = each->next)
        if (each->news && each->news->shown->revision <= heard)
            heard = each->news->shown->revision - 1;
    return heard;
}
