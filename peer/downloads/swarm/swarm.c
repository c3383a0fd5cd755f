#include "peer/downloads/swarm/swarm.h"

#include "common/clock.h"
#include "common/memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

/* Who waits for a run asks again so often, also when nothing has changed: another source may have
 * become slow. Who waits for room looks so often whether it is to end. */
#define ASK_AGAIN_MS 500
#define ROOM_WAIT_MS 100

/* So long before the end of a run the next one is asked for: a request waits behind the data that
 * leave here, and what is asked for behind those that leave there. */
#define ASK_AHEAD_MS 250

static void wait_locked(struct swarm *swarm, int64_t timeout_ms)
{
    struct timespec deadline = clock_deadline(timeout_ms);

    pthread_cond_timedwait(&swarm->changed, &swarm->lock, &deadline);
}

void swarm_wait(struct swarm *swarm, int64_t timeout_ms)
{
    pthread_mutex_lock(&swarm->lock);
    wait_locked(swarm, timeout_ms);
    pthread_mutex_unlock(&swarm->lock);
}

static void count_held(struct swarm *swarm)
{
    size_t count = swarm->manifest.piece_count;

    for (size_t i = 0; i < count; i++)
        if (pieces_is_held(swarm->pieces, i))
            swarm->held_bytes += (int64_t)content_piece_bytes(swarm->manifest.size_bytes, i);
    while (swarm->prefix < count && pieces_is_held(swarm->pieces, swarm->prefix))
        swarm->prefix++;
}

struct swarm *swarm_new(const struct swarm_options *options)
{
    struct swarm *swarm = memory_new(1, sizeof *swarm);
    struct pieces_options plan = {
        .piece_bytes = PIECE_BYTES, .held = options->held, .in_order = options->in_order};
    pthread_condattr_t monotonic;

    swarm->name = *options->name;
    swarm->manifest = *options->manifest;
    *options->manifest = (struct manifest){0};
    swarm->incoming = options->incoming;
    swarm->intake = options->intake;
    swarm->limits = options->limits;
    swarm->stall_ms = options->stall_ms;
    swarm->in_order = options->in_order;
    swarm->journal = options->journal;
    pthread_mutex_init(&swarm->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&swarm->changed, &monotonic);
    pthread_cond_init(&swarm->done, NULL);
    pthread_condattr_destroy(&monotonic);
    plan.count = swarm->manifest.piece_count;
    (void)!getrandom(&plan.seed, sizeof plan.seed, 0);
    swarm->pieces = pieces_new(&plan);
    swarm->unsynced = memory_new(plan.count + 1, sizeof *swarm->unsynced);
    count_held(swarm);
    return swarm;
}

void swarm_free(struct swarm *swarm)
{
    if (!swarm)
        return;
    arrivals_end(swarm->arrival, NULL);
    for (size_t i = 0; i < swarm->source_count; i++) {
        free(swarm->sources[i]->peer);
        free(swarm->sources[i]);
    }
    pieces_free(swarm->pieces);
    manifest_done(&swarm->manifest);
    free(swarm->unsynced);
    pthread_cond_destroy(&swarm->changed);
    pthread_cond_destroy(&swarm->done);
    pthread_mutex_destroy(&swarm->lock);
    free(swarm);
}

void swarm_end_arrival(struct swarm *swarm, const struct file_name *stored)
{
    pthread_mutex_lock(&swarm->lock);
    struct arrival *arrival = take_pointer(&swarm->arrival);
    pthread_mutex_unlock(&swarm->lock);
    arrivals_end(arrival, stored);
}

/* ---- runs ---- */

static bool must_end_locked(const struct swarm_source *source)
{
    return source->swarm->ending || interrupt_raised(source->interrupt);
}

static bool is_over_locked(const struct swarm_source *source)
{
    return must_end_locked(source) || pieces_complete(source->swarm->pieces);
}

struct pieces_run swarm_try_run(struct swarm_source *source)
{
    struct swarm *swarm = source->swarm;
    struct pieces_run run = {0};

    pthread_mutex_lock(&swarm->lock);
    if (!must_end_locked(source))
        run = pieces_next(swarm->pieces, source->number, clock_boot_ms());
    pthread_mutex_unlock(&swarm->lock);
    return run;
}

struct pieces_run swarm_next_ahead(struct swarm_source *source, int64_t left_bytes)
{
    struct swarm *swarm = source->swarm;
    struct pieces_run run = {0};

    pthread_mutex_lock(&swarm->lock);
    int64_t now_ms = clock_boot_ms();
    int64_t rate = pieces_rate(swarm->pieces, source->number, now_ms);
    if (!must_end_locked(source) && left_bytes <= rate * ASK_AHEAD_MS / 1000)
        run = pieces_next_ahead(swarm->pieces, source->number, now_ms);
    pthread_mutex_unlock(&swarm->lock);
    return run;
}

bool swarm_begin_ahead(struct swarm_source *source)
{
    struct swarm *swarm = source->swarm;

    pthread_mutex_lock(&swarm->lock);
    bool begins = !must_end_locked(source) &&
                  pieces_begin_ahead(swarm->pieces, source->number, clock_boot_ms());
    pthread_mutex_unlock(&swarm->lock);
    return begins;
}

struct pieces_run swarm_next_run(struct swarm_source *source, int64_t until_ms)
{
    struct swarm *swarm = source->swarm;
    struct pieces_run run = {0};

    pthread_mutex_lock(&swarm->lock);
    while (!is_over_locked(source)) {
        int64_t now_ms = clock_boot_ms();
        run = pieces_next(swarm->pieces, source->number, now_ms);
        if (run.count == 0 && !source->idle)
            source->idle_ms = now_ms;
        if (run.count > 0 && source->idle)
            source->began_ms = now_ms;
        source->idle = run.count == 0;
        if (run.count > 0 || now_ms >= until_ms || source->look_now)
            break;
        wait_locked(swarm, until_ms - now_ms < ASK_AGAIN_MS ? until_ms - now_ms : ASK_AGAIN_MS);
    }
    pthread_mutex_unlock(&swarm->lock);
    return run;
}

bool swarm_take_news(struct swarm_source *source)
{
    pthread_mutex_lock(&source->swarm->lock);
    bool news = source->look_now;
    source->look_now = false;
    pthread_mutex_unlock(&source->swarm->lock);
    return news;
}

bool swarm_is_over(struct swarm_source *source)
{
    pthread_mutex_lock(&source->swarm->lock);
    bool over = is_over_locked(source);
    pthread_mutex_unlock(&source->swarm->lock);
    return over;
}

size_t swarm_alternatives(struct swarm_source *source, const struct pieces_run *run, size_t *from,
                          uint8_t bits[SWARM_ALTERNATIVES_BYTES])
{
    const size_t window = (size_t)SWARM_ALTERNATIVES_BYTES * 8;
    struct swarm *swarm = source->swarm;
    size_t found = 0;

    *from = run->first / window * window;
    pthread_mutex_lock(&swarm->lock);
    if (!source->partial && !swarm->in_order) {
        found = pieces_alternatives(swarm->pieces, source->number, run, *from, window, bits);
    }
    pthread_mutex_unlock(&swarm->lock);
    if (found == 0)
        return 0;
    size_t bytes = SWARM_ALTERNATIVES_BYTES;
    while (bits[bytes - 1] == 0)
        bytes--;
    return bytes;
}

bool swarm_exchanges(struct swarm_source *source)
{
    struct swarm *swarm = source->swarm;

    pthread_mutex_lock(&swarm->lock);
    bool exchanges = !swarm->in_order && pieces_any_partial(swarm->pieces);
    pthread_mutex_unlock(&swarm->lock);
    return exchanges;
}

void swarm_move_run(struct swarm_source *source, struct pieces_run run)
{
    struct swarm *swarm = source->swarm;

    pthread_mutex_lock(&swarm->lock);
    pieces_move_run(swarm->pieces, source->number, run);
    pthread_mutex_unlock(&swarm->lock);
}

bool swarm_wants(struct swarm_source *source, size_t first, size_t end)
{
    struct swarm *swarm = source->swarm;
    bool wanted = false;

    pthread_mutex_lock(&swarm->lock);
    for (size_t i = first; i < end && !wanted; i++)
        wanted = pieces_wanted(swarm->pieces, source->number, i);
    pthread_mutex_unlock(&swarm->lock);
    return wanted;
}

void swarm_has_only(struct swarm_source *source, size_t first, size_t count)
{
    struct swarm *swarm = source->swarm;
    size_t all = swarm->manifest.piece_count;
    auto_free uint8_t *have = NULL;

    if (count < all) {
        have = memory_new(all / 8 + 1, 1);
        for (size_t i = first; i < first + count; i++)
            have[i / 8] |= (uint8_t)(1U << i % 8);
    }
    pthread_mutex_lock(&swarm->lock);
    pieces_give_back(swarm->pieces, source->number);
    pieces_source_has(swarm->pieces, source->number, have);
    pthread_mutex_unlock(&swarm->lock);
}

void swarm_source_has(struct swarm_source *source, const uint8_t *have)
{
    struct swarm *swarm = source->swarm;

    pthread_mutex_lock(&swarm->lock);
    source->partial = have != NULL;
    swarm_heard_locked(source);
    pieces_source_has(swarm->pieces, source->number, have);
    pthread_mutex_unlock(&swarm->lock);
}

size_t swarm_run_limit(struct swarm_source *source, const struct pieces_run *run)
{
    struct swarm *swarm = source->swarm;
    size_t end = run->first + run->count;

    pthread_mutex_lock(&swarm->lock);
    while (swarm->active == 1 && !source->partial && pieces_is_missing(swarm->pieces, end))
        end++;
    pthread_mutex_unlock(&swarm->lock);
    return end;
}

void swarm_promised(struct swarm_source *source, bool promised)
{
    pthread_mutex_lock(&source->swarm->lock);
    source->promised = promised;
    pthread_mutex_unlock(&source->swarm->lock);
}

void swarm_note_place(struct swarm_source *source, int64_t place)
{
    pthread_mutex_lock(&source->swarm->lock);
    source->place = place;
    swarm_heard_locked(source);
    pthread_mutex_unlock(&source->swarm->lock);
}

void swarm_received(struct swarm_source *source, size_t bytes, bool wanted)
{
    struct swarm *swarm = source->swarm;
    int64_t now_ms = clock_boot_ms();

    pthread_mutex_lock(&swarm->lock);
    swarm_heard_locked(source);
    swarm->received += (int64_t)bytes;
    source->received += (int64_t)bytes;
    source->bytes_per_second = rate_add(&source->rate, now_ms, source->received);
    if (wanted)
        pieces_received(swarm->pieces, source->number, bytes, now_ms);
    pthread_mutex_unlock(&swarm->lock);
}

/* ---- pieces ---- */

static void note_stored_locked(struct swarm *swarm, struct swarm_source *source, size_t index)
{
    int64_t now_ms = clock_boot_ms();

    if (!pieces_hold(swarm->pieces, source->number, index, now_ms))
        return; /* another one was quicker */
    size_t bytes = content_piece_bytes(swarm->manifest.size_bytes, index);
    source->bytes += (int64_t)bytes;
    source->failures = 0;
    swarm->held_bytes += (int64_t)bytes;
    while (swarm->prefix < swarm->manifest.piece_count &&
           pieces_is_held(swarm->pieces, swarm->prefix))
        swarm->prefix++;
    if (swarm->unsynced_count == 0)
        swarm->unsynced_ms = now_ms;
    swarm->unsynced[swarm->unsynced_count++] = (uint32_t)index;
    if (swarm->journal)
        journal_note(swarm->journal, (uint32_t)index);
    if (swarm->arrival)
        arrival_hold(swarm->arrival, index);
}

/* The source is to blame, or has another file of that name and never said it had this one. */
static void note_wrong_locked(struct swarm *swarm, struct swarm_source *source, size_t index)
{
    pieces_miss(swarm->pieces, source->number, index);
    if (source->wrong.code != ERROR_NONE)
        return;
    source->liar = source->promised;
    if (source->promised)
        error_set(&source->wrong, ERROR_CORRUPT, "envió datos falsos (pieza %zu)", index);
    else
        error_set(&source->wrong, ERROR_CHANGED, "tiene otro contenido con ese nombre");
}

static void leave_intake_locked(struct swarm_source *source)
{
    if (--source->in_intake == 0)
        pthread_cond_broadcast(&source->swarm->done);
}

/* On a thread of the intake, or the session's own. */
static void piece_done(const struct intake_piece *piece, enum intake_result result,
                       const struct error *error)
{
    struct swarm_source *source = piece->context;
    struct swarm *swarm = source->swarm;

    pthread_mutex_lock(&swarm->lock);
    if (result == INTAKE_STORED) {
        note_stored_locked(swarm, source, piece->index);
    } else if (result == INTAKE_WRONG) {
        note_wrong_locked(swarm, source, piece->index);
        interrupt_raise(source->interrupt);
    } else {
        pieces_miss(swarm->pieces, source->number, piece->index);
        swarm->disk = *error;
    }
    leave_intake_locked(source);
    /* The job looks ten times a second; to wake it for every piece would cost more than it does. */
    if (result != INTAKE_STORED || swarm->in_order || swarm->prefix == swarm->manifest.piece_count)
        pthread_cond_broadcast(&swarm->changed);
    pthread_mutex_unlock(&swarm->lock);
}

/* False: the session is to end. */
static bool enter_intake(struct swarm_source *source)
{
    struct swarm *swarm = source->swarm;

    pthread_mutex_lock(&swarm->lock);
    bool go_on = !must_end_locked(source) && swarm->disk.code == ERROR_NONE;
    source->in_intake += go_on;
    pthread_mutex_unlock(&swarm->lock);
    return go_on;
}

static void leave_intake(struct swarm_source *source)
{
    pthread_mutex_lock(&source->swarm->lock);
    leave_intake_locked(source);
    pthread_mutex_unlock(&source->swarm->lock);
}

void swarm_drain(struct swarm_source *source)
{
    struct swarm *swarm = source->swarm;

    pthread_mutex_lock(&swarm->lock);
    while (source->in_intake > 0)
        pthread_cond_wait(&swarm->done, &swarm->lock);
    pthread_mutex_unlock(&swarm->lock);
}

struct intake_piece *swarm_begin_piece(struct swarm_source *source, size_t index)
{
    struct swarm *swarm = source->swarm;
    struct intake_piece like = {
        .index = index,
        .length = content_piece_bytes(swarm->manifest.size_bytes, index),
        .offset = (int64_t)(index * PIECE_BYTES),
        .file_bytes = swarm->manifest.size_bytes,
        .hash = swarm->manifest.hashes[index],
        .incoming = swarm->incoming,
        .done = piece_done,
        .context = source,
    };
    struct intake_piece *piece = NULL;

    if (!enter_intake(source))
        return NULL;
    while (!piece && !interrupt_raised(source->interrupt))
        piece = intake_begin(swarm->intake, &like, ROOM_WAIT_MS);
    if (!piece)
        leave_intake(source);
    return piece;
}

void swarm_drop_piece(struct swarm_source *source, struct intake_piece *piece)
{
    intake_drop(piece);
    leave_intake(source);
}
