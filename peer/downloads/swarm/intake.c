#include "peer/downloads/swarm/intake.h"

#include "common/clock.h"
#include "common/memory.h"
#include "common/thread_pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Half a MiB each, and not made in no time: as many as are at work as a rule. */
#define HASHERS_KEPT 4

struct intake {
    struct thread_pool *pool; /* constant */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    size_t pieces;                           /* for which room was taken */
    size_t waiting;                          /* submitted, and not done by the threads */
    struct piece_hasher *idle[HASHERS_KEPT]; /* what one has begun with is kept for the next */
    size_t idle_count;
};

struct intake_message {
    struct rpc_held *held;
    atomic_uint references;
};

enum error_code intake_start(struct intake **out, struct error *error)
{
    struct intake *intake = memory_new(1, sizeof *intake);
    pthread_condattr_t monotonic;

    pthread_mutex_init(&intake->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&intake->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    enum error_code code =
        thread_pool_start("intake", INTAKE_THREADS, INTAKE_PIECES_MAX, &intake->pool, error);
    if (code != ERROR_NONE)
        intake_free(intake);
    else
        *out = intake;
    return code;
}

void intake_stop(struct intake *intake)
{
    if (intake)
        thread_pool_stop(intake->pool);
}

void intake_free(struct intake *intake)
{
    if (!intake)
        return;
    thread_pool_free(intake->pool);
    while (intake->idle_count > 0)
        piece_hasher_free(intake->idle[--intake->idle_count]);
    pthread_cond_destroy(&intake->changed);
    pthread_mutex_destroy(&intake->lock);
    free(intake);
}

struct intake_message *intake_message_new(struct rpc_held *held)
{
    struct intake_message *message = memory_new(1, sizeof *message);

    message->held = held;
    atomic_init(&message->references, 1);
    return message;
}

void intake_message_drop(struct intake_message *message)
{
    if (!message || atomic_fetch_sub(&message->references, 1) > 1)
        return;
    rpc_held_free(message->held);
    free(message);
}

struct intake_piece *intake_begin(struct intake *intake, const struct intake_piece *like,
                                  int64_t wait_ms)
{
    struct timespec deadline = clock_deadline(wait_ms);
    struct intake_piece *piece;
    int result = 0;

    pthread_mutex_lock(&intake->lock);
    while (intake->pieces >= INTAKE_PIECES_MAX && result == 0)
        result = pthread_cond_timedwait(&intake->changed, &intake->lock, &deadline);
    bool room = intake->pieces < INTAKE_PIECES_MAX;
    if (room)
        intake->pieces++;
    pthread_mutex_unlock(&intake->lock);
    if (!room)
        return NULL;
    piece = memory_new(1, sizeof *piece);
    *piece = *like;
    piece->intake = intake;
    return piece;
}

static void add_span(struct intake_piece *piece, struct iovec span)
{
    struct iovec *last = piece->span_count ? &piece->spans[piece->span_count - 1] : NULL;

    piece->bytes += span.iov_len;
    if (last && (char *)last->iov_base + last->iov_len == (char *)span.iov_base) {
        last->iov_len += span.iov_len;
        return;
    }
    if (piece->span_count == piece->span_capacity) {
        piece->span_capacity = piece->span_capacity ? 2 * piece->span_capacity : 16;
        piece->spans = memory_resize(piece->spans, piece->span_capacity, sizeof span);
    }
    piece->spans[piece->span_count++] = span;
}

void intake_copy(struct intake_piece *piece, const struct iovec *spans, size_t span_count)
{
    if (!piece->copies)
        piece->copies = memory_new(piece->length, 1); /* at most PIECE_BYTES */
    for (size_t i = 0; i < span_count; i++) {
        char *place = piece->copies + piece->bytes;
        memcpy(place, spans[i].iov_base, spans[i].iov_len);
        add_span(piece, (struct iovec){.iov_base = place, .iov_len = spans[i].iov_len});
    }
}

void intake_add(struct intake_piece *piece, struct intake_message *message,
                const struct iovec *spans, size_t span_count)
{
    for (size_t i = 0; i < span_count; i++)
        add_span(piece, spans[i]);
    if (piece->message_count > 0 && piece->messages[piece->message_count - 1] == message)
        return;
    if (piece->message_count == piece->message_capacity) {
        piece->message_capacity = piece->message_capacity ? 2 * piece->message_capacity : 8;
        piece->messages =
            memory_resize(piece->messages, piece->message_capacity, sizeof *piece->messages);
    }
    atomic_fetch_add(&message->references, 1);
    piece->messages[piece->message_count++] = message;
}

void intake_drop(struct intake_piece *piece)
{
    if (!piece)
        return;
    struct intake *intake = piece->intake;

    for (size_t i = 0; i < piece->message_count; i++)
        intake_message_drop(piece->messages[i]);
    free(piece->messages);
    free(piece->copies);
    free(piece->spans);
    free(piece);
    pthread_mutex_lock(&intake->lock);
    intake->pieces--;
    pthread_cond_signal(&intake->changed);
    pthread_mutex_unlock(&intake->lock);
}

static struct piece_hasher *get_hasher(struct intake *intake)
{
    struct piece_hasher *hasher = NULL;

    pthread_mutex_lock(&intake->lock);
    if (intake->idle_count > 0)
        hasher = intake->idle[--intake->idle_count];
    pthread_mutex_unlock(&intake->lock);
    return hasher ? hasher : piece_hasher_new();
}

static void put_hasher(struct intake *intake, struct piece_hasher *hasher)
{
    pthread_mutex_lock(&intake->lock);
    if (intake->idle_count < ARRAY_LENGTH(intake->idle))
        intake->idle[intake->idle_count++] = take_pointer(&hasher);
    pthread_mutex_unlock(&intake->lock);
    piece_hasher_free(hasher);
}

static bool is_right(const struct intake_piece *piece)
{
    struct piece_hasher *hasher = get_hasher(piece->intake);
    uint8_t hash[HASH_BYTES];

    piece_hasher_update(hasher, piece->spans, piece->span_count);
    piece_hasher_finish(hasher, piece->file_bytes, hash);
    put_hasher(piece->intake, hasher);
    return memcmp(hash, piece->hash, HASH_BYTES) == 0;
}

static void process(struct intake_piece *piece)
{
    enum intake_result result = INTAKE_STORED;
    struct error error = {0};

    if (!is_right(piece))
        result = INTAKE_WRONG;
    else if (share_incoming_write_at(piece->incoming, piece->offset, piece->spans,
                                     piece->span_count, &error) != ERROR_NONE)
        result = INTAKE_NOT_WRITTEN;
    piece->done(piece, result, &error);
    intake_drop(piece);
}

/* Whether the threads are to do one more. */
static bool enter(struct intake *intake)
{
    pthread_mutex_lock(&intake->lock);
    bool entered = intake->waiting < INTAKE_AHEAD;
    intake->waiting += entered;
    pthread_mutex_unlock(&intake->lock);
    return entered;
}

static void leave(struct intake *intake)
{
    pthread_mutex_lock(&intake->lock);
    intake->waiting--;
    pthread_mutex_unlock(&intake->lock);
}

/* On a thread of the pool. */
static void process_waiting(void *context)
{
    struct intake_piece *piece = context;
    struct intake *intake = piece->intake;

    process(piece);
    leave(intake);
}

void intake_submit(struct intake_piece *piece)
{
    struct intake *intake = piece->intake;
    struct error error;

    if (!enter(intake)) {
        process(piece);
        return;
    }
    /* The queue is long enough; it only refuses when it was stopped. */
    if (thread_pool_submit(intake->pool, process_waiting, piece, &error) == ERROR_NONE)
        return;
    piece->done(piece, INTAKE_NOT_WRITTEN, &error);
    intake_drop(piece);
    leave(intake);
}
