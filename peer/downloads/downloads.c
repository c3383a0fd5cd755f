#include "peer/downloads/downloads.h"

#include "common/clock.h"
#include "common/memory.h"
#include "common/thread_pool.h"
#include "peer/downloads/downloads_private.h"

#include <stdlib.h>

const char *download_state_name(enum download_state state)
{
    static const char *const names[DOWNLOAD_STATE_COUNT] = {
        [DOWNLOAD_QUEUED] = "queued",   [DOWNLOAD_SEARCHING] = "searching",
        [DOWNLOAD_RUNNING] = "running", [DOWNLOAD_DONE] = "done",
        [DOWNLOAD_FAILED] = "failed",   [DOWNLOAD_CANCELLED] = "cancelled",
        [DOWNLOAD_WAITING] = "waiting", [DOWNLOAD_PAUSED] = "paused",
    };

    return (unsigned)state < DOWNLOAD_STATE_COUNT ? names[state] : "unknown";
}

const char *download_source_state_name(enum download_source_state state)
{
    static const char *const names[DOWNLOAD_SOURCE_STATE_COUNT] = {
        [DOWNLOAD_SOURCE_READY] = "ready",
        [DOWNLOAD_SOURCE_ACTIVE] = "active",
        [DOWNLOAD_SOURCE_LATER] = "later",
        [DOWNLOAD_SOURCE_DROPPED] = "dropped",
    };

    return (unsigned)state < DOWNLOAD_SOURCE_STATE_COUNT ? names[state] : "unknown";
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

void downloads_publish_locked(struct job *job, int64_t now_ms)
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
        downloads_publish_locked(job, now_ms);
    } else {
        job->status.bytes = job->draft.bytes; /* true when asked for, but no news */
        job->status.total_bytes = job->draft.total_bytes;
        if (job->draft.destination == DOWNLOAD_SPOOL)
            wake_all_locked(downloads); /* its reader wants the bytes */
    }
    pthread_mutex_unlock(&downloads->lock);
}

/* Forgets the oldest finished jobs beyond the cap; those that somebody reads stay. */
void downloads_forget_locked(struct downloads *downloads)
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

static struct downloads *new_downloads(const struct downloads_options *options)
{
    struct downloads *downloads = memory_new(1, sizeof *downloads);

    downloads->folder = options->folder ? memory_copy_string(options->folder) : NULL;
    downloads->environment = (struct job_environment){
        .share = options->share,
        .finder = options->finder,
        .catalogue = options->catalogue,
        .arrivals = options->arrivals,
        .limits = options->limits,
        .channels = channel_pool_new(),
        .folder = downloads->folder,
        .stall_ms = options->stall_ms ? options->stall_ms : DOWNLOADS_STALL_MS,
        .publish = publish,
        .is_crowded = downloads_is_crowded,
    };
    pthread_mutex_init(&downloads->lock, NULL);
    return downloads;
}

enum error_code downloads_start(const struct downloads_options *options, struct downloads **out,
                                struct error *error)
{
    struct downloads *downloads = new_downloads(options);

    enum error_code code = intake_start(&downloads->intake, error);
    downloads->environment.intake = downloads->intake;
    if (code == ERROR_NONE)
        code = thread_pool_start("download", DOWNLOADS_RUNNING_MAX, DOWNLOADS_QUEUED_MAX,
                                 &downloads->pool, error);
    if (code == ERROR_NONE)
        code = downloads_restore(downloads, error);
    if (code != ERROR_NONE) {
        downloads_stop(downloads);
        downloads_free(downloads);
        return code;
    }
    *out = downloads;
    return ERROR_NONE;
}

/* Asks for the end of a job. False: it does not run, and is at its end. */
static bool interrupt_locked(struct job *job, enum job_wish wish)
{
    if (!downloads_is_running_locked(job))
        return false;
    atomic_store(&job->wish, wish);
    interrupt_raise(job->interrupt);
    return true;
}

/* A job that does not run: the draft is ours. */
static void end_locked(struct job *job)
{
    job->draft.state = DOWNLOAD_CANCELLED;
    error_set(&job->draft.error, ERROR_CANCELLED, "cancelado");
    downloads_publish_locked(job, clock_boot_ms());
}

/* Returns whether what is on disk is left to the caller. */
static bool cancel_locked(struct job *job)
{
    if (download_state_is_final(job->status.state) || interrupt_locked(job, JOB_CANCEL))
        return false;
    end_locked(job);
    return true;
}

void downloads_stop(struct downloads *downloads)
{
    if (!downloads)
        return;
    pthread_mutex_lock(&downloads->lock);
    downloads->stopping = true;
    for (struct job *job = downloads->jobs; job; job = job->next)
        if (!download_state_is_final(job->status.state) && !interrupt_locked(job, JOB_STOP))
            end_locked(job);
    pthread_mutex_unlock(&downloads->lock);
    thread_pool_stop(downloads->pool);
    intake_stop(downloads->intake);
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
    intake_free(downloads->intake);
    channel_pool_free(downloads->environment.channels);
    pthread_mutex_destroy(&downloads->lock);
    free(downloads->folder);
    free(downloads);
}

enum error_code downloads_add(struct downloads *downloads, const struct download_request *request,
                              uint64_t *id, struct error *error)
{
    struct job *job = job_new(request);

    job->owner = downloads;
    pthread_mutex_lock(&downloads->lock);
    job->draft.id = ++downloads->last_id;
    pthread_mutex_unlock(&downloads->lock);
    job_record(job, &downloads->environment);

    pthread_mutex_lock(&downloads->lock);
    enum error_code code = ERROR_NONE;
    *id = job->draft.id;
    if (downloads_submit_locked(downloads, job)) {
        job->next = downloads->jobs;
        downloads->jobs = take_pointer(&job);
        downloads_publish_locked(downloads->jobs, clock_boot_ms());
    } else if (downloads->stopping) {
        code = error_set(error, ERROR_CANCELLED, "El peer se está deteniendo");
    } else {
        code = error_set(error, ERROR_BUSY, "Hay demasiadas descargas en espera");
    }
    pthread_mutex_unlock(&downloads->lock);
    if (job)
        job_discard(job, &downloads->environment);
    job_free(job);
    return code;
}

/* The disk is not touched under the lock: the job is pinned meanwhile. */
static struct job *pin(struct downloads *downloads, uint64_t id)
{
    pthread_mutex_lock(&downloads->lock);
    struct job *job = find_locked(downloads, id);
    if (job)
        job->pins++;
    pthread_mutex_unlock(&downloads->lock);
    return job;
}

static void unpin(struct downloads *downloads, struct job *job)
{
    pthread_mutex_lock(&downloads->lock);
    job->pins--;
    pthread_mutex_unlock(&downloads->lock);
}

bool downloads_cancel(struct downloads *downloads, uint64_t id)
{
    struct job *job = pin(downloads, id);

    if (!job)
        return false;
    pthread_mutex_lock(&downloads->lock);
    bool ours = cancel_locked(job);
    pthread_mutex_unlock(&downloads->lock);
    if (ours)
        job_discard(job, &downloads->environment);
    unpin(downloads, job);
    return true;
}

bool downloads_pause(struct downloads *downloads, uint64_t id)
{
    struct job *job = pin(downloads, id);

    if (!job)
        return false;
    pthread_mutex_lock(&downloads->lock);
    bool pauses = downloads_may_run_locked(job);
    job->again = false;
    if (pauses && !interrupt_locked(job, JOB_PAUSE)) {
        job->draft.state = DOWNLOAD_PAUSED;
        downloads_publish_locked(job, clock_boot_ms());
    }
    pthread_mutex_unlock(&downloads->lock);
    if (pauses)
        job_record_pause(job, true);
    unpin(downloads, job);
    return true;
}

bool downloads_resume(struct downloads *downloads, uint64_t id)
{
    struct job *job = pin(downloads, id);

    if (!job)
        return false;
    pthread_mutex_lock(&downloads->lock);
    bool pausing = downloads_is_running_locked(job) && atomic_load(&job->wish) == JOB_PAUSE;
    bool paused = job->status.state == DOWNLOAD_PAUSED && !downloads_is_running_locked(job);
    job->again = pausing;
    if (paused && (job->active || downloads_submit_locked(downloads, job))) {
        job->draft.state = DOWNLOAD_QUEUED;
        downloads_publish_locked(job, clock_boot_ms());
    }
    pthread_mutex_unlock(&downloads->lock);
    if (paused || pausing)
        job_record_pause(job, false);
    unpin(downloads, job);
    return true;
}

size_t downloads_sources(struct downloads *downloads, uint64_t id, struct download_source *rows,
                         size_t capacity)
{
    struct job *job = pin(downloads, id);
    struct swarm *swarm = job ? atomic_load(&job->swarm) : NULL;
    size_t count = swarm ? swarm_describe(swarm, rows, capacity) : 0;

    if (job)
        unpin(downloads, job);
    return count;
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
        else if (job->status.state == DOWNLOAD_PAUSED)
            counts->paused++;
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
    struct job *job = pin(downloads, id);

    *got = 0;
    if (!job)
        return error_set(error, ERROR_NOT_FOUND, "no existe esa descarga");
    int64_t readable = atomic_load(&job->readable) - offset;
    if ((int64_t)capacity > readable)
        capacity = readable > 0 ? (size_t)readable : 0;
    struct iovec into = {.iov_base = data, .iov_len = capacity};
    enum error_code code = read_spool(job, attempt, offset, into, got, error);
    unpin(downloads, job);
    return code;
}

void downloads_release(struct downloads *downloads, uint64_t id)
{
    pthread_mutex_lock(&downloads->lock);
    struct job *job = find_locked(downloads, id);
    if (job) {
        job->released = true;
        (void)cancel_locked(job);
        if (!job->active)
            downloads_drop_spool_locked(downloads, job);
        downloads_forget_locked(downloads);
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
