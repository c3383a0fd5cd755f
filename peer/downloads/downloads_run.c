/* How jobs get their turn, and how those of an earlier daemon come back. */
#include "common/clock.h"
#include "common/file_io.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/thread_pool.h"
#include "peer/downloads/downloads_private.h"

#include <stdlib.h>

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
    return job->interrupt != NULL;
}

bool downloads_is_crowded(struct job *job)
{
    struct downloads *downloads = job->owner;
    bool crowded = false;

    pthread_mutex_lock(&downloads->lock);
    for (const struct job *other = downloads->jobs; other && !crowded; other = other->next)
        crowded = other->active && !downloads_is_running_locked(other) &&
                  !download_state_is_final(other->status.state) &&
                  other->status.state != DOWNLOAD_PAUSED;
    pthread_mutex_unlock(&downloads->lock);
    return crowded;
}

static void run_job(void *context);

/* Puts the job in line. False: there is no room, or we are stopping. */
bool downloads_submit_locked(struct downloads *downloads, struct job *job)
{
    if (downloads->stopping ||
        thread_pool_submit(downloads->pool, run_job, job, NULL) != ERROR_NONE)
        return false;
    job->active = true;
    return true;
}

/* After a run. True: it has to run again at once, for there was no room in the line. */
static bool leave_locked(struct downloads *downloads, struct job *job)
{
    bool again = job->yielded;

    job->interrupt = NULL;
    job->active = false;
    if (job->again && job->status.state == DOWNLOAD_PAUSED) {
        job->draft.state = DOWNLOAD_QUEUED;
        downloads_publish_locked(job, clock_boot_ms());
        again = true;
    }
    job->again = false;
    return again && !downloads_submit_locked(downloads, job) && !downloads->stopping;
}

bool downloads_may_run_locked(const struct job *job)
{
    return !download_state_is_final(job->status.state) && job->status.state != DOWNLOAD_PAUSED &&
           !job->owner->stopping;
}

/* On a thread of the pool. */
static void run_job(void *context)
{
    struct job *job = context;
    struct downloads *downloads = job->owner;
    bool again = true;

    while (again) {
        struct interrupt *interrupt = interrupt_new();
        pthread_mutex_lock(&downloads->lock);
        bool runs = downloads_may_run_locked(job);
        atomic_store(&job->wish, JOB_GO_ON);
        job->interrupt = runs ? interrupt : NULL;
        pthread_mutex_unlock(&downloads->lock);
        if (runs) {
            job_run(job, &downloads->environment, interrupt);
            if (download_state_is_final(job->draft.state))
                log_end(&job->draft);
        }
        pthread_mutex_lock(&downloads->lock);
        again = leave_locked(downloads, job);
        if (job->released && !job->active)
            downloads_drop_spool_locked(downloads, job);
        downloads_forget_locked(downloads);
        pthread_mutex_unlock(&downloads->lock);
        interrupt_free(interrupt);
    }
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
    struct job *job = job_restore(id, journal, &restored);
    job->owner = downloads;
    pthread_mutex_lock(&downloads->lock);
    if (downloads->last_id < id)
        downloads->last_id = id;
    job->next = downloads->jobs;
    downloads->jobs = job;
    downloads_publish_locked(job, clock_boot_ms());
    if (job->status.state == DOWNLOAD_QUEUED && !downloads_submit_locked(downloads, job)) {
        job->draft.state = DOWNLOAD_PAUSED; /* more than ever fit: the user sees them */
        downloads_publish_locked(job, clock_boot_ms());
    }
    pthread_mutex_unlock(&downloads->lock);
}

enum error_code downloads_restore(struct downloads *downloads, struct error *error)
{
    size_t count;

    if (!downloads->folder)
        return ERROR_NONE;
    enum error_code code = file_make_folder(downloads->folder, 0700, error);
    if (code != ERROR_NONE)
        return code;
    auto_free uint64_t *ids = journal_list(downloads->folder, &count);
    for (size_t i = 0; i < count; i++)
        restore(downloads, ids[i]);
    return ERROR_NONE;
}
