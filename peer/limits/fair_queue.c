#include "peer/limits/fair_queue.h"

#include "common/memory.h"
#include "peer/limits/bucket.h"

#include <assert.h>
#include <stdlib.h>

#define TABLE_HOSTS 256

struct waiters {
    struct fair_waiter *first, *last;
};

/* Lives while it has members, and after that while its bucket remembers something. */
struct fair_host {
    struct host_key key;
    struct bucket bucket;
    size_t members;
    struct waiters waiting;
    struct fair_waiter *last_new; /* the last of those that were not served yet; they are first */
    size_t waiting_count;
    struct fair_host *next;         /* in the table */
    struct fair_host *next_waiting; /* in the round */
};

struct fair_queue {
    struct fair_limits limits;
    struct bucket total;
    int64_t rate_per_host;
    struct fair_host *table[TABLE_HOSTS];
    struct fair_host *round, **round_end; /* hosts with somebody waiting, the next one first */
    size_t waiting_count, serving_waiting_count;

    size_t slots_used;
    int64_t memory_bytes;   /* of all that serving waiters were granted */
    int64_t evicting_bytes; /* of it, what will soon be free */
    struct waiters holders; /* of slots, the longest first */
    struct waiters parked;  /* granted, the slot taken back, likewise */
};

/* ---- lists ---- */

static void insert_after(struct waiters *list, struct fair_waiter *place,
                         struct fair_waiter *waiter)
{
    waiter->previous = place;
    waiter->next = place ? place->next : list->first;
    *(waiter->next ? &waiter->next->previous : &list->last) = waiter;
    *(place ? &place->next : &list->first) = waiter;
}

static void append(struct waiters *list, struct fair_waiter *waiter)
{
    insert_after(list, list->last, waiter);
}

static void unlink_waiter(struct waiters *list, struct fair_waiter *waiter)
{
    *(waiter->previous ? &waiter->previous->next : &list->first) = waiter->next;
    *(waiter->next ? &waiter->next->previous : &list->last) = waiter->previous;
    waiter->next = waiter->previous = NULL;
}

/* ---- hosts ---- */

static struct fair_host **chain_of(struct fair_queue *queue, const struct host_key *key)
{
    return &queue->table[host_key_hash(key) % TABLE_HOSTS];
}

static bool is_forgettable(struct fair_host *host, int64_t now_ms)
{
    return host->members == 0 && bucket_is_full(&host->bucket, now_ms);
}

/* The host, made if need be. What nobody needs any more in its chain goes. */
static struct fair_host *get_host(struct fair_queue *queue, const struct host_key *key,
                                  int64_t now_ms)
{
    struct fair_host **link = chain_of(queue, key);
    struct fair_host *found = NULL;

    while (*link) {
        struct fair_host *host = *link;
        if (host_key_equal(&host->key, key)) {
            found = host;
        } else if (is_forgettable(host, now_ms)) {
            *link = host->next;
            free(host);
            continue;
        }
        link = &host->next;
    }
    if (!found) {
        found = *link = memory_new(1, sizeof *found);
        found->key = *key;
        bucket_set_rate(&found->bucket, queue->rate_per_host, now_ms);
    }
    return found;
}

static void round_append(struct fair_queue *queue, struct fair_host *host)
{
    host->next_waiting = NULL;
    *queue->round_end = host;
    queue->round_end = &host->next_waiting;
}

static void round_unlink(struct fair_queue *queue, struct fair_host **link)
{
    *link = (*link)->next_waiting;
    if (!*link)
        queue->round_end = link;
}

/* ---- life ---- */

struct fair_queue *fair_queue_new(const struct fair_limits *limits)
{
    struct fair_queue *queue = memory_new(1, sizeof *queue);

    assert(limits->slots > 0 && limits->message_min_bytes > 0 &&
           limits->message_max_bytes <= limits->memory_bytes);
    queue->limits = *limits;
    queue->round_end = &queue->round;
    return queue;
}

void fair_queue_free(struct fair_queue *queue)
{
    if (!queue)
        return;
    for (size_t i = 0; i < TABLE_HOSTS; i++)
        while (queue->table[i]) {
            struct fair_host *host = queue->table[i];
            assert(host->members == 0);
            queue->table[i] = host->next;
            free(host);
        }
    free(queue);
}

void fair_queue_set_rates(struct fair_queue *queue, int64_t total, int64_t per_host, int64_t now_ms)
{
    bucket_set_rate(&queue->total, total, now_ms);
    queue->rate_per_host = per_host;
    for (size_t i = 0; i < TABLE_HOSTS; i++)
        for (struct fair_host *host = queue->table[i]; host; host = host->next)
            bucket_set_rate(&host->bucket, per_host, now_ms);
}

void fair_queue_join(struct fair_queue *queue, struct fair_waiter *waiter,
                     const struct host_key *host, int64_t now_ms)
{
    waiter->host = get_host(queue, host, now_ms);
    waiter->host->members++;
}

/* ---- waiting ---- */

void fair_queue_ask(struct fair_queue *queue, struct fair_waiter *waiter, int64_t bytes)
{
    struct fair_host *host = waiter->host;

    assert(waiter->state == FAIR_IDLE && bytes > 0);
    waiter->state = FAIR_WAITING;
    waiter->bytes = bytes;
    if (waiter->served) {
        append(&host->waiting, waiter);
    } else {
        insert_after(&host->waiting, host->last_new, waiter);
        host->last_new = waiter;
    }
    if (host->waiting_count++ == 0)
        round_append(queue, host);
    queue->waiting_count++;
    queue->serving_waiting_count += waiter->serving;
}

/* Takes it out of its host's line. */
static void stop_waiting(struct fair_queue *queue, struct fair_waiter *waiter)
{
    struct fair_host *host = waiter->host;

    if (host->last_new == waiter)
        host->last_new = waiter->previous;
    unlink_waiter(&host->waiting, waiter);
    waiter->state = FAIR_IDLE;
    host->waiting_count--;
    queue->waiting_count--;
    queue->serving_waiting_count -= waiter->serving;
}

void fair_queue_done(struct fair_queue *queue, struct fair_waiter *waiter)
{
    if (waiter->state != FAIR_GRANTED)
        return;
    waiter->state = FAIR_IDLE;
    if (!waiter->serving)
        return;
    queue->memory_bytes -= waiter->bytes;
    if (waiter->evicted)
        queue->evicting_bytes -= waiter->bytes;
    else
        unlink_waiter(waiter->holds_slot ? &queue->holders : &queue->parked, waiter);
    queue->slots_used -= waiter->holds_slot;
    waiter->holds_slot = waiter->evicted = false;
}

void fair_queue_leave(struct fair_queue *queue, struct fair_waiter *waiter, int64_t now_ms)
{
    struct fair_host *host = waiter->host;

    if (waiter->state == FAIR_WAITING) {
        stop_waiting(queue, waiter);
        if (host->waiting_count == 0)
            for (struct fair_host **link = &queue->round; *link; link = &(*link)->next_waiting)
                if (*link == host) {
                    round_unlink(queue, link);
                    break;
                }
    }
    fair_queue_done(queue, waiter);
    host->members--;
    waiter->host = NULL;
    if (!is_forgettable(host, now_ms))
        return;
    for (struct fair_host **link = chain_of(queue, &host->key); *link; link = &(*link)->next)
        if (*link == host) {
            *link = host->next;
            free(host);
            return;
        }
}

/* ---- granting ---- */

static int64_t room_bytes(const struct fair_queue *queue)
{
    return queue->limits.memory_bytes - queue->memory_bytes;
}

static int64_t at_rate(int64_t bytes, int64_t rate)
{
    int64_t most = rate / FAIR_RATE_PARTS;

    if (rate == 0)
        return bytes;
    if (most < FAIR_RATE_MESSAGE_BYTES)
        most = FAIR_RATE_MESSAGE_BYTES;
    return bytes < most ? bytes : most;
}

int64_t fair_queue_message_bytes(const struct fair_queue *queue)
{
    const struct fair_limits *limits = &queue->limits;
    double free_part = (double)room_bytes(queue) / (double)limits->memory_bytes;
    int64_t bytes = (int64_t)(free_part * free_part * (double)limits->message_max_bytes);

    bytes -= bytes % limits->message_min_bytes; /* whole pages of a file */
    if (bytes < limits->message_min_bytes)
        bytes = limits->message_min_bytes;
    if (bytes > limits->message_max_bytes)
        bytes = limits->message_max_bytes;
    return at_rate(at_rate(bytes, queue->total.rate), queue->rate_per_host);
}

static bool lacks_room(const struct fair_queue *queue)
{
    return room_bytes(queue) < queue->limits.message_min_bytes;
}

static bool has_place(const struct fair_queue *queue, const struct fair_waiter *waiter)
{
    return !waiter->serving || (queue->slots_used < queue->limits.slots && !lacks_room(queue));
}

/* The slots of messages that take long, while somebody could use them. */
static void take_slots_back(struct fair_queue *queue, int64_t now_ms)
{
    while (queue->serving_waiting_count > 0 && queue->slots_used == queue->limits.slots &&
           queue->holders.first->granted_ms + FAIR_SLOT_MS <= now_ms) {
        struct fair_waiter *holder = queue->holders.first;
        unlink_waiter(&queue->holders, holder);
        append(&queue->parked, holder);
        holder->holds_slot = false;
        queue->slots_used--;
    }
}

static void give(struct fair_queue *queue, struct fair_waiter *waiter, int64_t now_ms)
{
    int64_t most = fair_queue_message_bytes(queue);

    stop_waiting(queue, waiter);
    waiter->state = FAIR_GRANTED;
    waiter->served = true;
    waiter->granted_ms = now_ms;
    if (waiter->serving) {
        waiter->bytes = waiter->bytes < most ? waiter->bytes : most;
        waiter->holds_slot = true;
        queue->slots_used++;
        queue->memory_bytes += waiter->bytes;
        append(&queue->holders, waiter);
    }
    bucket_take(&queue->total, waiter->bytes, now_ms);
    bucket_take(&waiter->host->bucket, waiter->bytes, now_ms);
}

struct fair_waiter *fair_queue_grant(struct fair_queue *queue, int64_t now_ms)
{
    if (!bucket_is_open(&queue->total, now_ms))
        return NULL;
    take_slots_back(queue, now_ms);
    for (struct fair_host **link = &queue->round; *link; link = &(*link)->next_waiting) {
        struct fair_host *host = *link;
        struct fair_waiter *waiter = host->waiting.first;
        if (!bucket_is_open(&host->bucket, now_ms) || !has_place(queue, waiter))
            continue;
        give(queue, waiter, now_ms);
        round_unlink(queue, link);
        if (host->waiting_count > 0)
            round_append(queue, host);
        return waiter;
    }
    return NULL;
}

/* The message that has been under way for longest, of those that are not evicted. */
static struct fair_waiter *oldest(const struct fair_queue *queue)
{
    return queue->parked.first ? queue->parked.first : queue->holders.first;
}

/* Whether somebody waits for room that is not on its way already. */
static bool wants_room(const struct fair_queue *queue)
{
    return queue->serving_waiting_count > 0 &&
           room_bytes(queue) + queue->evicting_bytes < queue->limits.message_min_bytes;
}

struct fair_waiter *fair_queue_evict(struct fair_queue *queue, int64_t now_ms)
{
    struct fair_waiter *waiter = oldest(queue);

    if (!wants_room(queue) || !waiter || waiter->granted_ms + FAIR_EVICT_MS > now_ms)
        return NULL;
    unlink_waiter(waiter->holds_slot ? &queue->holders : &queue->parked, waiter);
    queue->slots_used -= waiter->holds_slot;
    waiter->holds_slot = false;
    waiter->evicted = true;
    queue->evicting_bytes += waiter->bytes;
    return waiter;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t fair_queue_next_ms(struct fair_queue *queue, int64_t now_ms)
{
    int64_t next_ms = FAIR_NEVER;

    if (queue->waiting_count == 0)
        return FAIR_NEVER;
    if (!bucket_is_open(&queue->total, now_ms))
        return bucket_open_ms(&queue->total, now_ms);
    for (struct fair_host *host = queue->round; host; host = host->next_waiting)
        if (!bucket_is_open(&host->bucket, now_ms))
            next_ms = earlier(next_ms, bucket_open_ms(&host->bucket, now_ms));
    if (queue->serving_waiting_count == 0)
        return next_ms;
    if (queue->slots_used == queue->limits.slots)
        next_ms = earlier(next_ms, queue->holders.first->granted_ms + FAIR_SLOT_MS);
    if (wants_room(queue) && oldest(queue))
        next_ms = earlier(next_ms, oldest(queue)->granted_ms + FAIR_EVICT_MS);
    return next_ms;
}

/* ---- looking ---- */

size_t fair_queue_place(const struct fair_queue *queue, const struct fair_waiter *waiter)
{
    size_t own = 0; /* of its own host, before it */
    size_t place = 1;
    bool passed = false;

    if (waiter->state != FAIR_WAITING)
        return 0;
    for (const struct fair_waiter *other = waiter->previous; other; other = other->previous)
        own++;
    for (const struct fair_host *host = queue->round; host; host = host->next_waiting) {
        size_t turns = passed ? own : own + 1; /* that the host has before our one */
        if (host == waiter->host) {
            passed = true;
            place += own;
        } else {
            place += host->waiting_count < turns ? host->waiting_count : turns;
        }
    }
    return place;
}

size_t fair_queue_waiting(const struct fair_queue *queue)
{
    return queue->waiting_count;
}

int64_t fair_queue_memory_bytes(const struct fair_queue *queue)
{
    return queue->memory_bytes;
}
