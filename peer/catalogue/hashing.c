#include "peer/catalogue/hashing.h"

#include "common/background.h"
#include "common/memory.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

/* Of one read. Small enough to stay in the processor's cache until it is hashed. */
#define READ_BYTES ((size_t)256 << 10)

/* Pieces that wait for a thread, for each thread: so that none waits for the next file. */
#define PIECES_AHEAD 8

struct hashing {
    void (*done)(void *context); /* these do not change */
    void *context;
    unsigned thread_limit;
    atomic_bool stopping;
    pthread_t *threads; /* of the owner */
    unsigned thread_count;

    pthread_mutex_t lock; /* guards what follows, and the last part of each job */
    pthread_cond_t changed;
    struct hashing_job *jobs;
    bool ending; /* threads shall end when there is nothing to do */
};

struct hashing *hashing_new(unsigned threads, void (*done)(void *context), void *context)
{
    struct hashing *hashing = memory_new(1, sizeof *hashing);

    hashing->done = done;
    hashing->context = context;
    hashing->thread_limit = threads;
    hashing->threads = memory_new(threads, sizeof *hashing->threads);
    pthread_mutex_init(&hashing->lock, NULL);
    pthread_cond_init(&hashing->changed, NULL);
    return hashing;
}

enum error_code hashing_job_new(const struct file_name *name, const struct share_identity *identity,
                                int descriptor, struct hashing_job **job, struct error *error)
{
    struct manifest manifest;
    enum error_code code = manifest_init(&manifest, identity->size_bytes, error);

    if (code)
        return code;
    *job = memory_new(1, sizeof **job);
    **job = (struct hashing_job){
        .name = *name, .identity = *identity, .file = descriptor, .manifest = manifest};
    return ERROR_NONE;
}

void hashing_job_free(struct hashing_job *job)
{
    if (!job)
        return;
    close(job->file);
    manifest_done(&job->manifest);
    free(job);
}

static size_t pieces_left(const struct hashing_job *job)
{
    return job->failure ? 0 : job->manifest.piece_count - job->next;
}

static bool is_over(const struct hashing_job *job)
{
    return job->running == 0 && (job->failure || job->finished == job->manifest.piece_count);
}

/* The job that has something to begin, and least of it: so all threads are at one file, and a disk
 * with heads need not go to and fro between several. (A file for each thread was 5 to 8 % quicker
 * from a disk without; which one it is cannot be told: virtual ones say either, file systems over
 * several disks nothing.) Under the lock. */
static struct hashing_job *choose(struct hashing *hashing)
{
    struct hashing_job *chosen = NULL;

    for (struct hashing_job *job = hashing->jobs; job; job = job->following)
        if (pieces_left(job) > 0 && (!chosen || pieces_left(job) < pieces_left(chosen)))
            chosen = job;
    return chosen;
}

struct worker {
    struct hashing *hashing;
    struct piece_hasher *hasher;
    uint8_t *buffer;
};

static enum error_code hash_bytes(struct worker *worker, int file, int64_t offset, size_t length)
{
    while (length > 0) {
        size_t wanted = length < READ_BYTES ? length : READ_BYTES;
        if (atomic_load_explicit(&worker->hashing->stopping, memory_order_relaxed))
            return ERROR_CANCELLED;
        ssize_t got = pread(file, worker->buffer, wanted, offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got == 0 ? ERROR_CHANGED : ERROR_IO;
        struct iovec part = {.iov_base = worker->buffer, .iov_len = (size_t)got};
        piece_hasher_update(worker->hasher, &part, 1);
        offset += got;
        length -= (size_t)got;
    }
    return ERROR_NONE;
}

/* Looking first spares the rest of a huge file that has changed meanwhile. */
static enum error_code hash_piece(struct worker *worker, struct hashing_job *job, size_t index)
{
    struct share_identity now;
    enum error_code code = share_identify_open(job->file, &now, NULL);

    if (code || !share_identity_equal(&now, &job->identity))
        return ERROR_CHANGED;
    piece_hasher_reset(worker->hasher);
    code = hash_bytes(worker, job->file, (int64_t)(index * PIECE_BYTES),
                      content_piece_bytes(job->manifest.size_bytes, index));
    if (!code)
        piece_hasher_finish(worker->hasher, job->manifest.size_bytes, job->manifest.hashes[index]);
    return code;
}

/* The next piece, and what became of the last one (NULL for none). False: the thread shall end. */
static bool next_piece(struct hashing *hashing, struct hashing_job **job, size_t *index,
                       enum error_code outcome)
{
    bool tell = false;

    pthread_mutex_lock(&hashing->lock);
    if (*job) {
        (*job)->running--;
        (*job)->finished += outcome == ERROR_NONE;
        if (outcome && !(*job)->failure)
            (*job)->failure = outcome;
        tell = is_over(*job);
    }
    if (tell) { /* not under the lock, and before any waiting */
        pthread_mutex_unlock(&hashing->lock);
        hashing->done(hashing->context);
        pthread_mutex_lock(&hashing->lock);
    }
    while (!(*job = choose(hashing)) && !hashing->ending && !atomic_load(&hashing->stopping))
        pthread_cond_wait(&hashing->changed, &hashing->lock);
    bool found = *job && !atomic_load(&hashing->stopping);
    if (found) {
        *index = (*job)->next++;
        (*job)->running++;
    }
    pthread_mutex_unlock(&hashing->lock);
    return found;
}

static void *work(void *context)
{
    struct worker worker = {.hashing = context, .hasher = piece_hasher_new()};
    enum error_code outcome = ERROR_NONE;
    struct hashing_job *job = NULL;
    size_t index;

    background_give_way("hashing");
    worker.buffer = memory_new(1, READ_BYTES);
    while (next_piece(worker.hashing, &job, &index, outcome))
        outcome = hash_piece(&worker, job, index);
    free(worker.buffer);
    piece_hasher_free(worker.hasher);
    return NULL;
}

static enum error_code start_threads(struct hashing *hashing, size_t wanted, struct error *error)
{
    while (hashing->thread_count < hashing->thread_limit && hashing->thread_count < wanted) {
        int reason = pthread_create(&hashing->threads[hashing->thread_count], NULL, work, hashing);
        if (reason != 0)
            return hashing->thread_count > 0
                       ? ERROR_NONE
                       : error_set_errno(error, reason, "cannot start a thread for hashing");
        hashing->thread_count++;
    }
    return ERROR_NONE;
}

enum error_code hashing_add(struct hashing *hashing, struct hashing_job *job, struct error *error)
{
    struct hashing_load load;

    hashing_read_load(hashing, &load);
    enum error_code code =
        start_threads(hashing, load.pieces + load.jobs + job->manifest.piece_count, error);
    if (code)
        return code;
    pthread_mutex_lock(&hashing->lock);
    job->following = hashing->jobs;
    hashing->jobs = job;
    pthread_cond_broadcast(&hashing->changed);
    pthread_mutex_unlock(&hashing->lock);
    return ERROR_NONE;
}

/* Whether the file is still the one that was opened, all pieces having been read. */
static void finish(struct hashing_job *job)
{
    struct share_identity now;

    if (!job->failure &&
        (share_identify_open(job->file, &now, NULL) || !share_identity_equal(&now, &job->identity)))
        job->failure = ERROR_CHANGED;
    if (!job->failure)
        manifest_seal(&job->manifest);
}

struct hashing_job *hashing_take(struct hashing *hashing)
{
    struct hashing_job *taken = NULL;

    pthread_mutex_lock(&hashing->lock);
    for (struct hashing_job **link = &hashing->jobs; *link && !taken; link = &(*link)->following)
        if (is_over(*link)) {
            taken = *link;
            *link = taken->following;
            break;
        }
    pthread_mutex_unlock(&hashing->lock);
    if (taken)
        finish(taken);
    return taken;
}

void hashing_read_load(struct hashing *hashing, struct hashing_load *load)
{
    *load = (struct hashing_load){.shortest_left = INT64_MAX};
    pthread_mutex_lock(&hashing->lock);
    for (const struct hashing_job *job = hashing->jobs; job; job = job->following) {
        int64_t left = (int64_t)(pieces_left(job) * PIECE_BYTES);
        load->jobs++;
        load->pieces += pieces_left(job);
        if (left < load->shortest_left)
            load->shortest_left = left;
    }
    pthread_mutex_unlock(&hashing->lock);
    load->is_short = load->pieces < (size_t)hashing->thread_limit * PIECES_AHEAD;
}

bool hashing_has(struct hashing *hashing, const struct share_identity *identity)
{
    bool has = false;

    pthread_mutex_lock(&hashing->lock);
    for (const struct hashing_job *job = hashing->jobs; job && !has; job = job->following)
        has = share_identity_equal(&job->identity, identity);
    pthread_mutex_unlock(&hashing->lock);
    return has;
}

static void join(struct hashing *hashing)
{
    pthread_mutex_lock(&hashing->lock);
    hashing->ending = true;
    pthread_cond_broadcast(&hashing->changed);
    pthread_mutex_unlock(&hashing->lock);
    for (unsigned i = 0; i < hashing->thread_count; i++)
        pthread_join(hashing->threads[i], NULL);
    hashing->thread_count = 0;
    hashing->ending = false;
}

void hashing_rest(struct hashing *hashing)
{
    assert(!hashing->jobs);
    join(hashing);
}

void hashing_stop(struct hashing *hashing)
{
    atomic_store(&hashing->stopping, true);
    join(hashing);
}

void hashing_free(struct hashing *hashing)
{
    if (!hashing)
        return;
    hashing_stop(hashing);
    while (hashing->jobs) {
        struct hashing_job *job = hashing->jobs;
        hashing->jobs = job->following;
        hashing_job_free(job);
    }
    pthread_cond_destroy(&hashing->changed);
    pthread_mutex_destroy(&hashing->lock);
    free(hashing->threads);
    free(hashing);
}
