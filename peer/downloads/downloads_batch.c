/* How jobs go together: a batch has one place and one thread. A job in it is still one that waits,
 * only that nobody else takes it: its draft is guarded by the lock, and who cancels or pauses it
 * just takes it out. Once its bytes are there the storer has it, together with those that have come
 * meanwhile. */
#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "peer/downloads/batch.h"
#include "peer/downloads/downloads_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* So few that other places, whose sources may be other ones, get some, too; but that many. */
#define BATCH_MIN 16

struct downloads_batch {
    struct downloads *downloads; /* constant, as the next ones */
    struct job *const *jobs;     /* pinned */
    size_t count;
    enum download_priority priority;
    uint64_t age;
    struct interrupt *interrupt;

    size_t open;  /* that have not arrived, nor left; guarded by the lock */
    bool leaving; /* likewise */
};

/* A file that has arrived. */
struct stored_file {
    struct storer_item item;
    struct job *job;
    struct manifest manifest;
};

bool downloads_may_batch(const struct job *job)
{
    return !job->alone && job->draft.destination == DOWNLOAD_SHARE && job->address_count == 0 &&
           !job->journal && !job->restored.has_content && !atomic_load(&job->swarm);
}

size_t downloads_batch_size(const struct downloads *downloads)
{
    size_t share = job_queue_count(&downloads->together.line) / DOWNLOADS_BATCHES_MAX;

    if (share > BATCH_MAX)
        return BATCH_MAX;
    return share > BATCH_MIN ? share : BATCH_MIN;
}

enum download_priority downloads_batch_priority(const struct downloads_batch *batch)
{
    return batch->priority;
}

uint64_t downloads_batch_age(const struct downloads_batch *batch)
{
    return batch->age;
}

bool downloads_batch_is_leaving(const struct downloads_batch *batch)
{
    return batch->leaving || batch->open == 0;
}

void downloads_batch_give_way(struct downloads_batch *batch)
{
    batch->leaving = true;
    interrupt_raise(batch->interrupt);
}

void downloads_batch_without(struct downloads_batch *batch)
{
    if (--batch->open == 0)
        downloads_batch_give_way(batch); /* nobody wants anything of it */
}

/* ---- what the batch says ---- */

static bool is_wanted(void *context, size_t index)
{
    struct downloads_batch *batch = context;

    pthread_mutex_lock(&batch->downloads->lock);
    bool wanted = batch->jobs[index]->batch == batch;
    pthread_mutex_unlock(&batch->downloads->lock);
    return wanted;
}

static void show_place(void *context, size_t index, const char *who, int64_t size_bytes)
{
    struct downloads_batch *batch = context;
    struct job *job = batch->jobs[index];

    pthread_mutex_lock(&batch->downloads->lock);
    if (job->batch == batch) {
        job->draft.state = who ? DOWNLOAD_RUNNING : DOWNLOAD_SEARCHING;
        job->draft.active_sources = who ? 1 : 0;
        job->draft.total_bytes = size_bytes;
        snprintf(job->draft.source, sizeof job->draft.source, "%s", who ? who : "");
        downloads_publish_locked(job, clock_boot_ms());
    }
    pthread_mutex_unlock(&batch->downloads->lock);
}

static void show_waiting(void *context, const char *reason)
{
    struct downloads_batch *batch = context;
    int64_t now_ms = clock_boot_ms();

    pthread_mutex_lock(&batch->downloads->lock);
    for (size_t i = 0; i < batch->count; i++) {
        struct job *job = batch->jobs[i];
        if (job->batch != batch || (reason && strcmp(job->draft.reason, reason) == 0))
            continue;
        job->draft.state = reason ? DOWNLOAD_WAITING : DOWNLOAD_QUEUED;
        job->draft.active_sources = 0;
        snprintf(job->draft.reason, sizeof job->draft.reason, "%s", reason ? reason : "");
        downloads_change_locked(job, now_ms);
    }
    job_book_wake_all(&batch->downloads->book);
    pthread_mutex_unlock(&batch->downloads->lock);
}

/* Out of the batch, which is not to be broken off for it. */
static void take_out_locked(struct downloads_batch *batch, struct job *job)
{
    batch->open--;
    job->batch = NULL;
}

static void begin_storing_locked(struct job *job, int64_t size_bytes, const char *who)
{
    job->storing = true;
    atomic_store(&job->wish, JOB_GO_ON);
    job->draft.bytes = job->draft.held_bytes = job->draft.total_bytes = size_bytes;
    job->draft.active_sources = 0;
    snprintf(job->draft.source, sizeof job->draft.source, "%s", who);
}

static void take_arrived(void *context, size_t index, struct batch_arrival *arrival)
{
    struct downloads_batch *batch = context;
    struct downloads *downloads = batch->downloads;
    struct job *job = batch->jobs[index];
    struct stored_file *file = memory_new(1, sizeof *file);

    file->item.commit = (struct share_commit){
        .incoming = arrival->incoming, .name = job->draft.name, .conflict = SHARE_NUMBER};
    file->manifest = arrival->manifest;
    file->job = job;
    pthread_mutex_lock(&downloads->lock);
    bool wanted = job->batch == batch;
    if (wanted) {
        take_out_locked(batch, job);
        begin_storing_locked(job, file->manifest.size_bytes, arrival->who);
    }
    pthread_mutex_unlock(&downloads->lock);
    if (wanted) {
        storer_add(downloads->storer, &file->item);
        return;
    }
    share_incoming_abort(file->item.commit.incoming);
    manifest_done(&file->manifest);
    free(file);
}

/* To its place in the line. */
static void return_locked(struct downloads *downloads, struct job *job)
{
    bool shown = job->draft.state != DOWNLOAD_QUEUED;

    job->draft.state = DOWNLOAD_QUEUED;
    job->draft.active_sources = 0;
    job->draft.bytes = job->draft.held_bytes = 0;
    job->draft.source[0] = job->draft.reason[0] = '\0';
    if (shown)
        downloads_publish_locked(job, clock_boot_ms());
    downloads_enqueue_locked(downloads, job);
}

static void leave_batch(void *context, size_t index)
{
    struct downloads_batch *batch = context;
    struct job *job = batch->jobs[index];

    pthread_mutex_lock(&batch->downloads->lock);
    if (job->batch == batch) {
        take_out_locked(batch, job);
        job->alone = true;
        return_locked(batch->downloads, job);
    }
    pthread_mutex_unlock(&batch->downloads->lock);
}

/* ---- a run ---- */

static void enter_locked(struct downloads_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        batch->jobs[i]->batch = batch;
        batch->jobs[i]->pins++;
    }
    batch->open = batch->count;
    downloads_find_place_locked(&batch->downloads->together)->batch = batch;
}

static void end_locked(struct downloads_batch *batch)
{
    struct downloads *downloads = batch->downloads;
    const struct downloads_place place = {.batch = batch};

    downloads_leave_place_locked(&downloads->together, &place);
    for (size_t i = 0; i < batch->count; i++) {
        struct job *job = batch->jobs[i];
        if (job->batch == batch) {
            take_out_locked(batch, job);
            return_locked(downloads, job);
        }
        job->pins--;
    }
    downloads_forget_locked(downloads);
}

static void fetch(struct downloads_batch *batch, size_t turn)
{
    const struct job_environment *environment = &batch->downloads->environment;
    const struct batch_options options = {.share = environment->share,
                                          .finder = environment->finder,
                                          .channels = environment->channels,
                                          .limits = environment->limits,
                                          .interrupt = batch->interrupt,
                                          .stall_ms = environment->stall_ms,
                                          .turn = turn};
    const struct batch_taker taker = {.is_wanted = is_wanted,
                                      .at = show_place,
                                      .waits = show_waiting,
                                      .arrived = take_arrived,
                                      .left = leave_batch,
                                      .context = batch};
    auto_free struct batch_file *files = memory_new(batch->count, sizeof *files);

    for (size_t i = 0; i < batch->count; i++)
        files[i] =
            (struct batch_file){.name = &batch->jobs[i]->draft.name, .peer = batch->jobs[i]->peer};
    batch_run(&options, files, batch->count, &taker);
}

void downloads_run_batch_locked(struct downloads *downloads, struct job *const *jobs, size_t count)
{
    struct downloads_batch batch = {.downloads = downloads,
                                    .jobs = jobs,
                                    .count = count,
                                    .priority = jobs[0]->line.priority,
                                    .age = jobs[0]->line.age,
                                    .interrupt = interrupt_new()};
    size_t turn = downloads->batches++;

    enter_locked(&batch);
    pthread_mutex_unlock(&downloads->lock);
    fetch(&batch, turn);
    pthread_mutex_lock(&downloads->lock);
    end_locked(&batch);
    interrupt_free(batch.interrupt);
}

/* ---- what is stored ---- */

static struct stored_file *file_of(struct storer_item *item)
{
    return (struct stored_file *)item; /* it is the first of it */
}

static bool is_stored(const struct storer_item *item)
{
    return item->commit.error.code == ERROR_NONE;
}

/* They need not be hashed again; if that cannot be told, they are. */
static void learn(struct downloads *downloads, struct storer_item *const *items, size_t count)
{
    auto_free struct catalogue_learned *files = memory_new(count, sizeof *files);
    struct error error;
    size_t learned = 0;

    if (!downloads->environment.catalogue)
        return;
    for (size_t i = 0; i < count; i++)
        if (is_stored(items[i]) && items[i]->commit.identity.inode != 0)
            files[learned++] = (struct catalogue_learned){.name = &items[i]->commit.stored,
                                                          .identity = &items[i]->commit.identity,
                                                          .manifest = &file_of(items[i])->manifest};
    if (catalogue_learn_all(downloads->environment.catalogue, files, learned, &error) != ERROR_NONE)
        log_line(LOG_DEBUG, "downloads", "%zu files are hashed: %s", learned, error.text);
}

static void forget_wishes(struct downloads *downloads, struct storer_item *const *items,
                          size_t count)
{
    auto_free uint64_t *ids = memory_new(count, sizeof *ids);
    size_t over = 0;

    for (size_t i = 0; i < count; i++)
        if (is_stored(items[i]) && job_take_wish(file_of(items[i])->job))
            ids[over++] = file_of(items[i])->job->draft.id;
    if (over > 0)
        wanted_drop_all(downloads->environment.wanted, ids, over);
}

static void finish_locked(struct job *job, const struct share_commit *commit)
{
    job->draft.state = DOWNLOAD_DONE;
    job->draft.stored = commit->stored;
    job->active = job->again = false;
    downloads_change_locked(job, clock_boot_ms());
}

/* In the other way it waits for room, or says what is wrong; unless something else was ordered. */
static void fail_locked(struct job *job)
{
    enum job_wish wish = (enum job_wish)atomic_load(&job->wish);

    job->alone = true;
    if (wish == JOB_GO_ON || (wish == JOB_PAUSE && job->again)) {
        job->again = false;
        return_locked(job->owner, job);
        return;
    }
    job->active = false;
    job->draft.state = wish == JOB_PAUSE ? DOWNLOAD_PAUSED : DOWNLOAD_CANCELLED;
    if (wish != JOB_PAUSE)
        error_set(&job->draft.error, ERROR_CANCELLED, "cancelado");
    downloads_publish_locked(job, clock_boot_ms());
}

/* A cancelled one leaves nothing on disk; with the lock, which is open meanwhile. */
static void discard_locked(struct job *job)
{
    struct downloads *downloads = job->owner;

    job->pins++;
    pthread_mutex_unlock(&downloads->lock);
    job_discard(job, &downloads->environment);
    pthread_mutex_lock(&downloads->lock);
    job->pins--;
}

static void end_storing_locked(struct storer_item *item)
{
    struct job *job = file_of(item)->job;

    job->storing = false;
    if (is_stored(item)) {
        finish_locked(job, &item->commit);
        return;
    }
    fail_locked(job);
    if (atomic_load(&job->wish) == JOB_CANCEL)
        discard_locked(job);
}

static void free_file(struct storer_item *item)
{
    manifest_done(&file_of(item)->manifest);
    free(file_of(item));
}

void downloads_files_stored(void *context, struct storer_item *const *items, size_t count)
{
    struct downloads *downloads = context;

    learn(downloads, items, count);
    forget_wishes(downloads, items, count);
    for (size_t i = 0; i < count; i++)
        share_incoming_abort(items[i]->commit.incoming); /* of those that failed */
    pthread_mutex_lock(&downloads->lock);
    for (size_t i = 0; i < count; i++)
        end_storing_locked(items[i]);
    job_book_wake_all(&downloads->book);
    downloads_forget_locked(downloads);
    pthread_mutex_unlock(&downloads->lock);
    for (size_t i = 0; i < count; i++)
        free_file(items[i]);
}
