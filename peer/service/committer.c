#include "peer/service/committer.h"

#include "common/memory.h"

#include <pthread.h>
#include <stdlib.h>

struct commit_job {
    struct share_incoming *incoming; /* the committer's while it runs */
    struct file_name name;
    enum share_conflict conflict;
    bool only_settle;
    void (*done)(void *context);
    void *context;
    struct commit_job *next; /* guarded by the committer's lock, as is all that follows */
    bool finished;
    bool abandoned;
    struct error error;
    struct file_name stored;
};

struct committer {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct commit_job *first, **last; /* waiting; guarded by lock */
    bool stopping;                    /* guarded by lock */
    pthread_t threads[COMMITTER_THREADS];
    unsigned thread_count;
};

static void job_free(struct commit_job *job)
{
    share_incoming_abort(job->incoming);
    free(job);
}

static struct commit_job *take_job(struct committer *committer)
{
    struct commit_job *job = committer->first;

    committer->first = job->next;
    if (!committer->first)
        committer->last = &committer->first;
    return job;
}

static void finish(struct commit_job *job)
{
    job->finished = true;
    if (job->abandoned)
        job_free(job);
    else
        job->done(job->context);
}

/* Waits without the lock; called and returns with it. */
static void run_settle(struct committer *committer, struct commit_job *job)
{
    pthread_mutex_unlock(&committer->lock);
    share_incoming_settle(job->incoming);
    pthread_mutex_lock(&committer->lock);
    finish(job);
}

/* Commits without the lock; called and returns with it. */
static void run_commit(struct committer *committer, struct commit_job *job)
{
    struct error error = {.code = ERROR_NONE};
    struct file_name stored = {.text = ""};
    enum error_code code;

    pthread_mutex_unlock(&committer->lock);
    code = share_incoming_commit(job->incoming, &job->name, job->conflict, &stored, &error);
    if (code)
        share_incoming_abort(job->incoming);
    pthread_mutex_lock(&committer->lock);
    job->incoming = NULL;
    job->stored = stored;
    job->error = error;
    job->error.code = code; /* the text of a failure that was overcome may be there */
    finish(job);
}

static void run_job(struct committer *committer, struct commit_job *job)
{
    if (job->only_settle)
        run_settle(committer, job);
    else
        run_commit(committer, job);
}

static void *committer_run(void *argument)
{
    struct committer *committer = argument;

    pthread_mutex_lock(&committer->lock);
    for (;;) {
        while (!committer->first && !committer->stopping)
            pthread_cond_wait(&committer->changed, &committer->lock);
        if (!committer->first)
            break;
        run_job(committer, take_job(committer));
    }
    pthread_mutex_unlock(&committer->lock);
    return NULL;
}

enum error_code committer_start(struct committer **committer_out, struct error *error)
{
    struct committer *committer = memory_new(1, sizeof *committer);

    pthread_mutex_init(&committer->lock, NULL);
    pthread_cond_init(&committer->changed, NULL);
    committer->last = &committer->first;
    for (; committer->thread_count < COMMITTER_THREADS; committer->thread_count++) {
        int result = pthread_create(&committer->threads[committer->thread_count], NULL,
                                    committer_run, committer);

        if (result) {
            committer_stop(committer);
            return error_set_errno(error, result, "cannot start a thread");
        }
    }
    *committer_out = committer;
    return ERROR_NONE;
}

void committer_stop(struct committer *committer)
{
    if (!committer)
        return;
    pthread_mutex_lock(&committer->lock);
    committer->stopping = true;
    pthread_cond_broadcast(&committer->changed);
    pthread_mutex_unlock(&committer->lock);
    for (unsigned i = 0; i < committer->thread_count; i++)
        pthread_join(committer->threads[i], NULL);
    pthread_cond_destroy(&committer->changed);
    pthread_mutex_destroy(&committer->lock);
    free(committer);
}

struct commit_job *commit_job_new(struct share_incoming *incoming, const struct file_name *name,
                                  enum share_conflict conflict, void (*done)(void *context),
                                  void *context)
{
    struct commit_job *job = memory_new(1, sizeof *job);

    job->incoming = incoming;
    job->name = *name;
    job->conflict = conflict;
    job->done = done;
    job->context = context;
    return job;
}

struct commit_job *settle_job_new(struct share_incoming *incoming, void (*done)(void *context),
                                  void *context)
{
    struct commit_job *job = memory_new(1, sizeof *job);

    job->incoming = incoming;
    job->only_settle = true;
    job->done = done;
    job->context = context;
    return job;
}

struct share_incoming *settle_job_take(struct commit_job *job)
{
    return take_pointer(&job->incoming);
}

void committer_submit(struct committer *committer, struct commit_job *job)
{
    pthread_mutex_lock(&committer->lock);
    *committer->last = job;
    committer->last = &job->next;
    pthread_cond_signal(&committer->changed);
    pthread_mutex_unlock(&committer->lock);
}

bool commit_job_is_done(struct committer *committer, const struct commit_job *job,
                        struct file_name *stored, struct error *error)
{
    bool finished;

    pthread_mutex_lock(&committer->lock);
    finished = job->finished;
    if (finished && stored) {
        *stored = job->stored;
        *error = job->error;
    }
    pthread_mutex_unlock(&committer->lock);
    return finished;
}

/* Takes the job out of the queue, if it still is there. With the lock. */
static bool unqueue(struct committer *committer, struct commit_job *job)
{
    for (struct commit_job **link = &committer->first; *link; link = &(*link)->next)
        if (*link == job) {
            *link = job->next;
            if (!*link)
                committer->last = link;
            return true;
        }
    return false;
}

void commit_job_release(struct committer *committer, struct commit_job *job)
{
    bool ours;

    if (!job)
        return;
    pthread_mutex_lock(&committer->lock);
    ours = job->finished || unqueue(committer, job);
    job->abandoned = !ours;
    pthread_mutex_unlock(&committer->lock);
    if (ours)
        job_free(job);
}
