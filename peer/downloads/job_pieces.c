/* A download whose content is known, as the job's thread sees it: room on the disk, what is told of
 * it, and what is recorded. */
#include "common/clock.h"
#include "common/memory.h"
#include "common/text.h"
#include "peer/downloads/failures.h"
#include "peer/downloads/job.h"
#include "peer/downloads/swarm/seeker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_MS 100

/* Partial sources get pieces all the time: only a longer wait is worth a word. */
#define STARVED_MS 3000

/* A file of one piece is fetched again sooner than it is recorded. */
#define RECORDED_PIECES_MIN 2

/* ---- waiting ---- */

void job_tell_waiting(struct job_call *call, const char *reason)
{
    struct download_status *draft = &call->job->draft;

    if (draft->state == DOWNLOAD_WAITING && strcmp(draft->reason, reason) == 0)
        return;
    draft->state = DOWNLOAD_WAITING;
    draft->bytes_per_second = 0;
    draft->active_sources = 0;
    snprintf(draft->reason, sizeof draft->reason, "%s", reason);
    call->environment->publish(call->job, false);
}

/* A full disk: true when it is to be tried again. */
static bool wait_for_space(struct job_call *call, const struct error *error)
{
    if (error->code != ERROR_NO_SPACE)
        return false;
    job_tell_waiting(call, error->text);
    return !stop_event_wait_ms(interrupt_event(call->interrupt), SWARM_SPACE_MS);
}

/* ---- the file and its journal ---- */

static bool is_recorded(const struct job_call *call, const struct manifest *manifest)
{
    return call->job->draft.destination == DOWNLOAD_SHARE && call->environment->folder &&
           manifest->piece_count >= RECORDED_PIECES_MIN;
}

/* The journal that names the temporary file takes the place of the one that only said what is
 * wanted. */
static enum error_code record_file(struct job_call *call, const struct manifest *manifest,
                                   const struct share_incoming *incoming, struct error *error)
{
    struct job *job = call->job;
    struct journal *journal = NULL;
    struct journal_job text = {.name = job->draft.name,
                               .peer = job->peer,
                               .addresses = job->addresses,
                               .address_count = job->address_count,
                               .priority = (enum download_priority)atomic_load(&job->priority),
                               .has_content = true,
                               .manifest = *manifest};

    snprintf(text.temporary, sizeof text.temporary, "%s", share_incoming_name(incoming));
    enum error_code code =
        journal_create(call->environment->folder, job->draft.id, &text, true, &journal, error);
    if (code != ERROR_NONE)
        return code;
    job_exchange_journal(job, journal);
    job->recorded = true;
    return ERROR_NONE;
}

static enum error_code make_file(struct job_call *call, const struct manifest *manifest,
                                 struct share_incoming **incoming, struct error *error)
{
    enum error_code code = share_incoming_begin(call->environment->share, incoming, error);

    if (code == ERROR_NONE)
        code = share_incoming_reserve(*incoming, manifest->size_bytes, error);
    if (code == ERROR_NONE && is_recorded(call, manifest))
        code = record_file(call, manifest, *incoming, error);
    if (code != ERROR_NONE)
        share_incoming_abort(take_pointer(incoming));
    return code;
}

/* What a journal knew, and its temporary file if that is still there. */
static void take_restored(struct job_call *call, struct manifest *manifest,
                          struct share_incoming **incoming, uint8_t **held)
{
    struct journal_job *restored = &call->job->restored;

    *manifest = restored->manifest;
    restored->manifest = (struct manifest){0};
    if (restored->temporary[0] &&
        share_incoming_reopen(call->environment->share, restored->temporary, manifest->size_bytes,
                              incoming, NULL) == ERROR_NONE) {
        *held = take_pointer(&restored->held);
        call->job->recorded = true;
    }
    journal_job_done(restored);
}

/* What goes to a reader will not be shared; and one piece is there as soon as the whole file. */
static bool is_served(const struct job *job, const struct swarm *swarm)
{
    return job->draft.destination == DOWNLOAD_SHARE && swarm->manifest.piece_count > 1;
}

static enum error_code make_swarm(struct job_call *call, struct manifest *manifest,
                                  struct error *error)
{
    struct job *job = call->job;
    struct share_incoming *incoming = NULL;
    auto_free uint8_t *held = NULL;
    enum error_code code = ERROR_NONE;

    if (job->restored.has_content)
        take_restored(call, manifest, &incoming, &held);
    job->draft.total_bytes = manifest->size_bytes;
    while (!incoming) {
        code = make_file(call, manifest, &incoming, error);
        if (code != ERROR_NONE && !wait_for_space(call, error))
            return code;
    }
    struct swarm_options options = {.name = &job->draft.name,
                                    .manifest = manifest,
                                    .incoming = incoming,
                                    .held = held,
                                    .journal = job->recorded ? job->journal : NULL,
                                    .intake = call->environment->intake,
                                    .limits = call->environment->limits,
                                    .stall_ms = call->environment->stall_ms,
                                    .in_order = job->draft.destination == DOWNLOAD_SPOOL};
    atomic_store(&job->readable, 0);
    job_exchange_incoming(job, incoming);
    struct swarm *swarm = swarm_new(&options);
    if (call->environment->arrivals && is_served(job, swarm))
        swarm->arrival = arrivals_begin(call->environment->arrivals, incoming, &job->draft.name,
                                        &swarm->manifest, held);
    atomic_store(&job->swarm, swarm);
    return ERROR_NONE;
}

/* ---- what is recorded ---- */

/* The pieces that are stored but not recorded, if it is time. Returns how many. */
static size_t take_unsynced(struct swarm *swarm, bool all, uint32_t **pieces)
{
    size_t count = 0;

    pthread_mutex_lock(&swarm->lock);
    if (all || clock_boot_ms() - swarm->unsynced_ms >= SWARM_SYNC_MS) {
        count = swarm->unsynced_count;
        *pieces = memory_new(count + 1, sizeof **pieces);
        memcpy(*pieces, swarm->unsynced, count * sizeof **pieces);
        swarm->unsynced_count = 0;
    }
    pthread_mutex_unlock(&swarm->lock);
    return count;
}

static void give_back_unsynced(struct swarm *swarm, const uint32_t *pieces, size_t count)
{
    pthread_mutex_lock(&swarm->lock);
    memcpy(swarm->unsynced + swarm->unsynced_count, pieces, count * sizeof *pieces);
    swarm->unsynced_count += count;
    swarm->unsynced_ms = clock_boot_ms();
    pthread_mutex_unlock(&swarm->lock);
}

/* Bytes first, then the records that say they are there. */
static enum error_code record_pieces(struct job_call *call, bool all, struct error *error)
{
    struct job *job = call->job;
    struct swarm *swarm = atomic_load(&job->swarm);
    auto_free uint32_t *pieces = NULL;
    size_t count = take_unsynced(swarm, all, &pieces);

    if (count == 0 || !job->recorded)
        return ERROR_NONE;
    enum error_code code = share_incoming_sync(swarm->incoming, error);
    if (code == ERROR_NONE)
        code = journal_add(job->journal, pieces, count, error);
    if (code != ERROR_NONE)
        give_back_unsynced(swarm, pieces, count);
    return code;
}

/* ---- what is told ---- */

/* Who sends now. What was told last stays while nobody does. */
static void describe_sources_locked(const struct swarm *swarm, struct download_status *draft)
{
    const struct swarm_source *first = NULL;

    draft->active_sources = 0;
    for (size_t i = 0; i < swarm->source_count; i++) {
        const struct swarm_source *source = swarm->sources[i];
        if (source->state != DOWNLOAD_SOURCE_ACTIVE)
            continue;
        draft->active_sources++;
        if (!first || source->bytes > first->bytes)
            first = source;
    }
    if (!first)
        return;
    char who[DOWNLOAD_SOURCE_BYTES];
    snprintf(who, sizeof who, "%s", first->who);
    if (draft->active_sources == 1) {
        snprintf(draft->source, sizeof draft->source, "%s", who);
        return;
    }
    text_cut(who, sizeof who - sizeof " y 999 más");
    snprintf(draft->source, sizeof draft->source, "%s y %u más", who, draft->active_sources - 1);
}

static int64_t prefix_bytes_locked(const struct swarm *swarm)
{
    int64_t bytes = (int64_t)(swarm->prefix * PIECE_BYTES);

    return bytes < swarm->manifest.size_bytes ? bytes : swarm->manifest.size_bytes;
}

static void tell_progress(struct job_call *call)
{
    struct job *job = call->job;
    struct swarm *swarm = atomic_load(&job->swarm);
    struct download_status *draft = &job->draft;
    unsigned sources_before = draft->active_sources;
    enum download_state state_before = draft->state;

    pthread_mutex_lock(&swarm->lock);
    describe_sources_locked(swarm, draft);
    draft->held_bytes = swarm->held_bytes;
    draft->bytes = swarm->in_order ? prefix_bytes_locked(swarm) : swarm->held_bytes;
    draft->bytes_per_second = rate_add(&job->rate, clock_boot_ms(), swarm->received);
    pthread_mutex_unlock(&swarm->lock);
    atomic_store(&job->readable, draft->bytes);
    draft->state = draft->active_sources > 0 || state_before == DOWNLOAD_RUNNING
                       ? DOWNLOAD_RUNNING
                       : DOWNLOAD_SEARCHING;
    draft->reason[0] = '\0';
    call->environment->publish(job, state_before == draft->state &&
                                        sources_before == draft->active_sources);
}

/* ---- the run ---- */

/* The state of a swarm that matters to the job's thread, at one moment. */
struct view {
    bool complete;
    bool stuck;   /* nobody is at work, and all that are known have failed */
    bool starved; /* those at work have not got what is missing */
    bool any_piece;
    bool any_source;
    struct error disk;
};

static bool is_starved_locked(const struct swarm *swarm)
{
    for (size_t i = 0; i < swarm->source_count; i++) {
        const struct swarm_source *source = swarm->sources[i];
        if (source->state == DOWNLOAD_SOURCE_ACTIVE && !(source->partial && source->idle))
            return false;
    }
    return swarm->active > 0;
}

static struct view look(struct swarm *swarm)
{
    struct view view = {.stuck = swarm_tend(swarm, clock_boot_ms())};

    pthread_mutex_lock(&swarm->lock);
    view.complete = pieces_complete(swarm->pieces);
    view.any_piece = pieces_held(swarm->pieces) > 0;
    view.any_source = swarm->source_count > 0;
    view.starved = is_starved_locked(swarm);
    view.disk = swarm->disk;
    pthread_mutex_unlock(&swarm->lock);
    return view;
}

/* Why nothing goes on; code ERROR_NONE: that is not known yet. */
static struct error find_reason(struct swarm *swarm, struct seeker *seeker, bool any_source)
{
    struct failures failures = {0};
    struct error reason = {0};

    swarm_failures(swarm, &failures);
    if (any_source)
        return failures.worst;
    if (!seeker)
        error_set(&reason, ERROR_NOT_FOUND, "no hay fuentes");
    else if (seeker_outcome(seeker, &reason) && reason.code == ERROR_NONE)
        error_set(&reason, ERROR_NOT_FOUND, "ningún peer activo tiene este contenido");
    return reason;
}

/* Our own disk refused a piece. True: it may go on. */
static bool handle_disk(struct job_call *call, struct error *error)
{
    struct swarm *swarm = atomic_load(&call->job->swarm);

    swarm_rest(swarm);
    if (!wait_for_space(call, error))
        return false;
    pthread_mutex_lock(&swarm->lock);
    swarm->disk = (struct error){0};
    pthread_mutex_unlock(&swarm->lock);
    return true;
}

/* Who has nothing yet fails as soon as all have failed, so that who asked hears why; who has
 * something waits. So does one of an earlier daemon, unless nobody has the file any more. */
static bool may_wait(const struct job *job, const struct view *view, const struct error *reason)
{
    return view->any_piece || reason->code == ERROR_NONE ||
           (job->is_restored && reason->code != ERROR_NOT_FOUND);
}

static enum error_code go_on(struct job_call *call, struct seeker *seeker, struct error *error)
{
    struct job *job = call->job;
    struct swarm *swarm = atomic_load(&job->swarm);
    int64_t stuck_ms = 0;
    int64_t starved_ms = 0;

    while (!interrupt_raised(call->interrupt)) {
        struct view view = look(swarm);
        if (view.complete)
            return ERROR_NONE;
        enum error_code code = record_pieces(call, false, error);
        if (view.disk.code != ERROR_NONE) {
            *error = view.disk;
            code = view.disk.code;
        }
        if (code != ERROR_NONE && !handle_disk(call, error))
            return code;
        if (swarm->arrival)
            arrival_tell(swarm->arrival, clock_boot_ms());
        starved_ms = view.starved ? starved_ms + TICK_MS : 0;
        if (!view.stuck) {
            stuck_ms = 0;
            if (starved_ms < STARVED_MS)
                tell_progress(call);
            else
                job_tell_waiting(call, "las fuentes todavía no tienen las piezas que faltan");
            job->yielded = starved_ms >= JOB_YIELD_MS && call->environment->is_crowded(job);
            if (job->yielded)
                return ERROR_BUSY;
        } else {
            struct error reason = find_reason(swarm, seeker, view.any_source);
            if (!may_wait(job, &view, &reason)) {
                *error = reason;
                return reason.code;
            }
            if (reason.code != ERROR_NONE)
                job_tell_waiting(call, reason.text);
            stuck_ms += TICK_MS;
            job->yielded = stuck_ms >= JOB_YIELD_MS && call->environment->is_crowded(job);
            if (job->yielded)
                return ERROR_BUSY;
        }
        swarm_wait(swarm, TICK_MS);
    }
    return error_set(error, ERROR_CANCELLED, "cancelado");
}

/* Those that gave something are remembered as peers that are there. No session runs. */
static void thank_sources(const struct job_call *call)
{
    const struct swarm *swarm = atomic_load(&call->job->swarm);

    for (size_t i = 0; i < swarm->source_count; i++)
        if (swarm->sources[i]->bytes > 0)
            sources_worked(call->environment->finder, &swarm->sources[i]->address);
}

static enum error_code run_swarm(struct job_call *call, struct error *error)
{
    struct job *job = call->job;
    struct swarm *swarm = atomic_load(&job->swarm);
    struct seeker *seeker = NULL;
    enum error_code code = ERROR_NONE;
    struct error ignored;

    rate_init(&job->rate, clock_boot_ms(), swarm->received);
    if (job->address_count == 0)
        code = seeker_start(swarm, call->environment->finder, job->peer, swarm->source_count == 0,
                            &seeker, error);
    if (code == ERROR_NONE)
        code = go_on(call, seeker, error);
    swarm_rest(swarm);
    seeker_stop(seeker);
    thank_sources(call);
    if (code != ERROR_NONE)
        (void)record_pieces(call, true, &ignored); /* what cannot be recorded is fetched again */
    else
        tell_progress(call);
    return code;
}

enum error_code job_fetch_pieces(struct job_call *call, struct manifest *manifest,
                                 const struct directory_sources *sources, struct error *error)
{
    struct job *job = call->job;

    if (!atomic_load(&job->swarm)) {
        enum error_code code = make_swarm(call, manifest, error);
        if (code != ERROR_NONE)
            return code;
        job->draft.state = DOWNLOAD_RUNNING;
        job->draft.attempt = job->spool_attempt;
    }
    if (sources->count > 0)
        swarm_add_sources(atomic_load(&job->swarm), sources, job->peer);
    return run_swarm(call, error);
}
