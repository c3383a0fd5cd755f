#include "peer/downloads/downloads.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/thread_pool.h"
#include "peer/downloads/job.h"

#include <stdlib.h>

struct downloads {
    struct job_environment environment; /* constant */
    struct thread_pool *pool;           /* constant; runs the jobs */

    pthread_mutex_t lock; /* guards what follows; never held while waiting for anything */
    struct job *jobs;     /* newest first */
    struct downloads_follower *followers;
    struct downloads_counts finished; /* done and failed, since the start */
    uint64_t last_id;
    uint64_t last_revision;
    bool stopping;
};

const char *download_state_name(enum download_state state)
{
    static const char *const names[DOWNLOAD_STATE_COUNT] = {
        [DOWNLOAD_QUEUED] = "queued",   [DOWNLOAD_SEARCHING] = "searching",
        [DOWNLOAD_RUNNING] = "running", [DOWNLOAD_DONE] = "done",
        [DOWNLOAD_FAILED] = "failed",   [DOWNLOAD_CANCELLED] = "cancelled",
    };

    return (unsigned)state < DOWNLOAD_STATE_COUNT ? names[state] : "unknown";
}

bool download_state_is_final(enum download_state state)
{
    return state == DOWNLOAD_DONE || state == DOWNLOAD_FAILED || state == DOWNLOAD_CANCELLED;
}

/* All functions *_locked are called with the lock held. */

static struct job *find_locked(const struct downloads *downloads, uint64_t id)
{
    struct job *job = downloads->jobs;

    while (job && job->status.id != id)
        job = job->next;
    return job;
}

static void wake_all_locked(const struct downloads *downloads)
{
    for (struct downloads_follower *f = downloads->followers; f; f = f->next)
        f->wake(f->context);
}

static void publish_locked(struct job *job, int64_t now_ms)
{
    struct downloads *downloads = job->owner;

    job->draft.revision = ++downloads->last_revision;
    job->status = job->draft;
    job->published_ms = now_ms;
    if (job->status.state == DOWNLOAD_DONE)
        downloads->finished.done++;
    else if (download_state_is_final(job->status.state))
        downloads->finished.failed++;
    wake_all_locked(downloads);
}

static void publish(struct job *job, bool only_progress)
{
    struct downloads *downloads = job->owner;
    int64_t now_ms = clock_boot_ms();

    pthread_mutex_lock(&downloads->lock);
    if (!only_progress || now_ms - job->published_ms >= DOWNLOADS_PROGRESS_MS) {
        publish_locked(job, now_ms);
    } else {
        job->status.bytes = job->draft.bytes; /* true when asked for, but no news */
        job->status.total_bytes = job->draft.total_bytes;
        if (job->draft.destination == DOWNLOAD_SPOOL)
            wake_all_locked(downloads); /* its reader wants the bytes */
    }
    pthread_mutex_unlock(&downloads->lock);
}

/* Forgets the oldest finished jobs beyond the cap; those that somebody reads stay. */
static void forget_old_locked(struct downloads *downloads)
{
    size_t finished = 0;

    for (struct job **link = &downloads->jobs; *link;) {
        struct job *job = *link;
        bool in_use = job->active || job->pins > 0 ||
                      (job->status.destination == DOWNLOAD_SPOOL && !job->released);
        if (in_use || ++finished <= DOWNLOADS_FINISHED_MAX) {
            link = &job->next;
            continue;
        }
        *link = job->next;
        job_free(job);
    }
}

static void log_end(const struct download_status *status)
{
    const char *place = status->destination == DOWNLOAD_SHARE ? status->stored.text : "a reader";

    if (status->state == DOWNLOAD_DONE)
        log_line(LOG_DEBUG, "downloads", "%s from %s is complete: %s", status->name.text,
                 status->source, place);
    else
        log_line(LOG_DEBUG, "downloads", "%s: %s", status->name.text, status->error.text);
}

/* Takes the bytes of a released job away, with the lock open meanwhile. */
static void drop_spool_locked(struct downloads *downloads, struct job *job)
{
    job->pins++;
    pthread_mutex_unlock(&downloads->lock);
    job_drop_spool(job);
    pthread_mutex_lock(&downloads->lock);
    job->pins--;
}

/* On a thread of the pool. */
static void run_job(void *context)
{
    struct job *job = context;
    struct downloads *downloads = job->owner;
    struct interrupt *interrupt = interrupt_new();

    pthread_mutex_lock(&downloads->lock);
    bool cancelled = download_state_is_final(job->status.state);
    job->interrupt = interrupt;
    pthread_mutex_unlock(&downloads->lock);

    if (!cancelled) {
        job_run(job, &downloads->environment, interrupt);
        log_end(&job->draft);
    }

    pthread_mutex_lock(&downloads->lock);
    job->interrupt = NULL;
    job->active = false;
    if (job->released)
        drop_spool_locked(downloads, job);
    forget_old_locked(downloads);
    pthread_mutex_unlock(&downloads->lock);
    interrupt_free(interrupt);
}

enum error_code downloads_start(const struct downloads_options *options, struct downloads **out,
                                struct error *error)
{
    struct downloads *downloads = memory_new(1, sizeof *downloads);

    downloads->environment = (struct job_environment){
        .share = options->share, .finder = options->finder, .publish = publish};
    pthread_mutex_init(&downloads->lock, NULL);
    enum error_code code = thread_pool_start("download", DOWNLOADS_RUNNING_MAX,
                                             DOWNLOADS_QUEUED_MAX, &downloads->pool, error);
    if (code != ERROR_NONE) {
        downloads_free(downloads);
        return code;
    }
    *out = downloads;
    return ERROR_NONE;
}

static void cancel_locked(struct job *job)
{
    if (download_state_is_final(job->status.state))
        return;
    if (job->interrupt) {
        interrupt_raise(job->interrupt);
        return;
    }
    job->draft.state = DOWNLOAD_CANCELLED; /* its thread has not begun: the draft is ours */
    error_set(&job->draft.error, ERROR_CANCELLED, "cancelado");
    publish_locked(job, clock_boot_ms());
}

void downloads_stop(struct downloads *downloads)
{
    if (!downloads)
        return;
    pthread_mutex_lock(&downloads->lock);
    downloads->stopping = true;
    for (struct job *job = downloads->jobs; job; job = job->next)
        cancel_locked(job);
    pthread_mutex_unlock(&downloads->lock);
    thread_pool_stop(downloads->pool);
}

void downloads_free(struct downloads *downloads)
{
    if (!downloads)
        return;
    thread_pool_free(downloads->pool);
    while (downloads->jobs) {
        struct job *job = downloads->jobs;
        downloads->jobs = job->next;
        job_free(job);
    }
    pthread_mutex_destroy(&downloads->lock);
    free(downloads);
}

enum error_code downloads_add(struct downloads *downloads, const struct download_request *request,
                              uint64_t *id, struct error *error)
{
    struct job *job = job_new(request);

    job->owner = downloads;
    pthread_mutex_lock(&downloads->lock);
    job->draft.id = downloads->last_id + 1;
    enum error_code code = ERROR_NONE;
    if (downloads->stopping)
        code = error_set(error, ERROR_CANCELLED, "El peer se está deteniendo");
    else if (thread_pool_submit(downloads->pool, run_job, job, NULL) != ERROR_NONE)
        code = error_set(error, ERROR_BUSY, "Hay demasiadas descargas en espera");
    if (code == ERROR_NONE) {
        *id = ++downloads->last_id;
        job->active = true;
        job->next = downloads->jobs;
        downloads->jobs = take_pointer(&job);
        publish_locked(downloads->jobs, clock_boot_ms());
    }
    pthread_mutex_unlock(&downloads->lock);
    job_free(job);
    return code;
}

void downloads_cancel(struct downloads *downloads, uint64_t id)
{
    pthread_mutex_lock(&downloads->lock);
    struct job *job = find_locked(downloads, id);
    if (job)
        cancel_locked(job);
    pthread_mutex_unlock(&downloads->lock);
}

bool downloads_find(struct downloads *downloads, uint64_t id, struct download_status *status)
{
    pthread_mutex_lock(&downloads->lock);
    const struct job *job = find_locked(downloads, id);
    if (job)
        *status = job->status;
    pthread_mutex_unlock(&downloads->lock);
    return job != NULL;
}

bool downloads_next_change(struct downloads *downloads, uint64_t after,
                           struct download_status *status)
{
    const struct job *first = NULL;

    pthread_mutex_lock(&downloads->lock);
    for (const struct job *job = downloads->jobs; job; job = job->next) {
        uint64_t revision = job->status.revision;
        if (revision > after && (!first || revision < first->status.revision))
            first = job;
    }
    if (first)
        *status = first->status;
    pthread_mutex_unlock(&downloads->lock);
    return first != NULL;
}

uint64_t downloads_revision(struct downloads *downloads)
{
    pthread_mutex_lock(&downloads->lock);
    uint64_t revision = downloads->last_revision;
    pthread_mutex_unlock(&downloads->lock);
    return revision;
}

void downloads_count(struct downloads *downloads, struct downloads_counts *counts)
{
    pthread_mutex_lock(&downloads->lock);
    *counts = downloads->finished;
    for (const struct job *job = downloads->jobs; job; job = job->next) {
        if (job->status.state == DOWNLOAD_QUEUED)
            counts->queued++;
        else if (!download_state_is_final(job->status.state))
            counts->running++;
    }
    pthread_mutex_unlock(&downloads->lock);
}

static enum error_code read_spool(struct job *job, unsigned attempt, int64_t offset,
                                  struct iovec data, size_t *got, struct error *error)
{
    enum error_code code = ERROR_NONE;

    *got = 0;
    pthread_mutex_lock(&job->spool_lock);
    if (!job->incoming || job->spool_attempt != attempt)
        code = error_set(error, ERROR_CHANGED, "otra fuente empieza desde el principio");
    else
        code = share_incoming_read(job->incoming, offset, data.iov_base, data.iov_len, got, error);
    pthread_mutex_unlock(&job->spool_lock);
    return code;
}

enum error_code downloads_read(struct downloads *downloads, uint64_t id, unsigned attempt,
                               int64_t offset, void *data, size_t capacity, size_t *got,
                               struct error *error)
{
    struct iovec into = {.iov_base = data, .iov_len = capacity};

    pthread_mutex_lock(&downloads->lock);
    struct job *job = find_locked(downloads, id);
    if (job)
        job->pins++;
    pthread_mutex_unlock(&downloads->lock);
    if (!job)
        return error_set(error, ERROR_NOT_FOUND, "no existe esa descarga");

    enum error_code code = read_spool(job, attempt, offset, into, got, error);

    pthread_mutex_lock(&downloads->lock);
    job->pins--;
    pthread_mutex_unlock(&downloads->lock);
    return code;
}

void downloads_release(struct downloads *downloads, uint64_t id)
{
    pthread_mutex_lock(&downloads->lock);
    struct job *job = find_locked(downloads, id);
    if (job) {
        job->released = true;
        cancel_locked(job);
        if (!job->active)
            drop_spool_locked(downloads, job);
        forget_old_locked(downloads);
    }
    pthread_mutex_unlock(&downloads->lock);
}

void downloads_follow(struct downloads *downloads, struct downloads_follower *follower)
{
    pthread_mutex_lock(&downloads->lock);
    follower->next = downloads->followers;
    downloads->followers = follower;
    pthread_mutex_unlock(&downloads->lock);
}

void downloads_unfollow(struct downloads *downloads, struct downloads_follower *follower)
{
    pthread_mutex_lock(&downloads->lock);
    struct downloads_follower **link = &downloads->followers;
    while (*link && *link != follower)
        link = &(*link)->next;
    if (*link)
        *link = follower->next;
    pthread_mutex_unlock(&downloads->lock);
}
