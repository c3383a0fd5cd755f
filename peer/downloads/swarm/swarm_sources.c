/* The sources of a swarm: which are known, which are at work, which have failed. */
#include "common/clock.h"
#include "common/memory.h"
#include "common/text.h"
#include "peer/downloads/failures.h"
#include "peer/downloads/swarm/session.h"
#include "peer/downloads/swarm/swarm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* A source that had another file, or none, and is told to have ours is believed again. */
#define BELIEVE_AGAIN_MS 30000

/* A partial source that had nothing for us is asked again after so long, when others wait. */
#define GAVE_WAY_MS 10000
#define IDLE_MAX_MS 3000

void swarm_describe_source(const char *peer, const struct address *address,
                           char who[DOWNLOAD_SOURCE_BYTES])
{
    char text[ADDRESS_TEXT_BYTES];
    char name[DOWNLOAD_SOURCE_BYTES - ADDRESS_TEXT_BYTES - sizeof " ()"];

    address_format(address, text);
    if (peer[0])
        snprintf(who, DOWNLOAD_SOURCE_BYTES, "%s (%s)", text_clean(peer, name, sizeof name), text);
    else
        snprintf(who, DOWNLOAD_SOURCE_BYTES, "%s", text);
}

/* ---- who is known ---- */

static struct swarm_source *find_locked(struct swarm *swarm, const struct address *address)
{
    for (size_t i = 0; i < swarm->source_count; i++) {
        struct swarm_source *source = swarm->sources[i];
        if (source->address.port == address->port &&
            strcmp(source->address.host, address->host) == 0)
            return source;
    }
    return NULL;
}

/* Who has a part may have got more of it from a new source. */
static void look_now_locked(struct swarm *swarm)
{
    for (size_t i = 0; i < swarm->source_count; i++)
        swarm->sources[i]->look_now = swarm->sources[i]->partial;
    pthread_cond_broadcast(&swarm->changed);
}

static void add_locked(struct swarm *swarm, const struct directory_source *item,
                       const struct address *address)
{
    struct swarm_source *source;

    if (swarm->source_count == SWARM_SOURCES_MAX)
        return;
    look_now_locked(swarm);
    source = memory_new(1, sizeof *source);
    source->swarm = swarm;
    source->address = *address;
    source->peer = item->peer[0] && !item->guessed ? memory_copy_string(item->peer) : NULL;
    source->seen = swarm->answers;
    source->partial = item->partial;
    swarm_describe_source(item->peer, address, source->who);
    swarm->sources[swarm->source_count++] = source;
}

/* It is in an answer of the directory (again). */
static void see_again_locked(struct swarm_source *source, bool promised, int64_t now_ms)
{
    bool was_away = source->seen + 1 < source->swarm->answers;

    source->seen = source->swarm->answers;
    if (source->state == DOWNLOAD_SOURCE_LATER && was_away)
        source->state = DOWNLOAD_SOURCE_READY;
    if (source->state == DOWNLOAD_SOURCE_DROPPED && promised && !source->liar &&
        now_ms - source->retry_ms >= BELIEVE_AGAIN_MS)
        source->state = DOWNLOAD_SOURCE_READY;
}

void swarm_add_sources(struct swarm *swarm, const struct directory_sources *sources,
                       const char *peer)
{
    int64_t now_ms = clock_boot_ms();

    pthread_mutex_lock(&swarm->lock);
    swarm->answers++;
    for (size_t i = 0; i < sources->count; i++) {
        const struct directory_source *item = &sources->items[i];
        bool promised = item->has_content && content_id_equal(&item->content, &swarm->manifest.id);
        if (!promised && (item->has_content || (peer[0] && strcmp(peer, item->peer) != 0)))
            continue;
        for (size_t j = 0; j < item->address_count && (item->guessed || j < SWARM_ADDRESSES_MAX);
             j++) {
            struct swarm_source *known = find_locked(swarm, &item->addresses[j]);
            if (known)
                see_again_locked(known, promised, now_ms);
            else
                add_locked(swarm, item, &item->addresses[j]);
        }
    }
    pthread_mutex_unlock(&swarm->lock);
}

/* ---- who is at work ---- */

static bool is_same_peer(const struct swarm_source *left, const struct swarm_source *right)
{
    return left->peer && right->peer && strcmp(left->peer, right->peer) == 0;
}

/* The next session of another address of the same peer; *position goes through the list. */
static struct swarm_source *next_sibling_locked(const struct swarm_source *source, size_t *position)
{
    const struct swarm *swarm = source->swarm;

    while (*position < swarm->source_count) {
        struct swarm_source *other = swarm->sources[(*position)++];
        if (other != source && other->state == DOWNLOAD_SOURCE_ACTIVE &&
            is_same_peer(other, source))
            return other;
    }
    return NULL;
}

/* A session that waits for something to do has not asked for a word. */
static bool is_silent(const struct swarm_source *source, int64_t now_ms)
{
    return !source->heard && !source->idle && now_ms - source->began_ms >= SWARM_SILENT_MS;
}

static bool peer_is_at_work_locked(const struct swarm_source *source, int64_t now_ms)
{
    size_t position = 0;

    for (const struct swarm_source *other = next_sibling_locked(source, &position); other;
         other = next_sibling_locked(source, &position))
        if (!is_silent(other, now_ms))
            return true;
    return false;
}

void swarm_heard_locked(struct swarm_source *source)
{
    size_t position = 0;

    if (source->heard)
        return;
    source->heard = true;
    for (struct swarm_source *other = next_sibling_locked(source, &position); other;
         other = next_sibling_locked(source, &position))
        interrupt_raise(other->heard ? source->interrupt : other->interrupt);
}

static void *session_main(void *context)
{
    struct swarm_source *source = context;
    struct swarm *swarm = source->swarm;
    struct error error = {0};

    enum error_code code = session_run(source, &error);
    pthread_mutex_lock(&swarm->lock);
    source->outcome = error;
    source->outcome.code = code;
    source->finished = true;
    pthread_cond_broadcast(&swarm->changed);
    pthread_mutex_unlock(&swarm->lock);
    return NULL;
}

static unsigned free_number_locked(const struct swarm *swarm)
{
    uint32_t used = 0;
    unsigned number = 0;

    for (size_t i = 0; i < swarm->source_count; i++)
        if (swarm->sources[i]->state == DOWNLOAD_SOURCE_ACTIVE)
            used |= UINT32_C(1) << swarm->sources[i]->number;
    while (used >> number & 1)
        number++;
    return number;
}

/* Full jitter: many peers that lost the same source do not come back to it together. */
static int64_t retry_delay_ms(unsigned failures)
{
    int64_t limit = SWARM_RETRY_MS;
    uint32_t random = 0;

    for (unsigned i = 1; i < failures && limit < SWARM_RETRY_MAX_MS; i++)
        limit *= 2;
    if (limit > SWARM_RETRY_MAX_MS)
        limit = SWARM_RETRY_MAX_MS;
    (void)!getrandom(&random, sizeof random, 0);
    return 1 + (int64_t)(random % (uint32_t)limit);
}

static void fail_locked(struct swarm_source *source, const struct error *error, int64_t now_ms)
{
    source->error = *error;
    source->failures++;
    switch (error->code) {
    case ERROR_UNREACHABLE:
    case ERROR_TIMEOUT:
    case ERROR_BUSY:
    case ERROR_IO:
    case ERROR_CANCELLED:
    case ERROR_NO_SPACE:
        source->state = DOWNLOAD_SOURCE_LATER;
        source->retry_ms = now_ms + retry_delay_ms(source->failures);
        break;
    default:
        source->state = DOWNLOAD_SOURCE_DROPPED;
        source->retry_ms = now_ms;
    }
}

/* Of a partial source nothing is known before its session has asked. */
static void add_to_plan_locked(struct swarm_source *source, int64_t now_ms)
{
    struct swarm *swarm = source->swarm;
    auto_free uint8_t *nothing =
        source->partial ? memory_new(swarm->manifest.piece_count / 8 + 1, 1) : NULL;

    pieces_add_source(swarm->pieces, source->number, nothing, now_ms);
}

static void start_locked(struct swarm_source *source, int64_t now_ms)
{
    struct swarm *swarm = source->swarm;
    struct error error;

    source->number = free_number_locked(swarm);
    source->interrupt = interrupt_new();
    source->unhashed = source->finished = source->promised = false;
    source->idle = source->gave_way = source->heard = source->look_now = false;
    source->began_ms = now_ms;
    source->name = swarm->name;
    source->look_ms = 0;
    source->had = 0;
    source->news_ms = now_ms;
    source->refusals = 0;
    source->wrong = (struct error){0};
    source->bytes_per_second = 0;
    rate_init(&source->rate, now_ms, source->received);
    if (pthread_create(&source->thread, NULL, session_main, source) != 0) {
        interrupt_free(take_pointer(&source->interrupt));
        error_set(&error, ERROR_BUSY, "no hay hilos para más fuentes");
        fail_locked(source, &error, now_ms);
        return;
    }
    pthread_setname_np(source->thread, "session");
    source->state = DOWNLOAD_SOURCE_ACTIVE;
    add_to_plan_locked(source, now_ms);
    swarm->active++;
}

/* With its other addresses. */
static void rest_locked(struct swarm_source *source, int64_t until_ms)
{
    const struct swarm *swarm = source->swarm;

    for (size_t i = 0; i < swarm->source_count; i++) {
        struct swarm_source *other = swarm->sources[i];
        if ((other != source && !is_same_peer(other, source)) ||
            other->state != DOWNLOAD_SOURCE_READY)
            continue;
        other->state = DOWNLOAD_SOURCE_LATER;
        other->retry_ms = until_ms;
    }
}

/* Its thread has been joined. */
static void end_locked(struct swarm_source *source, int64_t now_ms)
{
    struct swarm *swarm = source->swarm;

    pieces_remove_source(swarm->pieces, source->number);
    swarm->active--;
    source->bytes_per_second = source->place = 0;
    source->state = DOWNLOAD_SOURCE_READY;
    if (source->wrong.code != ERROR_NONE)
        fail_locked(source, &source->wrong, now_ms);
    else if (source->outcome.code != ERROR_NONE && !interrupt_raised(source->interrupt))
        fail_locked(source, &source->outcome, now_ms);
    if (source->gave_way)
        rest_locked(source, now_ms + GAVE_WAY_MS);
    interrupt_free(take_pointer(&source->interrupt));
}

/* Joins those that ended; all of them with wait. */
static void reap(struct swarm *swarm, bool wait)
{
    pthread_mutex_lock(&swarm->lock);
    for (size_t i = 0; i < swarm->source_count; i++) {
        struct swarm_source *source = swarm->sources[i];
        if (source->state != DOWNLOAD_SOURCE_ACTIVE || (!source->finished && !wait))
            continue;
        pthread_mutex_unlock(&swarm->lock);
        pthread_join(source->thread, NULL);
        pthread_mutex_lock(&swarm->lock);
        end_locked(source, clock_boot_ms());
    }
    pthread_mutex_unlock(&swarm->lock);
}

static bool is_due(const struct swarm_source *source, bool partial, int64_t now_ms)
{
    bool due = source->state == DOWNLOAD_SOURCE_READY ||
               (source->state == DOWNLOAD_SOURCE_LATER && now_ms >= source->retry_ms);

    return due && source->partial == partial && !peer_is_at_work_locked(source, now_ms);
}

static void start_due_locked(struct swarm *swarm, bool partial, int64_t now_ms)
{
    for (size_t i = 0; i < swarm->source_count && swarm->active < SWARM_SESSIONS_MAX; i++)
        if (is_due(swarm->sources[i], partial, now_ms))
            start_locked(swarm->sources[i], now_ms);
}

static bool any_due_locked(const struct swarm *swarm, int64_t now_ms)
{
    for (size_t i = 0; i < swarm->source_count; i++)
        if (is_due(swarm->sources[i], false, now_ms) || is_due(swarm->sources[i], true, now_ms))
            return true;
    return false;
}

/* A partial source that has nothing for us must not keep the session of one that may have. */
static void make_room_locked(struct swarm *swarm, int64_t now_ms)
{
    struct swarm_source *idle = NULL;

    if (swarm->active < SWARM_SESSIONS_MAX || !any_due_locked(swarm, now_ms))
        return;
    for (size_t i = 0; i < swarm->source_count; i++) {
        struct swarm_source *source = swarm->sources[i];
        if (source->state != DOWNLOAD_SOURCE_ACTIVE || !source->partial || !source->idle ||
            now_ms - source->idle_ms < IDLE_MAX_MS)
            continue;
        if (source->gave_way)
            return; /* one at a time */
        idle = source;
    }
    if (!idle)
        return;
    idle->gave_way = true;
    interrupt_raise(idle->interrupt);
    pthread_cond_broadcast(&swarm->changed);
}

bool swarm_tend(struct swarm *swarm, int64_t now_ms)
{
    bool idle = false;

    reap(swarm, false);
    pthread_mutex_lock(&swarm->lock);
    swarm->ending = false;
    if (!pieces_complete(swarm->pieces)) {
        start_due_locked(swarm, false, now_ms); /* those that have all go first */
        start_due_locked(swarm, true, now_ms);
        make_room_locked(swarm, now_ms);
    }
    idle = swarm->active == 0;
    for (size_t i = 0; i < swarm->source_count && idle; i++)
        idle = swarm->sources[i]->error.code != ERROR_NONE;
    pthread_mutex_unlock(&swarm->lock);
    return idle;
}

void swarm_rest(struct swarm *swarm)
{
    pthread_mutex_lock(&swarm->lock);
    swarm->ending = true;
    for (size_t i = 0; i < swarm->source_count; i++)
        if (swarm->sources[i]->state == DOWNLOAD_SOURCE_ACTIVE)
            interrupt_raise(swarm->sources[i]->interrupt);
    pthread_cond_broadcast(&swarm->changed);
    pthread_mutex_unlock(&swarm->lock);
    reap(swarm, true);
}

/* ---- what is told of them ---- */

void swarm_failures(struct swarm *swarm, struct failures *failures)
{
    pthread_mutex_lock(&swarm->lock);
    for (size_t i = 0; i < swarm->source_count; i++)
        if (swarm->sources[i]->error.code != ERROR_NONE)
            failures_add(failures, swarm->sources[i]->who, &swarm->sources[i]->error);
    pthread_mutex_unlock(&swarm->lock);
}

size_t swarm_describe(struct swarm *swarm, struct download_source *rows, size_t capacity)
{
    int64_t now_ms = clock_boot_ms();
    size_t count = 0;

    pthread_mutex_lock(&swarm->lock);
    for (; count < swarm->source_count && count < capacity; count++) {
        const struct swarm_source *source = swarm->sources[count];
        rows[count] = (struct download_source){.address = source->address,
                                               .state = source->state,
                                               .bytes = source->bytes,
                                               .bytes_per_second = source->bytes_per_second,
                                               .place = source->place,
                                               .liar = source->liar,
                                               .error = source->error};
        snprintf(rows[count].who, sizeof rows[count].who, "%s", source->who);
        if (source->state == DOWNLOAD_SOURCE_LATER && source->retry_ms > now_ms)
            rows[count].retry_in_ms = source->retry_ms - now_ms;
    }
    pthread_mutex_unlock(&swarm->lock);
    return count;
}
