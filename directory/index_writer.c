#include "directory/index_writer.h"

#include "common/clock.h"
#include "common/memory.h"
#include "directory/metrics.h"
#include "directory/retention.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

/* Jobs in one transaction. A bound keeps the wait of the first short; measured, larger groups gain
 * nothing any more. */
enum { GROUP_MAX = 256 };

/* After a group of more than a few the next one begins so long after it, unless no job has come for
 * a moment: whoever waits for his answer sends none. A few who take turns are not held up. */
enum { FEW_JOBS = 2, GATHER_US = 16000, QUIET_MS = 2 };

struct index_writer {
    struct index *index; /* these three are the thread's alone */
    struct registry *registry;
    bool has_begun; /* the epoch is stored, and all times with it */
    struct retention retention;
    bool is_idle;       /* nothing is overdue, until the registry is stored next */
    bool is_loaded;     /* index_load_some has no more */
    size_t group_count; /* jobs of the last group */
    int64_t begun_us;   /* when it was taken */

    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct index_job *first, **last; /* guarded by lock: the queue */
    size_t waiting_count, waiting_bytes;
    bool stopping, stopped; /* guarded by lock */
};

static void forget_added(struct index_job *job)
{
    for (size_t i = 0; i < job->added_count && i < INDEX_WRITER_ADDED_MAX; i++)
        free(job->added[i]);
    job->added_count = 0;
}

void index_job_done(struct index_job *job)
{
    forget_added(job);
    free(job->collected);
    job->collected = NULL;
}

static void note_added(void *context, const char *name)
{
    struct index_job *job = context;

    if (job->added_count < INDEX_WRITER_ADDED_MAX)
        job->added[job->added_count] = memory_copy_string(name);
    job->added_count++;
}

static enum error_code store_record(struct index_writer *writer, int64_t id, struct error *error)
{
    CLEANUP(registry_record_done) struct registry_record record = {0};

    if (!registry_get(writer->registry, id, &record))
        return ERROR_NONE;
    return index_peers_store(index_peers(writer->index), &record, error);
}

static enum error_code store_collected(struct index_writer *writer, struct index_job *job,
                                       struct error *error)
{
    enum error_code code = ERROR_NONE;

    job->collected = memory_new(INDEX_WRITER_RECORDS_MAX, sizeof *job->collected);
    job->collected_count =
        registry_collect(writer->registry, job->collected, INDEX_WRITER_RECORDS_MAX);
    for (size_t i = 0; i < job->collected_count && !code; i++)
        code = store_record(writer, job->collected[i], error);
    return code;
}

static enum error_code store_seen(struct index_writer *writer, struct error *error)
{
    struct registry_seen seen;
    enum error_code code = ERROR_NONE;

    for (size_t next = 0;
         !code && registry_collect_seen(writer->registry, &next, clock_boot_ms(), &seen);)
        code = index_peers_store_seen(index_peers(writer->index), &seen, error);
    if (code)
        registry_collect_all_seen(writer->registry);
    return code;
}

static enum error_code store(struct index_writer *writer, struct index_job *job,
                             struct error *error)
{
    enum error_code code = ERROR_NONE;

    if (job->behind) {
        writer->is_idle = false;
        code = store_collected(writer, job, error);
    }
    if (!code && job->behind)
        code = store_seen(writer, error);
    if (!code && job->behind)
        code = index_settle(writer->index, error);
    /* With a list always: the record may have failed, or be still on its way with the peer's other
     * login, and files of an id without a peer would be those of the next one who comes. */
    if (!code && (job->with_record || job->files))
        code = store_record(writer, job->peer_id, error);
    if (!code && job->files)
        code = index_replace_files(writer->index, job->peer_id, job->files, note_added, job, error);
    if (!code && job->change.files)
        code = index_change_files(writer->index, job->peer_id, &job->change, &job->fits, note_added,
                                  job, error);
    return code;
}

/* Every transaction says how late it is; the first one of all begins the epoch. */
static enum error_code store_clocks(struct index_writer *writer, struct error *error)
{
    int64_t now_ms = clock_boot_ms();
    const struct index_clocks clocks = {
        .written_ms = now_ms,
        .run_ms = registry_run_ms(writer->registry, now_ms),
    };
    enum error_code code = index_peers_store_clocks(index_peers(writer->index), &clocks, error);

    if (!code && !writer->has_begun)
        code = index_peers_begin_epoch(index_peers(writer->index), error);
    if (!code && !writer->has_begun) {
        registry_collect_all_seen(writer->registry);
        code = store_seen(writer, error);
    }
    return code;
}

/* Nothing of the jobs up to end is stored: what was collected for them is to be stored again. */
static void give_back(struct index_writer *writer, struct index_job *first,
                      const struct index_job *end)
{
    for (struct index_job *job = first; job != end; job = job->next) {
        forget_added(job);
        for (size_t i = 0; i < job->collected_count; i++)
            registry_collect_again(writer->registry, job->collected[i]);
        free(job->collected);
        job->collected = NULL;
        job->collected_count = 0;
        if (job->behind)
            registry_collect_all_seen(writer->registry);
    }
}

/* Stores the jobs up to end (not included) in one transaction. */
static enum error_code store_group(struct index_writer *writer, struct index_job *first,
                                   const struct index_job *end, struct error *error)
{
    int64_t begun_us = clock_us();
    int64_t count = 0;
    enum error_code code = index_begin(writer->index, error);

    if (!code)
        code = store_clocks(writer, error);
    for (struct index_job *job = first; job != end && !code; job = job->next, count++)
        code = store(writer, job, error);
    if (!code)
        code = index_commit(writer->index, error);
    if (code) {
        index_rollback(writer->index);
        metrics_add(METRICS_COMMITS_FAILED, 1);
        give_back(writer, first, end);
    } else {
        writer->has_begun = true;
        metrics_observe(METRICS_COMMIT_US, clock_us() - begun_us);
        metrics_observe(METRICS_COMMIT_JOBS, count);
    }
    return code;
}

static void write_group(struct index_writer *writer, struct index_job *first)
{
    struct error error = {0};
    enum error_code code = store_group(writer, first, NULL, &error);
    bool one_by_one = code != ERROR_NONE && first->next != NULL;

    while (first) {
        struct index_job *next = first->next;
        if (one_by_one) {
            error = (struct error){0};
            code = store_group(writer, first, next, &error);
        }
        first->done(first, code, &error);
        first = next;
    }
}

/* Waits for more jobs, if it is worth while. The lock is held, but during that. */
static void gather(struct index_writer *writer)
{
    if (writer->group_count <= FEW_JOBS)
        return;
    for (size_t before = 0; writer->waiting_count > before && writer->waiting_count < GROUP_MAX &&
                            !writer->stopping && clock_us() - writer->begun_us < GATHER_US;) {
        struct timespec limit = clock_deadline(QUIET_MS);
        before = writer->waiting_count;
        pthread_cond_timedwait(&writer->changed, &writer->lock, &limit);
    }
}

/* Takes up to GROUP_MAX jobs off the queue; the lock is held. */
static struct index_job *take_group(struct index_writer *writer)
{
    struct index_job *first = writer->first;
    struct index_job **end = &writer->first;

    writer->begun_us = clock_us();
    writer->group_count = 0;
    for (; writer->group_count < GROUP_MAX && *end; writer->group_count++) {
        writer->waiting_count -= !(*end)->behind;
        writer->waiting_bytes -= (*end)->bytes;
        end = &(*end)->next;
    }
    writer->first = *end;
    *end = NULL;
    if (!writer->first)
        writer->last = &writer->first;
    return first;
}

static void load_some(struct index_writer *writer)
{
    if (!writer->is_loaded)
        writer->is_loaded = !index_load_some(writer->index);
}

/* A slice of what is not urgent; false: there was nothing to do. */
static bool do_slice(struct index_writer *writer)
{
    if (!writer->has_begun)
        return false;
    if (!writer->is_loaded)
        load_some(writer);
    else if (!writer->is_idle)
        writer->is_idle = !retention_step(&writer->retention);
    else
        return false;
    return true;
}

/* Waits for jobs. While there are none it does slices, and rests as long after each. The lock is
 * held, but during a slice. */
static void rest(struct index_writer *writer)
{
    pthread_mutex_unlock(&writer->lock);
    int64_t begun_ms = clock_boot_ms();
    bool goes_on = do_slice(writer);
    struct timespec limit = clock_deadline(clock_boot_ms() - begun_ms + 1);
    pthread_mutex_lock(&writer->lock);
    if (writer->first || writer->stopping)
        return;
    if (goes_on)
        pthread_cond_timedwait(&writer->changed, &writer->lock, &limit);
    else
        pthread_cond_wait(&writer->changed, &writer->lock);
}

static void *run(void *context)
{
    struct index_writer *writer = context;

    pthread_mutex_lock(&writer->lock);
    for (;;) {
        while (!writer->first && !writer->stopping)
            rest(writer);
        if (!writer->first)
            break;
        gather(writer);
        struct index_job *group = take_group(writer);
        pthread_mutex_unlock(&writer->lock);
        write_group(writer, group);
        load_some(writer); /* also where jobs never end */
        pthread_mutex_lock(&writer->lock);
    }
    writer->stopped = true;
    pthread_cond_broadcast(&writer->changed);
    pthread_mutex_unlock(&writer->lock);
    return NULL;
}

struct index_writer *index_writer_start(struct index *index, struct registry *registry,
                                        int64_t retention_ms)
{
    struct index_writer *writer = memory_new(1, sizeof *writer);
    pthread_condattr_t attributes;

    writer->index = index;
    writer->registry = registry;
    writer->retention =
        (struct retention){.index = index, .registry = registry, .limit_ms = retention_ms};
    writer->last = &writer->first;
    pthread_mutex_init(&writer->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&writer->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    if (pthread_create(&writer->thread, NULL, run, writer) != 0)
        abort(); /* at start, with nothing to lose */
    return writer;
}

/* The lock is held. */
static bool has_room(const struct index_writer *writer, const struct index_job *job)
{
    return job->behind || !writer->first ||
           (writer->waiting_count < INDEX_WRITER_JOBS_MAX &&
            writer->waiting_bytes + job->bytes <= INDEX_WRITER_BYTES_MAX);
}

enum error_code index_writer_submit(struct index_writer *writer, struct index_job *job)
{
    enum error_code code = ERROR_NONE;

    job->next = NULL;
    job->bytes = job->files          ? files_index_memory_bytes(job->files)
                 : job->change.files ? list_change_memory_bytes(job->change.files)
                                     : 0;
    pthread_mutex_lock(&writer->lock);
    if (writer->stopping) {
        code = ERROR_CANCELLED;
    } else if (!has_room(writer, job)) {
        code = ERROR_BUSY;
        metrics_add(METRICS_WRITES_REFUSED, 1);
    } else {
        if (!writer->first)
            pthread_cond_broadcast(&writer->changed);
        *writer->last = job;
        writer->last = &job->next;
        writer->waiting_count += !job->behind;
        writer->waiting_bytes += job->bytes;
    }
    pthread_mutex_unlock(&writer->lock);
    return code;
}

void index_writer_queued(struct index_writer *writer, size_t *entries, size_t *bytes)
{
    pthread_mutex_lock(&writer->lock);
    *entries = writer->waiting_count;
    *bytes = writer->waiting_bytes;
    pthread_mutex_unlock(&writer->lock);
}

void index_writer_stop(struct index_writer *writer, int64_t limit_ms)
{
    struct timespec limit;

    if (!writer)
        return;
    clock_gettime(CLOCK_MONOTONIC, &limit);
    limit.tv_sec += limit_ms / 1000;
    limit.tv_nsec += limit_ms % 1000 * 1000000;
    if (limit.tv_nsec >= 1000000000) {
        limit.tv_sec++;
        limit.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&writer->lock);
    writer->stopping = true;
    pthread_cond_broadcast(&writer->changed);
    while (!writer->stopped && pthread_cond_timedwait(&writer->changed, &writer->lock, &limit) == 0)
        continue;
    if (!writer->stopped)
        index_interrupt(writer->index);
    pthread_mutex_unlock(&writer->lock);
    pthread_join(writer->thread, NULL);
}

void index_writer_free(struct index_writer *writer)
{
    if (!writer)
        return;
    pthread_cond_destroy(&writer->changed);
    pthread_mutex_destroy(&writer->lock);
    free(writer);
}
