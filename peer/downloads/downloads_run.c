/* How jobs get their turn, and how those of an earlier daemon come back. */
#include "common/clock.h"
#include "common/file_io.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/thread_pool.h"
#include "peer/downloads/batch.h"
#include "peer/downloads/downloads_private.h"

#include <stdlib.h>

static void log_end(const struct download_status *status)
{
    const char *place = status->destination == DOWNLOAD_SHARE ? status->stored.text : "a reader";

    if (status->state == DOWNLOAD_DONE)
        log_line(LOG_DEBUG, "downloads", "%s from %s is complete: %s", status->name.text,
                 status->source, place);
    else if (download_state_is_final(status->state))
        log_line(LOG_DEBUG, "downloads", "%s: %s", status->name.text, status->error.text);
}

/* Takes the bytes of a released job away, with the lock open meanwhile. */
void downloads_drop_spool_locked(struct downloads *downloads, struct job *job)
{
    job->pins++;
    pthread_mutex_unlock(&downloads->lock);
    job_drop_spool(job);
    pthread_mutex_lock(&downloads->lock);
    job->pins--;
}

bool downloads_is_running_locked(const struct job *job)
{
    return job->interrupt || job->storing;
}

bool downloads_may_run_locked(const struct job *job)
{
    return !download_state_is_final(job->shown->state) && job->shown->state != DOWNLOAD_PAUSED &&
           !job->owner->stopping;
}

bool downloads_is_crowded(struct job *job)
{
    struct downloads *downloads = job->owner;

    pthread_mutex_lock(&downloads->lock);
    bool crowded = job_queue_count(&downloads->alone.line) > 0;
    pthread_mutex_unlock(&downloads->lock);
    return crowded;
}

/* ---- places ---- */

static bool is_leaving(const struct downloads_place *place)
{
    return place->batch ? downloads_batch_is_leaving(place->batch)
                        : atomic_load(&place->job->wish) != JOB_GO_ON;
}

/* A whole stream that is broken off begins again. */
static bool would_lose_all(const struct downloads_place *place)
{
    return place->job && place->job->shown->state == DOWNLOAD_RUNNING &&
           !atomic_load(&place->job->swarm);
}

static bool is_free(const struct downloads_place *place)
{
    return !place->job && !place->batch;
}

static enum download_priority priority_of(const struct downloads_place *place)
{
    return place->batch ? downloads_batch_priority(place->batch) : place->job->line.priority;
}

static uint64_t age_of(const struct downloads_place *place)
{
    return place->batch ? downloads_batch_age(place->batch) : place->job->line.age;
}

/* Of those that run and can go back to the line the one that should first: the least urgent, and of
 * these the youngest. */
static struct downloads_place *choose_victim(struct downloads_lane *lane)
{
    struct downloads_place *victim = NULL;

    for (size_t i = 0; i < lane->place_count; i++) {
        struct downloads_place *place = &lane->places[i];
        if (is_free(place) || is_leaving(place) || would_lose_all(place))
            continue;
        if (!victim || priority_of(place) < priority_of(victim) ||
            (priority_of(place) == priority_of(victim) && age_of(place) > age_of(victim)))
            victim = place;
    }
    return victim;
}

/* Places that are free, or about to be. */
static size_t count_free(const struct downloads_lane *lane)
{
    size_t count = 0;

    for (size_t i = 0; i < lane->place_count; i++)
        count += is_free(&lane->places[i]) || is_leaving(&lane->places[i]);
    return count;
}

static void give_way(struct downloads_place *place)
{
    if (place->batch) {
        downloads_batch_give_way(place->batch);
        return;
    }
    atomic_store(&place->job->wish, JOB_GIVE_WAY);
    interrupt_raise(place->job->interrupt);
}

static void make_way(struct downloads_lane *lane)
{
    struct downloads_place *victim = choose_victim(lane);

    while (victim && job_queue_above(&lane->line, priority_of(victim)) > count_free(lane)) {
        give_way(victim);
        victim = choose_victim(lane);
    }
}

void downloads_make_way_locked(struct downloads *downloads)
{
    make_way(&downloads->alone);
    make_way(&downloads->together);
}

void downloads_wake_resting_locked(struct downloads *downloads, int64_t now_ms)
{
    job_queue_wake(&downloads->alone.line, now_ms);
    job_queue_wake(&downloads->together.line, now_ms);
}

struct downloads_place *downloads_find_place_locked(struct downloads_lane *lane)
{
    struct downloads_place *place = lane->places;

    while (!is_free(place))
        place++; /* there are as many as workers */
    return place;
}

void downloads_leave_place_locked(struct downloads_lane *lane, const struct downloads_place *who)
{
    for (size_t i = 0; i < lane->place_count; i++)
        if (lane->places[i].job == who->job && lane->places[i].batch == who->batch)
            lane->places[i] = (struct downloads_place){.job = NULL};
}

static void work(void *context);

static void start_worker_locked(struct downloads_lane *lane)
{
    if (lane->workers < lane->place_count &&
        thread_pool_submit(lane->downloads->pool, work, lane, NULL) == ERROR_NONE)
        lane->workers++; /* else we are stopping */
}

/* The line that the job belongs to now; it is in none. */
static struct job_queue *choose_line_locked(struct job *job)
{
    job->lane = downloads_may_batch(job) ? &job->owner->together : &job->owner->alone;
    return &job->lane->line;
}

void downloads_enqueue_locked(struct downloads *downloads, struct job *job)
{
    job_queue_add(choose_line_locked(job), &job->line);
    job->active = true;
    if (downloads->begun)
        start_worker_locked(job->lane);
    make_way(job->lane);
}

void downloads_leave_line_locked(struct job *job)
{
    if (job->lane)
        job_queue_remove(&job->lane->line, &job->line);
    if (job->batch)
        downloads_batch_without(take_pointer(&job->batch));
    job->active = false;
}

void downloads_insert_locked(struct downloads *downloads, struct job *job)
{
    job->line.age = job->draft.id;
    job_book_add(&downloads->book, job);
    downloads_change_locked(job, clock_boot_ms());
    if (job->draft.state == DOWNLOAD_QUEUED)
        downloads_enqueue_locked(downloads, job);
}

/* ---- a run ---- */

static void enter_locked(struct downloads *downloads, struct job *job, struct interrupt *interrupt)
{
    downloads_find_place_locked(&downloads->alone)->job = job;
    job->shown = (struct download_status *)memory_copy(&job->draft, sizeof job->draft);
    job->interrupt = interrupt;
    atomic_store(&job->wish, JOB_GO_ON);
}

/* Back to the line: for a more urgent one, or because it has no use for its place now. */
static void return_locked(struct job *job)
{
    int64_t now_ms = clock_boot_ms();

    if (atomic_load(&job->wish) == JOB_GIVE_WAY) {
        job->draft.state = DOWNLOAD_QUEUED;
        job->draft.reason[0] = '\0';
        job_queue_add(choose_line_locked(job), &job->line);
    } else {
        job_queue_rest(choose_line_locked(job), &job->line, now_ms + DOWNLOADS_REST_MS);
    }
    downloads_publish_locked(job, now_ms);
}

static void leave_locked(struct downloads *downloads, struct job *job)
{
    const struct downloads_place place = {.job = job};

    downloads_leave_place_locked(&downloads->alone, &place);
    job->draft.revision = job->shown->revision;
    job->draft.priority = job->line.priority;
    free(job->shown);
    job->shown = &job->draft;
    job->interrupt = NULL;
    job->active = job->yielded || (job->again && job->draft.state == DOWNLOAD_PAUSED);
    if (job->yielded) {
        return_locked(job);
    } else if (job->active) {
        job->draft.state = DOWNLOAD_QUEUED;
        downloads_publish_locked(job, clock_boot_ms());
        job_queue_add(choose_line_locked(job), &job->line);
    }
    job->again = false;
}

/* Whether the job's end is none, for something was ordered when it had made up its mind. */
static bool is_overtaken_locked(const struct job *job)
{
    enum job_wish wish = (enum job_wish)atomic_load(&job->wish);

    if (download_state_is_final(job->draft.state))
        return false;
    if (job->yielded)
        return wish != JOB_GO_ON && wish != JOB_GIVE_WAY;
    return wish == JOB_CANCEL; /* of one that was about to pause */
}

/* With the lock, which is open at times. */
static void end_run_locked(struct downloads *downloads, struct job *job)
{
    struct interrupt *interrupt = job->interrupt;

    while (is_overtaken_locked(job)) {
        pthread_mutex_unlock(&downloads->lock);
        job_break_off(job, &downloads->environment);
        log_end(&job->draft);
        pthread_mutex_lock(&downloads->lock);
    }
    leave_locked(downloads, job);
    if (job->released && !job->active)
        downloads_drop_spool_locked(downloads, job);
    downloads_forget_locked(downloads);
    interrupt_free(interrupt);
}

/* With the lock, which is open while the job runs. */
static void run_locked(struct downloads *downloads, struct job *job)
{
    enter_locked(downloads, job, interrupt_new());
    pthread_mutex_unlock(&downloads->lock);
    job_run(job, &downloads->environment, job->interrupt);
    log_end(&job->draft);
    pthread_mutex_lock(&downloads->lock);
    end_run_locked(downloads, job);
}

/* Whose turn it is: one, or several that go together. */
static size_t take_locked(struct downloads_lane *lane, struct job **jobs)
{
    struct downloads *downloads = lane->downloads;
    bool alone = lane == &downloads->alone;

    job_queue_wake(&lane->line, clock_boot_ms());
    if (downloads->stopping)
        return 0;
    return job_queue_take_some(&lane->line, alone ? 1 : downloads_batch_size(downloads), jobs);
}

/* On a thread of the pool: whose turn it is, one after the other until nobody waits. */
static void work(void *context)
{
    struct downloads_lane *lane = context;
    struct downloads *downloads = lane->downloads;
    struct job *jobs[BATCH_MAX];
    size_t count;

    pthread_mutex_lock(&downloads->lock);
    while ((count = take_locked(lane, jobs)) > 0) {
        if (lane == &downloads->alone)
            run_locked(downloads, jobs[0]);
        else
            downloads_run_batch_locked(downloads, jobs, count);
    }
    lane->workers--;
    pthread_mutex_unlock(&downloads->lock);
}

/* ---- the next daemon ---- */

static void insert(struct downloads *downloads, uint64_t id, struct journal *journal,
                   struct journal_job *restored)
{
    struct job *job = job_restore(id, journal, restored);

    job->owner = downloads;
    if (!journal)
        job->wanted = downloads->environment.wanted;
    pthread_mutex_lock(&downloads->lock);
    if (downloads->last_id < id)
        downloads->last_id = id;
    downloads_insert_locked(downloads, job);
    pthread_mutex_unlock(&downloads->lock);
}

/* A journal of an earlier daemon. */
static void restore(struct downloads *downloads, uint64_t id)
{
    struct journal *journal = NULL;
    struct journal_job restored;
    struct error error;

    enum error_code code = journal_open(downloads->folder, id, &journal, &restored, &error);
    if (code != ERROR_NONE) {
        log_line(LOG_WARNING, "downloads", "%s", error.text);
        if (code == ERROR_CORRUPT)
            journal_move_aside(downloads->folder, id);
        return;
    }
    wanted_drop(downloads->environment.wanted, id); /* killed between the two */
    insert(downloads, id, journal, &restored);
}

static void restore_wanted(struct downloads *downloads)
{
    struct journal_job restored;

    for (uint64_t id = 0; wanted_next(downloads->environment.wanted, &id, &restored);)
        insert(downloads, id, NULL, &restored);
}

static enum error_code open_wanted(struct downloads *downloads, struct error *error)
{
    bool aside;

    enum error_code code = file_make_folder(downloads->folder, 0700, error);
    if (code == ERROR_NONE)
        code = wanted_open(downloads->folder, &downloads->environment.wanted, &aside, error);
    if (code == ERROR_NONE && aside)
        log_line(LOG_WARNING, "downloads",
                 "%s/" WANTED_FILE " was damaged: see " WANTED_FILE ".bad", downloads->folder);
    return code;
}

static void start_workers_locked(struct downloads_lane *lane)
{
    for (size_t i = 0; i < job_queue_count(&lane->line) && i < lane->place_count; i++)
        start_worker_locked(lane);
}

enum error_code downloads_restore(struct downloads *downloads, struct error *error)
{
    enum error_code code = downloads->folder ? open_wanted(downloads, error) : ERROR_NONE;
    size_t count = 0;

    if (code != ERROR_NONE)
        return code;
    auto_free uint64_t *ids = downloads->folder ? journal_list(downloads->folder, &count) : NULL;
    for (size_t i = 0; i < count; i++)
        restore(downloads, ids[i]);
    if (downloads->folder)
        restore_wanted(downloads);
    pthread_mutex_lock(&downloads->lock);
    downloads->begun = true; /* not before: the last may be the most urgent */
    start_workers_locked(&downloads->alone);
    start_workers_locked(&downloads->together);
    pthread_mutex_unlock(&downloads->lock);
    return ERROR_NONE;
}
