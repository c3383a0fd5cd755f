#include "peer/limits/limits.h"

#include "common/clock.h"
#include "common/memory.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* How late a thread that waits may see that it can go on: what its rate was saves, with a margin
 * (bucket.h), so nothing of the rate is lost. */
#define TAKE_LOOK_MS 100

struct limits {
    struct timer *timer;
    struct timer_task task;
    /* Whether there is a rate at all: most peers have none, and their messages take no lock. */
    atomic_bool limited[LIMITS_DIRECTIONS];
    pthread_mutex_t lock; /* guards what follows, and the streams' waiters */
    struct limits_rates rates;
    struct fair_queue *queues[LIMITS_DIRECTIONS];
};

static struct limits_stream *stream_of(struct fair_waiter *waiter)
{
    return (struct limits_stream *)((char *)waiter - offsetof(struct limits_stream, waiter));
}

/* Lets go who may, and tells them, but for the one that is asking itself. With the lock. */
static int64_t pump(struct limits *limits, enum limits_direction direction, int64_t now_ms,
                    const struct limits_stream *asking)
{
    struct fair_queue *queue = limits->queues[direction];
    struct fair_waiter *waiter;

    while ((waiter = fair_queue_grant(queue, now_ms))) {
        struct limits_stream *stream = stream_of(waiter);
        if (stream != asking && stream->wake)
            stream->wake(stream->context);
    }
    while ((waiter = fair_queue_evict(queue, now_ms)))
        stream_of(waiter)->evict(stream_of(waiter)->context);
    return fair_queue_next_ms(queue, now_ms);
}

static void pump_and_arm(struct limits *limits, enum limits_direction direction,
                         const struct limits_stream *asking)
{
    int64_t next_ms = pump(limits, direction, clock_boot_ms(), asking);

    if (next_ms != FAIR_NEVER)
        timer_due(limits->timer, &limits->task, next_ms);
}

static int64_t run(void *context, int64_t now_ms)
{
    struct limits *limits = context;
    int64_t next_ms = TIMER_NEVER;

    pthread_mutex_lock(&limits->lock);
    for (int direction = 0; direction < LIMITS_DIRECTIONS; direction++) {
        int64_t look_ms = pump(limits, direction, now_ms, NULL);
        next_ms = look_ms < next_ms ? look_ms : next_ms;
    }
    pthread_mutex_unlock(&limits->lock);
    return next_ms;
}

/* ---- life ---- */

struct limits *limits_new(const struct limits_rates *rates, size_t upload_slots,
                          struct timer *timer)
{
    struct limits *limits = memory_new(1, sizeof *limits);
    struct fair_limits fair = {.slots = upload_slots,
                               .memory_bytes = LIMITS_MEMORY_BYTES,
                               .message_max_bytes = LIMITS_MESSAGE_MAX_BYTES,
                               .message_min_bytes = LIMITS_MESSAGE_MIN_BYTES};

    limits->timer = timer;
    limits->task = (struct timer_task){.run = run, .context = limits};
    pthread_mutex_init(&limits->lock, NULL);
    for (int direction = 0; direction < LIMITS_DIRECTIONS; direction++)
        limits->queues[direction] = fair_queue_new(&fair);
    timer_add(timer, &limits->task);
    limits_set_rates(limits, rates);
    return limits;
}

void limits_free(struct limits *limits)
{
    if (!limits)
        return;
    timer_remove(limits->timer, &limits->task);
    for (int direction = 0; direction < LIMITS_DIRECTIONS; direction++)
        fair_queue_free(limits->queues[direction]);
    pthread_mutex_destroy(&limits->lock);
    free(limits);
}

void limits_set_rates(struct limits *limits, const struct limits_rates *rates)
{
    int64_t now_ms = clock_boot_ms();

    pthread_mutex_lock(&limits->lock);
    limits->rates = *rates;
    for (int direction = 0; direction < LIMITS_DIRECTIONS; direction++) {
        int64_t total = rates->total[direction];
        int64_t per_peer = rates->per_peer[direction];
        atomic_store(&limits->limited[direction], total > 0 || per_peer > 0);
        fair_queue_set_rates(limits->queues[direction], total, per_peer, now_ms);
        pump_and_arm(limits, direction, NULL);
    }
    pthread_mutex_unlock(&limits->lock);
}

struct limits_rates limits_read_rates(struct limits *limits)
{
    struct limits_rates rates;

    pthread_mutex_lock(&limits->lock);
    rates = limits->rates;
    pthread_mutex_unlock(&limits->lock);
    return rates;
}

size_t limits_uploads_waiting(struct limits *limits)
{
    size_t count;

    pthread_mutex_lock(&limits->lock);
    count = fair_queue_waiting(limits->queues[LIMITS_UPLOAD]);
    pthread_mutex_unlock(&limits->lock);
    return count;
}

/* ---- streams ---- */

void limits_join(struct limits_stream *stream, const char *peer)
{
    struct limits *limits = stream->limits;
    struct host_key host = host_key_of(peer);

    stream->waiter = (struct fair_waiter){.serving = stream->serving};
    pthread_mutex_lock(&limits->lock);
    fair_queue_join(limits->queues[stream->direction], &stream->waiter, &host, clock_boot_ms());
    pthread_mutex_unlock(&limits->lock);
}

void limits_leave(struct limits_stream *stream)
{
    struct limits *limits = stream->limits;

    if (!stream->waiter.host) /* only its owner sets it */
        return;
    pthread_mutex_lock(&limits->lock);
    fair_queue_leave(limits->queues[stream->direction], &stream->waiter, clock_boot_ms());
    pump_and_arm(limits, stream->direction, stream);
    pthread_mutex_unlock(&limits->lock);
}

bool limits_ask(struct limits_stream *stream, int64_t bytes, int64_t *granted)
{
    struct limits *limits = stream->limits;
    struct fair_queue *queue = limits->queues[stream->direction];
    bool may;

    if (!stream->serving && !stream->asked && !atomic_load(&limits->limited[stream->direction])) {
        *granted = bytes;
        return true;
    }
    pthread_mutex_lock(&limits->lock);
    if (stream->waiter.state == FAIR_IDLE) {
        fair_queue_ask(queue, &stream->waiter, bytes);
        pump_and_arm(limits, stream->direction, stream);
    }
    may = stream->waiter.state == FAIR_GRANTED;
    *granted = may ? stream->waiter.bytes : 0;
    if (may && !stream->serving)
        fair_queue_done(queue, &stream->waiter);
    pthread_mutex_unlock(&limits->lock);
    stream->asked = !may;
    return may;
}

void limits_done(struct limits_stream *stream)
{
    struct limits *limits = stream->limits;

    pthread_mutex_lock(&limits->lock);
    fair_queue_done(limits->queues[stream->direction], &stream->waiter);
    if (stream->serving) /* others were waiting for the slot, or for the room */
        pump_and_arm(limits, stream->direction, stream);
    pthread_mutex_unlock(&limits->lock);
}

size_t limits_place(struct limits_stream *stream)
{
    struct limits *limits = stream->limits;
    size_t place;

    pthread_mutex_lock(&limits->lock);
    place = fair_queue_place(limits->queues[stream->direction], &stream->waiter);
    pthread_mutex_unlock(&limits->lock);
    return place;
}

/* ---- threads ---- */

static int64_t wait_ms(struct limits *limits, enum limits_direction direction)
{
    int64_t now_ms = clock_boot_ms();
    int64_t left_ms;

    pthread_mutex_lock(&limits->lock);
    left_ms = fair_queue_next_ms(limits->queues[direction], now_ms);
    pthread_mutex_unlock(&limits->lock);
    left_ms = left_ms == FAIR_NEVER ? TAKE_LOOK_MS : left_ms - now_ms;
    if (left_ms < 1)
        return 1;
    return left_ms < TAKE_LOOK_MS ? left_ms : TAKE_LOOK_MS;
}

bool limits_take(struct limits *limits, enum limits_direction direction, const char *peer,
                 int64_t bytes, struct interrupt *interrupt)
{
    struct limits_stream stream = {.limits = limits, .direction = direction};
    bool interrupted = false;
    int64_t granted;

    if (!limits || bytes <= 0 || !atomic_load(&limits->limited[direction]))
        return true;
    limits_join(&stream, peer);
    while (!interrupted && !limits_ask(&stream, bytes, &granted))
        interrupted = stop_event_wait_ms(interrupt_event(interrupt), wait_ms(limits, direction));
    limits_leave(&stream);
    return !interrupted;
}

int64_t limits_message_bytes(struct limits *limits, enum limits_direction direction, int64_t most)
{
    int64_t bytes;

    if (!limits || !atomic_load(&limits->limited[direction]))
        return most;
    pthread_mutex_lock(&limits->lock);
    bytes = fair_queue_message_bytes(limits->queues[direction]);
    pthread_mutex_unlock(&limits->lock);
    return bytes < most ? bytes : most;
}
