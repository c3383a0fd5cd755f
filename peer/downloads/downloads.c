#include "peer/downloads/downloads.h"

#include "common/clock.h"
#include "common/memory.h"
#include "common/thread_pool.h"
#include "peer/downloads/downloads_private.h"

#include <stdio.h>
#include <stdlib.h>

#define WORKERS_MAX (DOWNLOADS_RUNNING_MAX + DOWNLOADS_BATCHES_MAX)

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

/* What is shown has changed, by who has the lock. */
static void tell_locked(struct job *job)
{
    job_book_changed(&job->owner->book, job);
    job_book_wake(&job->owner->book, job);
}

void downloads_publish_locked(struct job *job, int64_t now_ms)
{
    downloads_change_locked(job, now_ms);
    job_book_wake(&job->owner->book, job);
}

void downloads_change_locked(struct job *job, int64_t now_ms)
{
    struct downloads *downloads = job->owner;

    job->draft.priority = job->line.priority;
    if (job->shown != &job->draft)
        *job->shown = job->draft;
    job->published_ms = now_ms;
    if (job->shown->state == DOWNLOAD_DONE)
        downloads->finished.done++;
    else if (download_state_is_final(job->shown->state))
        downloads->finished.failed++;
    job_book_changed(&downloads->book, job);
}

static void publish(struct job *job, bool only_progress)
{
    struct downloads *downloads = job->owner;
    int64_t now_ms = clock_boot_ms();

    pthread_mutex_lock(&downloads->lock);
    if (!only_progress || now_ms - job->published_ms >= DOWNLOADS_PROGRESS_MS) {
        downloads_publish_locked(job, now_ms);
    } else {
        job->shown->bytes = job->draft.bytes; /* true when asked for, but no news */
        job->shown->total_bytes = job->draft.total_bytes;
        if (job->draft.destination == DOWNLOAD_SPOOL)
            job_book_wake(&downloads->book, job); /* its reader wants the bytes */
    }
    downloads_wake_resting_locked(downloads, now_ms);
    downloads_make_way_locked(downloads);
    pthread_mutex_unlock(&downloads->lock);
}

static bool is_in_use(const struct job *job)
{
    return job->active || job->pins > 0 ||
           (job->draft.destination == DOWNLOAD_SPOOL && !job->released);
}

void downloads_forget_locked(struct downloads *downloads)
{
    struct job_book *book = &downloads->book;
    uint64_t heard = job_book_heard(book);
    struct job *job = TAILQ_FIRST(&book->by_end);

    while (job && book->over_count > DOWNLOADS_FINISHED_MAX) {
        struct job *next = TAILQ_NEXT(job, book.by_end);
        if (job->shown->revision > heard && book->over_count <= DOWNLOADS_UNHEARD_MAX)
            return; /* nor was any after it */
        if (!is_in_use(job)) {
            job_book_remove(book, job);
            job_free(job);
        }
        job = next;
    }
}

static void init_lane(struct downloads *downloads, struct downloads_lane *lane, size_t place_count)
{
    lane->downloads = downloads;
    lane->place_count = place_count;
    job_queue_init(&lane->line);
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
    job_book_init(&downloads->book);
    init_lane(downloads, &downloads->alone, DOWNLOADS_RUNNING_MAX);
    init_lane(downloads, &downloads->together, DOWNLOADS_BATCHES_MAX);
    return downloads;
}

static enum error_code start_storer(struct downloads *downloads, struct error *error)
{
    const struct storer_options options = {.done = downloads_files_stored, .context = downloads};

    return storer_start(&options, &downloads->storer, error);
}

enum error_code downloads_start(const struct downloads_options *options, struct downloads **out,
                                struct error *error)
{
    struct downloads *downloads = new_downloads(options);

    enum error_code code = intake_start(&downloads->intake, error);
    downloads->environment.intake = downloads->intake;
    if (code == ERROR_NONE)
        code = start_storer(downloads, error);
    if (code == ERROR_NONE)
        code = thread_pool_start("download", WORKERS_MAX, WORKERS_MAX, &downloads->pool, error);
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
    if (atomic_load(&job->wish) != JOB_CANCEL) /* that is never taken back */
        atomic_store(&job->wish, wish);
    if (job->interrupt)
        interrupt_raise(job->interrupt);
    return true;
}

/* A job that does not run: the draft is ours. */
static void end_locked(struct job *job)
{
    downloads_leave_line_locked(job);
    job->draft.state = DOWNLOAD_CANCELLED;
    error_set(&job->draft.error, ERROR_CANCELLED, "cancelado");
    downloads_publish_locked(job, clock_boot_ms());
}

/* Returns whether what is on disk is left to the caller. */
static bool cancel_locked(struct job *job)
{
    if (download_state_is_final(job->shown->state) || interrupt_locked(job, JOB_CANCEL))
        return false;
    end_locked(job);
    return true;
}

/* Also one whose files are all there, or wanted by nobody: it may wait for our limit of rate. */
static void break_off_batches_locked(struct downloads *downloads)
{
    const struct downloads_lane *lane = &downloads->together;

    for (size_t i = 0; i < lane->place_count; i++)
        if (lane->places[i].batch)
            downloads_batch_give_way(lane->places[i].batch);
}

void downloads_stop(struct downloads *downloads)
{
    if (!downloads)
        return;
    pthread_mutex_lock(&downloads->lock);
    downloads->stopping = true;
    struct job *next;
    for (struct job *job = TAILQ_FIRST(&downloads->book.by_change); job; job = next) {
        next = TAILQ_NEXT(job, book.by_change); /* one that ends goes to the tail */
        if (!download_state_is_final(job->shown->state) && !interrupt_locked(job, JOB_STOP))
            end_locked(job);
    }
    break_off_batches_locked(downloads);
    pthread_mutex_unlock(&downloads->lock);
    thread_pool_stop(downloads->pool);
    storer_stop(take_pointer(&downloads->storer));
    intake_stop(downloads->intake);
}

void downloads_free(struct downloads *downloads)
{
    if (!downloads)
        return;
    thread_pool_free(downloads->pool);
    struct job *job;
    while ((job = TAILQ_FIRST(&downloads->book.by_change))) {
        job_book_remove(&downloads->book, job);
        job_free(job);
    }
    job_queue_done(&downloads->alone.line);
    job_queue_done(&downloads->together.line);
    intake_free(downloads->intake);
    channel_pool_free(downloads->environment.channels);
    wanted_close(downloads->environment.wanted);
    pthread_mutex_destroy(&downloads->lock);
    free(downloads->folder);
    free(downloads);
}

/* How many more there may be. */
static size_t count_room_locked(const struct downloads *downloads)
{
    size_t open = downloads->book.count - downloads->book.over_count;

    return open < DOWNLOADS_QUEUED_MAX ? DOWNLOADS_QUEUED_MAX - open : 0;
}

/* Puts them in line, as many as there is room for. Returns how many. */
static size_t insert_all(struct downloads *downloads, struct job **jobs, size_t count,
                         struct error *error)
{
    size_t added = 0;

    pthread_mutex_lock(&downloads->lock);
    size_t room = count_room_locked(downloads);
    if (downloads->stopping)
        error_set(error, ERROR_CANCELLED, "El peer se está deteniendo");
    else if (room < count)
        error_set(error, ERROR_BUSY, "Hay demasiadas descargas en espera");
    for (; !downloads->stopping && added < count && added < room; added++)
        downloads_insert_locked(downloads, take_pointer(&jobs[added]));
    job_book_wake_all(&downloads->book);
    pthread_mutex_unlock(&downloads->lock);
    return added;
}

size_t downloads_add_all(struct downloads *downloads, const struct download_request *requests,
                         size_t count, uint64_t *ids, struct error *error)
{
    auto_free struct job **jobs = memory_new(count + 1, sizeof *jobs);

    pthread_mutex_lock(&downloads->lock);
    uint64_t last_id = downloads->last_id;
    downloads->last_id += count;
    pthread_mutex_unlock(&downloads->lock);
    for (size_t i = 0; i < count; i++) {
        jobs[i] = job_new(&requests[i]);
        jobs[i]->owner = downloads;
        jobs[i]->draft.id = ids[i] = last_id + 1 + i;
    }
    job_record_all(jobs, count, &downloads->environment);
    size_t added = insert_all(downloads, jobs, count, error);
    for (size_t i = added; i < count; i++) {
        job_discard(jobs[i], &downloads->environment);
        job_free(jobs[i]);
    }
    return added;
}

enum error_code downloads_add(struct downloads *downloads, const struct download_request *request,
                              uint64_t *id, struct error *error)
{
    struct error refusal = {0};

    if (downloads_add_all(downloads, request, 1, id, &refusal) == 1)
        return ERROR_NONE;
    if (error)
        *error = refusal;
    return refusal.code;
}

/* The disk is not touched under the lock: the job is pinned meanwhile. */
static struct job *pin(struct downloads *downloads, uint64_t id)
{
    pthread_mutex_lock(&downloads->lock);
    struct job *job = job_book_find(&downloads->book, id);
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
        downloads_leave_line_locked(job);
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
    bool paused = job->shown->state == DOWNLOAD_PAUSED && !downloads_is_running_locked(job);
    job->again = pausing;
    if (paused && !downloads->stopping) {
        job->draft.state = DOWNLOAD_QUEUED;
        downloads_publish_locked(job, clock_boot_ms());
        downloads_enqueue_locked(downloads, job);
    }
    pthread_mutex_unlock(&downloads->lock);
    if (paused || pausing)
        job_record_pause(job, false);
    unpin(downloads, job);
    return true;
}

bool downloads_set_priority(struct downloads *downloads, uint64_t id,
                            enum download_priority priority)
{
    struct job *job = pin(downloads, id);

    if (!job)
        return false;
    pthread_mutex_lock(&downloads->lock);
    bool changes = !download_state_is_final(job->shown->state) && job->line.priority != priority;
    if (changes) {
        struct downloads_lane *lane = job->lane ? job->lane : &downloads->alone;
        job_queue_set_priority(&lane->line, &job->line, priority);
        atomic_store(&job->priority, priority);
        job->shown->priority = priority;
        tell_locked(job);
        downloads_make_way_locked(downloads);
    }
    pthread_mutex_unlock(&downloads->lock);
    if (changes)
        job_record_priority(job);
    unpin(downloads, job);
    return true;
}

/* The source of a job that has no pieces. */
static size_t describe_stream(struct downloads *downloads, struct job *job,
                              struct download_source *row)
{
    *row = (struct download_source){.whole_stream = true};
    pthread_mutex_lock(&job->spool_lock);
    bool known = job->stream_from != NULL;
    if (known)
        row->address = *job->stream_from;
    pthread_mutex_unlock(&job->spool_lock);
    pthread_mutex_lock(&downloads->lock);
    bool runs = job->shown->state == DOWNLOAD_RUNNING;
    row->state = runs ? DOWNLOAD_SOURCE_ACTIVE : DOWNLOAD_SOURCE_READY;
    row->bytes_per_second = job->shown->bytes_per_second;
    snprintf(row->who, sizeof row->who, "%s", job->shown->source);
    pthread_mutex_unlock(&downloads->lock);
    return known ? 1 : 0;
}

size_t downloads_sources(struct downloads *downloads, uint64_t id, struct download_source *rows,
                         size_t capacity)
{
    struct job *job = pin(downloads, id);
    struct swarm *swarm = job ? atomic_load(&job->swarm) : NULL;
    size_t count = 0;

    if (swarm)
        count = swarm_describe(swarm, rows, capacity);
    else if (job && capacity > 0)
        count = describe_stream(downloads, job, rows);
    if (job)
        unpin(downloads, job);
    return count;
}

bool downloads_find(struct downloads *downloads, uint64_t id, struct download_status *status)
{
    pthread_mutex_lock(&downloads->lock);
    const struct job *job = job_book_find(&downloads->book, id);
    if (job)
        *status = *job->shown;
    pthread_mutex_unlock(&downloads->lock);
    return job != NULL;
}

size_t downloads_list(struct downloads *downloads, uint64_t **ids)
{
    const struct job *job;
    size_t count = 0;

    pthread_mutex_lock(&downloads->lock);
    *ids = memory_new(downloads->book.count + 1, sizeof **ids);
    TAILQ_FOREACH(job, &downloads->book.by_change, book.by_change)
    {
        (*ids)[count++] = job->draft.id;
    }
    pthread_mutex_unlock(&downloads->lock);
    return count;
}

void downloads_count(struct downloads *downloads, struct downloads_counts *counts)
{
    pthread_mutex_lock(&downloads->lock);
    *counts = downloads->finished;
    const struct job *job;
    TAILQ_FOREACH(job, &downloads->book.by_change, book.by_change)
    {
        if (job->shown->state == DOWNLOAD_QUEUED)
            counts->queued++;
        else if (job->shown->state == DOWNLOAD_PAUSED)
            counts->paused++;
        else if (!download_state_is_final(job->shown->state))
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
    struct job *job = job_book_find(&downloads->book, id);
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
    job_book_follow(&downloads->book, follower, NULL);
    pthread_mutex_unlock(&downloads->lock);
}

bool downloads_follow_job(struct downloads *downloads, struct downloads_follower *follower,
                          uint64_t id)
{
    pthread_mutex_lock(&downloads->lock);
    struct job *job = job_book_find(&downloads->book, id);
    if (job) {
        job->pins++;
        job_book_follow(&downloads->book, follower, job);
    }
    pthread_mutex_unlock(&downloads->lock);
    return job != NULL;
}

void downloads_unfollow(struct downloads *downloads, struct downloads_follower *follower)
{
    pthread_mutex_lock(&downloads->lock);
    job_book_unfollow(&downloads->book, follower);
    if (follower->job)
        follower->job->pins--;
    downloads_forget_locked(downloads);
    pthread_mutex_unlock(&downloads->lock);
}

bool downloads_next_change(struct downloads *downloads, struct downloads_follower *follower,
                           struct download_status *status)
{
    pthread_mutex_lock(&downloads->lock);
    const struct job *job = job_book_next(follower);
    if (job)
        *status = *job->shown;
    else
        downloads_forget_locked(downloads);
    pthread_mutex_unlock(&downloads->lock);
    return job != NULL;
}
