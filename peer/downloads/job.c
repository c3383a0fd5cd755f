#include "peer/downloads/job.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "peer/downloads/swarm/manifest_finder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct job *new_job(void)
{
    struct job *job = memory_new(1, sizeof *job);

    pthread_mutex_init(&job->spool_lock, NULL);
    atomic_init(&job->readable, INT64_MAX);
    job->shown = &job->draft;
    job->line.job = job;
    return job;
}

static void set_priority(struct job *job, enum download_priority priority)
{
    job->draft.priority = job->line.priority = priority;
    atomic_init(&job->priority, priority);
}

struct job *job_new(const struct download_request *request)
{
    struct job *job = new_job();

    job->peer = memory_copy_string(request->peer ? request->peer : "");
    job->address_count = request->address_count;
    if (request->address_count > 0)
        job->addresses = (struct address *)memory_copy(
            request->addresses, request->address_count * sizeof *request->addresses);
    job->draft.name = request->name;
    job->draft.destination = request->destination;
    set_priority(job, request->priority);
    return job;
}

struct job *job_restore(uint64_t id, struct journal *journal, struct journal_job *restored)
{
    struct job *job = new_job();

    job->draft.id = id;
    job->draft.name = restored->name;
    job->draft.state = restored->paused ? DOWNLOAD_PAUSED : DOWNLOAD_QUEUED;
    job->draft.total_bytes = restored->manifest.size_bytes;
    for (size_t i = 0; i < restored->manifest.piece_count; i++)
        if (restored->held[i / 8] >> i % 8 & 1)
            job->draft.held_bytes += (int64_t)content_piece_bytes(restored->manifest.size_bytes, i);
    job->draft.bytes = job->draft.held_bytes;
    job->peer = take_pointer(&restored->peer);
    job->addresses = take_pointer(&restored->addresses);
    job->address_count = restored->address_count;
    job->journal = journal;
    job->recorded_pause = restored->paused;
    job->is_restored = true;
    job->recorded = restored->temporary[0] != '\0';
    set_priority(job, restored->priority);
    job->restored = *restored;
    *restored = (struct journal_job){.peer = NULL};
    return job;
}

void job_free(struct job *job)
{
    if (!job)
        return;
    if (job->recorded)
        share_incoming_keep(take_pointer(&job->incoming));
    job_drop_spool(job);
    journal_close(job->journal);
    journal_job_done(&job->restored);
    swarm_free(atomic_load(&job->swarm));
    pthread_mutex_destroy(&job->spool_lock);
    free(job->stream_from);
    free(job->addresses);
    free(job->peer);
    free(job);
}

void job_exchange_incoming(struct job *job, struct share_incoming *incoming)
{
    pthread_mutex_lock(&job->spool_lock);
    struct share_incoming *old = job->incoming;
    job->incoming = incoming;
    if (incoming)
        job->spool_attempt++;
    pthread_mutex_unlock(&job->spool_lock);
    share_incoming_abort(old);
}

void job_drop_spool(struct job *job)
{
    job_exchange_incoming(job, NULL);
}

/* ---- what is recorded ---- */

static struct journal_job wish_of(const struct job *job)
{
    return (struct journal_job){
        .name = job->draft.name,
        .peer = job->peer,
        .addresses = job->addresses,
        .address_count = job->address_count,
        .priority = (enum download_priority)atomic_load(&job->priority),
        .paused = job->recorded_pause,
    };
}

/* What is wanted; with spool_lock. */
static enum error_code record_wish_locked(struct job *job, bool lasting)
{
    const struct journal_job wish = wish_of(job);

    return wanted_put(job->wanted, job->draft.id, &wish, lasting, NULL);
}

void job_record_all(struct job *const *jobs, size_t count,
                    const struct job_environment *environment)
{
    auto_free struct journal_job *wishes = memory_new(count, sizeof *wishes);
    auto_free struct wanted_item *items = memory_new(count, sizeof *items);
    size_t recorded = 0;

    for (size_t i = 0; i < count && environment->wanted; i++) {
        if (jobs[i]->draft.destination != DOWNLOAD_SHARE)
            continue;
        wishes[recorded] = wish_of(jobs[i]);
        items[recorded] = (struct wanted_item){.id = jobs[i]->draft.id, .job = &wishes[recorded]};
        recorded++;
    }
    if (recorded == 0 || wanted_put_all(environment->wanted, items, recorded, NULL) != ERROR_NONE)
        return;
    for (size_t i = 0; i < count; i++) /* nobody else knows them yet: no lock */
        if (jobs[i]->draft.destination == DOWNLOAD_SHARE)
            jobs[i]->wanted = environment->wanted;
}

static void record_pause_locked(struct job *job, bool paused)
{
    enum error_code code = ERROR_NONE;

    job->recorded_pause = paused;
    if (job->journal)
        code = journal_pause(job->journal, paused, NULL);
    else if (job->wanted)
        code = record_wish_locked(job, true);
    if (code != ERROR_NONE)
        log_line(LOG_DEBUG, "downloads", "%s goes on at the next start", job->draft.name.text);
}

void job_record_pause(struct job *job, bool paused)
{
    pthread_mutex_lock(&job->spool_lock);
    record_pause_locked(job, paused);
    pthread_mutex_unlock(&job->spool_lock);
}

static void record_priority_locked(struct job *job)
{
    enum download_priority priority = (enum download_priority)atomic_load(&job->priority);
    enum error_code code = ERROR_NONE;

    if (job->journal)
        code = journal_set_priority(job->journal, priority, NULL);
    else if (job->wanted)
        code = record_wish_locked(job, false);
    if (code != ERROR_NONE)
        log_line(LOG_DEBUG, "downloads", "%s has another priority at the next start",
                 job->draft.name.text);
}

void job_record_priority(struct job *job)
{
    pthread_mutex_lock(&job->spool_lock);
    record_priority_locked(job);
    pthread_mutex_unlock(&job->spool_lock);
}

static void forget_wish_locked(struct job *job)
{
    if (job->wanted)
        wanted_drop(job->wanted, job->draft.id);
    job->wanted = NULL;
}

bool job_take_wish(struct job *job)
{
    pthread_mutex_lock(&job->spool_lock);
    bool there = job->wanted != NULL;
    job->wanted = NULL;
    pthread_mutex_unlock(&job->spool_lock);
    return there;
}

void job_exchange_journal(struct job *job, struct journal *journal)
{
    pthread_mutex_lock(&job->spool_lock);
    struct journal *old = job->journal;
    job->journal = journal;
    record_priority_locked(job);
    if (job->recorded_pause || atomic_load(&job->wish) == JOB_PAUSE)
        record_pause_locked(job, true);
    forget_wish_locked(job);
    pthread_mutex_unlock(&job->spool_lock);
    journal_close(old);
}

static void drop_restored(struct job *job, const struct job_environment *environment)
{
    struct share_incoming *incoming = NULL;

    if (job->restored.temporary[0] &&
        share_incoming_reopen(environment->share, job->restored.temporary,
                              job->restored.manifest.size_bytes, &incoming, NULL) == ERROR_NONE)
        share_incoming_abort(incoming);
    journal_job_done(&job->restored);
}

void job_discard(struct job *job, const struct job_environment *environment)
{
    job->recorded = false;
    if (atomic_load(&job->swarm))
        swarm_end_arrival(atomic_load(&job->swarm), NULL);
    drop_restored(job, environment);
    pthread_mutex_lock(&job->spool_lock);
    struct journal *journal = take_pointer(&job->journal);
    forget_wish_locked(job);
    pthread_mutex_unlock(&job->spool_lock);
    journal_remove(journal);
    job_drop_spool(job);
}

/* ---- the content ---- */

static bool has_peer(const struct directory_sources *sources, const char *peer)
{
    for (size_t i = 0; i < sources->count; i++)
        if (strcmp(sources->items[i].peer, peer) == 0)
            return true;
    return false;
}

static enum error_code collect_sources(const struct job_call *call,
                                       struct directory_sources *sources, struct error *error)
{
    struct job *job = call->job;
    const struct source_finder *finder = call->environment->finder;

    if (job->address_count > 0) {
        sources_given(job->peer, job->addresses, job->address_count, sources);
        return ERROR_NONE;
    }
    job->draft.state = DOWNLOAD_SEARCHING;
    call->environment->publish(job, false);
    struct locator_search search = {
        .name = &job->draft.name, .interrupt = call->interrupt, .partial = true};
    enum error_code code = sources_find(finder, &search, sources, error);
    if (code != ERROR_NONE)
        return code;
    if (job->peer[0] && !has_peer(sources, job->peer))
        return error_set(error, ERROR_NOT_FOUND, "El peer '%s' no comparte '%s'", job->peer,
                         job->draft.name.text);
    if (sources->count == 0)
        return error_set(error, ERROR_NOT_FOUND, "Archivo '%s' no encontrado",
                         job->draft.name.text);
    sources_order(finder, sources);
    return ERROR_NONE;
}

/* No directory can be asked, and nobody else knows. What an earlier daemon began, and what comes
 * after one has answered, waits for it: the address is right. Who reads the bytes does not. */
static bool is_away(const struct job_call *call, enum error_code code)
{
    const struct job *job = call->job;
    struct locator *locator = call->environment->finder->locator;

    return (code == ERROR_UNREACHABLE || code == ERROR_TIMEOUT || code == ERROR_BUSY) && locator &&
           job->draft.destination == DOWNLOAD_SHARE &&
           (job->is_restored || locator_had_directory(locator));
}

static enum error_code find_sources(struct job_call *call, struct directory_sources *sources,
                                    struct error *error)
{
    int64_t begin_ms = clock_boot_ms();
    struct job *job = call->job;

    for (;;) {
        enum error_code code = collect_sources(call, sources, error);
        if (!is_away(call, code))
            return code;
        job_tell_waiting(call, error->text);
        job->yielded =
            clock_boot_ms() - begin_ms >= JOB_YIELD_MS && call->environment->is_crowded(job);
        if (job->yielded || stop_event_wait_ms(interrupt_event(call->interrupt), JOB_FIND_AGAIN_MS))
            return code;
    }
}

/* ---- the whole ---- */

/* What is stored need not be hashed again; if that cannot be told, it is. */
static void learn(const struct job *job, const struct job_environment *environment,
                  const struct manifest *manifest)
{
    if (job->draft.destination == DOWNLOAD_SHARE && environment->catalogue &&
        catalogue_learn(environment->catalogue, &job->draft.stored, manifest, NULL) != ERROR_NONE)
        log_line(LOG_DEBUG, "downloads", "%s is hashed", job->draft.stored.text);
}

/* False: nobody knows any hashes. */
static bool find_manifest(const struct job_call *call, const struct directory_sources *sources,
                          struct manifest *manifest)
{
    const struct manifest_search search = {.sources = sources,
                                           .peer = call->job->peer,
                                           .name = &call->job->draft.name,
                                           .interrupt = call->interrupt};

    return manifest_find(&search, manifest);
}

static enum error_code fetch_known(struct job_call *call, struct manifest *manifest,
                                   struct directory_sources *sources, struct error *error)
{
    sources_leave_out_self(call->environment->finder, sources);
    enum error_code code = job_fetch_pieces(call, manifest, sources, error);
    struct swarm *swarm = atomic_load(&call->job->swarm);
    if (code == ERROR_NONE)
        code = job_store(call->job, error);
    if (code != ERROR_NONE)
        return code;
    learn(call->job, call->environment, &swarm->manifest);
    swarm_end_arrival(swarm, &call->job->draft.stored);
    return ERROR_NONE;
}

/* A file whose content nobody knows. */
static enum error_code fetch_unknown(struct job_call *call, struct directory_sources *sources,
                                     struct error *error)
{
    const struct job *job = call->job;

    if (job->peer[0])
        (void)sources_keep_peer(sources, job->peer);
    sources_drop_partial(sources, NULL);
    if (sources->count == 0)
        return error_set(error, ERROR_NOT_FOUND, "Nadie tiene '%s' completo", job->draft.name.text);
    return job_fetch_stream(call, sources, error);
}

/* Nothing is there yet, and no hashes are known. */
static enum error_code fetch_new(struct job_call *call, struct directory_sources *sources,
                                 struct error *error)
{
    auto_manifest manifest = {0};

    if (find_manifest(call, sources, &manifest))
        return fetch_known(call, &manifest, sources, error);
    return fetch_unknown(call, sources, error);
}

static enum error_code fetch(struct job_call *call, struct error *error)
{
    struct job *job = call->job;
    struct directory_sources sources = {0};
    auto_manifest none = {0};
    enum error_code code = ERROR_NONE;
    bool known = job->restored.has_content || atomic_load(&job->swarm);

    if (!known || job->address_count > 0)
        code = find_sources(call, &sources, error);
    if (code == ERROR_NONE)
        code = known ? fetch_known(call, &none, &sources, error) : fetch_new(call, &sources, error);
    directory_sources_done(&sources);
    return code;
}

static void finish_broken(struct job *job, const struct job_environment *environment,
                          enum error_code code, const struct error *error)
{
    struct download_status *draft = &job->draft;
    enum job_wish wish = (enum job_wish)atomic_load(&job->wish);

    draft->error = *error;
    if (code == ERROR_CANCELLED && wish == JOB_PAUSE) {
        draft->state = DOWNLOAD_PAUSED;
        draft->error = (struct error){0};
        return;
    }
    draft->state = code == ERROR_CANCELLED ? DOWNLOAD_CANCELLED : DOWNLOAD_FAILED;
    if (wish != JOB_STOP || draft->state == DOWNLOAD_FAILED) {
        job_discard(job, environment);
    } else if (!job->recorded) {
        job_drop_spool(job);
    }
}

static void finish_whole(struct job *job, const struct job_environment *environment)
{
    if (job->draft.destination == DOWNLOAD_SHARE)
        job_discard(job, environment); /* there is only the journal left */
    job->draft.state = DOWNLOAD_DONE;
    job->draft.total_bytes = job->draft.bytes;
}

static void finish(struct job *job, const struct job_environment *environment, enum error_code code,
                   const struct error *error)
{
    if (code == ERROR_NONE)
        finish_whole(job, environment);
    else
        finish_broken(job, environment, code, error);
    if (job->draft.state != DOWNLOAD_WAITING)
        job->draft.reason[0] = '\0';
    environment->publish(job, false);
}

void job_run(struct job *job, const struct job_environment *environment,
             struct interrupt *interrupt)
{
    struct job_call call = {.job = job, .environment = environment, .interrupt = interrupt};
    struct error error = {0};

    job->yielded = false;
    enum error_code code = fetch(&call, &error);
    job->draft.bytes_per_second = 0;
    job->draft.active_sources = 0;
    bool interrupted = code != ERROR_NONE && interrupt_raised(interrupt);
    job->yielded |= interrupted && atomic_load(&job->wish) == JOB_GIVE_WAY;
    if (job->yielded)
        return;
    if (interrupted)
        code = error_set(&error, ERROR_CANCELLED, "cancelado");
    finish(job, environment, code, &error);
}

void job_break_off(struct job *job, const struct job_environment *environment)
{
    struct error error;

    job->yielded = false;
    enum error_code code = error_set(&error, ERROR_CANCELLED, "cancelado");
    finish(job, environment, code, &error);
}
