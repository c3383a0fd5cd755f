#include "directory/index_writer.h"

#include "common/memory.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

/* Jobs in one transaction. A bound keeps the wait of the first short; measured, larger groups gain
 * nothing any more. */
enum { GROUP_MAX = 256 };

struct index_writer {
    struct index *index; /* the thread's alone */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct index_job *first, **last; /* guarded by lock: the queue */
    bool stopping, stopped;          /* guarded by lock */
};

void index_job_done(struct index_job *job)
{
    for (size_t i = 0; i < job->record_count; i++)
        registry_record_done(&job->records[i]);
    free(job->records);
    for (size_t i = 0; i < job->added_count && i < INDEX_WRITER_ADDED_MAX; i++)
        free(job->added[i]);
}

static void note_added(void *context, const char *name)
{
    struct index_job *job = context;

    if (job->added_count < INDEX_WRITER_ADDED_MAX)
        job->added[job->added_count] = memory_copy_string(name);
    job->added_count++;
}

static void forget_added(struct index_job *job)
{
    for (size_t i = 0; i < job->added_count && i < INDEX_WRITER_ADDED_MAX; i++)
        free(job->added[i]);
    job->added_count = 0;
}

static enum error_code store(struct index *index, struct index_job *job, struct error *error)
{
    enum error_code code = index_store_clock(index, job->written_ms, error);

    for (size_t i = 0; i < job->record_count && !code; i++)
        code = index_store_peer(index, &job->records[i], error);
    if (!code && job->files)
        code = index_replace_files(index, job->records[0].id, job->files, note_added, job, error);
    return code;
}

/* Stores the jobs up to end (not included) in one transaction. */
static enum error_code store_group(struct index *index, struct index_job *first,
                                   const struct index_job *end, struct error *error)
{
    enum error_code code = index_begin(index, error);

    for (struct index_job *job = first; job != end && !code; job = job->next)
        code = store(index, job, error);
    if (!code)
        code = index_commit(index, error);
    if (code) {
        index_rollback(index);
        for (struct index_job *job = first; job != end; job = job->next)
            forget_added(job);
    }
    return code;
}

static void write_group(struct index *index, struct index_job *first)
{
    struct error error = {0};
    enum error_code code = store_group(index, first, NULL, &error);
    bool one_by_one = code != ERROR_NONE && first->next != NULL;

    while (first) {
        struct index_job *next = first->next;
        if (one_by_one) {
            error = (struct error){0};
            code = store_group(index, first, next, &error);
        }
        first->done(first, code, &error);
        first = next;
    }
}

/* Takes up to GROUP_MAX jobs off the queue; the lock is held. */
static struct index_job *take_group(struct index_writer *writer)
{
    struct index_job *first = writer->first;
    struct index_job **end = &writer->first;

    for (int i = 0; i < GROUP_MAX && *end; i++)
        end = &(*end)->next;
    writer->first = *end;
    *end = NULL;
    if (!writer->first)
        writer->last = &writer->first;
    return first;
}

static void *run(void *context)
{
    struct index_writer *writer = context;

    pthread_mutex_lock(&writer->lock);
    for (;;) {
        while (!writer->first && !writer->stopping)
            pthread_cond_wait(&writer->changed, &writer->lock);
        if (!writer->first)
            break;
        struct index_job *group = take_group(writer);
        pthread_mutex_unlock(&writer->lock);
        write_group(writer->index, group);
        pthread_mutex_lock(&writer->lock);
    }
    writer->stopped = true;
    pthread_cond_broadcast(&writer->changed);
    pthread_mutex_unlock(&writer->lock);
    return NULL;
}

struct index_writer *index_writer_start(struct index *index)
{
    struct index_writer *writer = memory_new(1, sizeof *writer);
    pthread_condattr_t attributes;

    writer->index = index;
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

bool index_writer_submit(struct index_writer *writer, struct index_job *job)
{
    pthread_mutex_lock(&writer->lock);
    bool accepted = !writer->stopping;
    if (accepted) {
        job->next = NULL;
        if (!writer->first)
            pthread_cond_broadcast(&writer->changed);
        *writer->last = job;
        writer->last = &job->next;
    }
    pthread_mutex_unlock(&writer->lock);
    return accepted;
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
