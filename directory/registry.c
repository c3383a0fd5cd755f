#include "common/hex.h"
#include "common/memory.h"
#include "directory/registry_private.h"
#include "directory/secrets.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

enum {
    TIMES_AT_ONCE = 1 << 16, /* looked at under one lock: half a MiB */
    SWEEP_AT_ONCE = 256,     /* likewise, expired ones */
    EXPECTED_MAX = 4 << 20,  /* the number comes from the database, which may say anything */
};

/* All loops take it, twice a request, for less than a microsecond: who finds it taken looks again
 * for a moment before he sleeps, which would cost two changes of threads. */
static void make_lock(pthread_mutex_t *lock)
{
    pthread_mutexattr_t attributes;

    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP);
    pthread_mutex_init(lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

struct registry *registry_new(int64_t expiry_ms)
{
    struct registry *registry = memory_new(1, sizeof *registry);

    make_lock(&registry->lock);
    registry->expiry_ms = expiry_ms;
    peer_table_init(&registry->table);
    return registry;
}

void registry_free(struct registry *registry)
{
    if (!registry)
        return;
    peer_table_done(&registry->table);
    login_order_done(&registry->order);
    free(registry->dirty);
    free(registry->dirty_blocks);
    pthread_mutex_destroy(&registry->lock);
    free(registry);
}

/* ---- tokens as text ---- */

static bool parse_token(const char *text, unsigned char token[PEER_TOKEN_BYTES])
{
    return strlen(text) == REGISTRY_TOKEN_BYTES - 1 && hex_parse(text, PEER_TOKEN_BYTES, token);
}

/* ---- who is there ---- */

static bool is_alive(const struct registry *registry, const struct peer *peer, int64_t now_ms)
{
    /* Differs: 30 seconds on the boot clock by default; the reference takes 60 of the wall clock.
     */
    return peer->sequence != 0 && now_ms - registry_seen_ms(registry, peer) < registry->expiry_ms;
}

static void leave_line(struct line *line, struct peer *peer)
{
    if (peer->previous)
        peer->previous->next = peer->next;
    else
        line->first = peer->next;
    if (peer->next)
        peer->next->previous = peer->previous;
    else
        line->last = peer->previous;
    peer->previous = peer->next = NULL;
    line->count--;
}

static void join_line(struct line *line, struct peer *peer, struct peer *after)
{
    peer->previous = after;
    peer->next = after ? after->next : line->first;
    if (peer->next)
        peer->next->previous = peer;
    else
        line->last = peer;
    if (after)
        after->next = peer;
    else
        line->first = peer;
    line->count++;
}

/* To the line's end, nearly: threads read the clock before they get the lock. */
static void join_away(struct registry *registry, struct peer *peer)
{
    struct peer *after = registry->away.last;

    while (after && after->away_ms > peer->away_ms)
        after = after->previous;
    join_line(&registry->away, peer, after);
    peer->is_kept = true;
}

static void leave_away(struct registry *registry, struct peer *peer)
{
    if (peer->is_kept)
        leave_line(&registry->away, peer);
    peer->is_kept = false;
}

static void activate(struct registry *registry, struct peer *peer)
{
    registry->active_count++;
    peer->sequence = ++registry->last_sequence;
    login_order_append(&registry->order, peer->sequence, peer);
}

static void deactivate(struct registry *registry, struct peer *peer, int64_t now_ms)
{
    registry->active_count--;
    login_order_remove(&registry->order, peer->sequence, peer);
    peer_table_set_token(&registry->table, peer, NULL);
    *peer_seen_ms(&registry->table, peer) = PEER_NOT_SEEN;
    peer->sequence = 0;
    peer->away_ms = now_ms + registry->run_offset_ms;
    join_away(registry, peer);
    registry_mark_seen(registry, peer);
}

/* ---- restoring ---- */

void registry_expect(struct registry *registry, size_t count)
{
    registry_lock(registry);
    peer_table_reserve(&registry->table, count < EXPECTED_MAX ? count : EXPECTED_MAX);
    registry_unlock(registry);
}

void registry_restore(struct registry *registry, const struct registry_record *record,
                      int64_t written_ms, int64_t now_ms)
{
    int64_t age_ms = record->sequence != 0 ? written_ms - record->seen_ms : 0;
    unsigned char token[PEER_TOKEN_BYTES];

    registry_lock(registry);
    struct peer *peer = peer_table_add(&registry->table, (uint32_t)record->id, record->name,
                                       record->host, record->urls);
    *peer_seen_ms(&registry->table, peer) =
        record->sequence != 0 ? now_ms - (age_ms > 0 ? age_ms : 0) : PEER_NOT_SEEN;
    peer->etag = record->etag;
    peer->has_etag = record->has_etag;
    peer->mark = record->mark;
    peer->away_ms = record->away_ms;
    peer->sequence = record->sequence;
    if (peer->sequence != 0) {
        if (parse_token(record->token, token))
            peer_table_set_token(&registry->table, peer, token);
        registry->active_count++;
        login_order_append(&registry->order, peer->sequence, peer);
        registry_mark_seen(registry, peer);
    }
    if (peer->sequence > registry->last_sequence)
        registry->last_sequence = peer->sequence;
    registry_unlock(registry);
}

static int compare_times(const void *left, const void *right)
{
    const struct login_place *a = left;
    const struct login_place *b = right;

    return a->sequence < b->sequence ? -1 : a->sequence > b->sequence;
}

static void line_up_away(struct registry *registry)
{
    size_t count = registry->table.count;
    auto_free struct login_place *places = memory_new(count, sizeof *places);
    size_t used = 0;

    for (size_t id = 1; id <= count; id++) {
        struct peer *peer = peer_table_get(&registry->table, (int64_t)id);
        if (!peer || peer->sequence != 0 || peer->away_ms == REGISTRY_NOTHING_KEPT)
            continue;
        /* Times below zero are of before the machine started. */
        places[used].sequence = (uint64_t)peer->away_ms + ((uint64_t)1 << 63);
        places[used++].peer = peer;
    }
    if (used > 0)
        qsort(places, used, sizeof *places, compare_times);
    for (size_t i = 0; i < used; i++) {
        join_line(&registry->away, places[i].peer, registry->away.last);
        places[i].peer->is_kept = true;
    }
}

void registry_restored(struct registry *registry, int64_t run_ms, int64_t now_ms)
{
    registry_lock(registry);
    registry->run_offset_ms = run_ms - now_ms;
    login_order_sort(&registry->order);
    line_up_away(registry);
    registry_unlock(registry);
}

/* ---- logging in and out ---- */

static bool has_list(const struct peer *peer, const struct index_sum *etag, const char *host)
{
    return etag && peer->lists_coming == 0 && peer->has_etag &&
           index_sum_equal(&peer->etag, etag) &&
           (!*peer_host(peer) || strcmp(peer_host(peer), host) == 0);
}

/* Differs: the reference gives everybody the same token. */
static void renew_token(struct registry *registry, struct peer *peer)
{
    char text[REGISTRY_TOKEN_BYTES];
    unsigned char token[PEER_TOKEN_BYTES];

    secrets_make_token(text, sizeof text);
    if (parse_token(text, token))
        peer_table_set_token(&registry->table, peer, token);
}

static struct peer *find_or_add(struct registry *registry, const char *name)
{
    struct peer *peer = peer_table_find(&registry->table, name);

    return peer ? peer
                : peer_table_add(&registry->table, (uint32_t)registry->table.count + 1, name, "",
                                 "[]");
}

static void parse_host(const char *host, unsigned char out[16])
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};

    memset(out, 0, 16);
    if (inet_pton(AF_INET, host, out + 12) == 1)
        memcpy(out, mapped, sizeof mapped);
    else if (inet_pton(AF_INET6, host, out) != 1)
        memset(out, 0, 16);
}

static void format_host(const unsigned char from[16], char out[REGISTRY_HOST_BYTES])
{
    struct in6_addr address;

    memcpy(&address, from, sizeof address);
    if (IN6_IS_ADDR_V4MAPPED(&address))
        inet_ntop(AF_INET, from + 12, out, REGISTRY_HOST_BYTES);
    else
        inet_ntop(AF_INET6, from, out, REGISTRY_HOST_BYTES);
}

/* Notes where the login comes from. */
static void compare_hosts(struct peer *peer, const char *host, bool was_alive, int64_t now_ms,
                          struct registry_login *login)
{
    static const unsigned char unknown[16];
    unsigned char from[16];

    parse_host(host, from);
    login->other_host[0] = '\0';
    login->is_news = false;
    if (was_alive && memcmp(peer->from, unknown, sizeof unknown) != 0 &&
        memcmp(peer->from, from, sizeof from) != 0) {
        uint32_t now_s = (uint32_t)(now_ms / 1000) + 1; /* never 0 */
        format_host(peer->from, login->other_host);
        login->is_news = peer->warned_s == 0 || now_s - peer->warned_s >= REGISTRY_WARN_MS / 1000;
        if (login->is_news)
            peer->warned_s = now_s;
    }
    memcpy(peer->from, from, sizeof from);
}

void registry_log_in(struct registry *registry, const char *name,
                     const struct registry_claim *claim, int64_t now_ms,
                     struct registry_login *login)
{
    registry_lock(registry);
    struct peer *peer = claim->id ? peer_table_get(&registry->table, claim->id) : NULL;
    if (!peer)
        peer = find_or_add(registry, name);
    bool was_alive = is_alive(registry, peer, now_ms);
    bool same_user = !peer->mark || peer->mark == claim->mark;
    login->became_active = !was_alive;
    login->had_expired = !was_alive && peer->sequence != 0;
    login->must_store_record = !was_alive || peer->mark != claim->mark;
    if (login->had_expired)
        deactivate(registry, peer, now_ms);
    leave_away(registry, peer);
    if (!was_alive)
        activate(registry, peer);
    if (!was_alive || !same_user || !peer->has_token)
        renew_token(registry, peer);
    peer->mark = claim->mark;
    peer->mark_generation = claim->mark_generation;
    compare_hosts(peer, claim->host, was_alive, now_ms, login);
    *peer_seen_ms(&registry->table, peer) = now_ms;
    registry_mark_seen(registry, peer);
    login->id = peer->id;
    registry_format_token(peer, login->token);
    login->is_stored = has_list(peer, claim->etag, claim->host);
    login->must_store =
        !login->is_stored && (claim->brings_list || has_list(peer, claim->base, claim->host));
    peer->lists_coming += login->must_store;
    registry_unlock(registry);
}

static struct peer *find_by_token(struct registry *registry, const char *token, int64_t now_ms)
{
    unsigned char bytes[PEER_TOKEN_BYTES];
    struct peer *peer =
        parse_token(token, bytes) ? peer_table_find_token(&registry->table, bytes) : NULL;

    return peer && is_alive(registry, peer, now_ms) ? peer : NULL;
}

bool registry_find_token(struct registry *registry, const char *token, int64_t now_ms,
                         struct registry_owner *owner)
{
    registry_lock(registry);
    const struct peer *peer = find_by_token(registry, token, now_ms);
    size_t length = peer ? strlen(peer_name(peer)) : 0;
    bool found = peer && length < sizeof owner->name;
    if (found) {
        owner->id = peer->id;
        owner->mark = peer->mark;
        owner->mark_generation = peer->mark_generation;
        memcpy(owner->name, peer_name(peer), length + 1);
    }
    registry_unlock(registry);
    return found;
}

bool registry_log_out(struct registry *registry, int64_t id, const char *token, int64_t now_ms)
{
    registry_lock(registry);
    struct peer *peer = find_by_token(registry, token, now_ms);
    bool found = peer && peer->id == id;
    if (found)
        deactivate(registry, peer, now_ms);
    registry_unlock(registry);
    return found;
}

/* ---- looking ---- */

static void tell(const struct peer *peer, bool active, registry_visitor *visitor, void *context)
{
    struct registry_peer view = {
        .id = peer->id,
        .name = peer_name(peer),
        .urls = peer_urls(peer),
        .sequence = peer->sequence,
        .active = active,
    };
    visitor(context, &view);
}

bool registry_visit(struct registry *registry, int64_t id, int64_t now_ms,
                    registry_visitor *visitor, void *context)
{
    registry_lock(registry);
    struct peer *peer = peer_table_get(&registry->table, id);
    if (peer)
        tell(peer, is_alive(registry, peer, now_ms), visitor, context);
    registry_unlock(registry);
    return peer != NULL;
}

void registry_list(struct registry *registry, uint64_t after, size_t max, int64_t now_ms,
                   registry_visitor *visitor, void *context)
{
    const struct login_order *order = &registry->order;

    registry_lock(registry);
    for (size_t i = login_order_after(order, after); i < order->count && max > 0; i++) {
        const struct peer *peer = order->places[i].peer;
        if (!peer || !is_alive(registry, peer, now_ms))
            continue;
        tell(peer, true, visitor, context);
        max--;
    }
    registry_unlock(registry);
}

/* ---- all times ---- */

/* The next part of the table, from *next on; *next is its end then. False: there is none. */
static bool next_part(const struct registry *registry, size_t *from, size_t *next)
{
    size_t left = registry->table.count - *next;

    *from = *next;
    *next += left < TIMES_AT_ONCE ? left : TIMES_AT_ONCE;
    return *next > *from;
}

static bool count_some(struct registry *registry, size_t *next, int64_t now_ms, size_t *count)
{
    const int64_t over_ms = now_ms - registry->expiry_ms;
    size_t from;

    registry_lock(registry);
    bool more = next_part(registry, &from, next);
    for (size_t i = from; i < *next; i++)
        *count += *peer_table_seen_ms(&registry->table, i + 1) > over_ms;
    registry_unlock(registry);
    return more;
}

bool registry_has_active(struct registry *registry)
{
    registry_lock(registry);
    bool has = registry->active_count > 0;
    registry_unlock(registry);
    return has;
}

size_t registry_active_count(struct registry *registry, int64_t now_ms)
{
    size_t next = 0;
    size_t count = 0;

    while (count_some(registry, &next, now_ms, &count))
        continue;
    return count;
}

static bool sweep_some(struct registry *registry, size_t *next, int64_t now_ms,
                       registry_visitor *visitor, void *context)
{
    const int64_t over_ms = now_ms - registry->expiry_ms;
    size_t count = 0;
    size_t i;

    registry_lock(registry);
    bool more = next_part(registry, &i, next);
    for (; i < *next && count < SWEEP_AT_ONCE; i++) {
        int64_t seen_ms = *peer_table_seen_ms(&registry->table, i + 1);
        if (seen_ms > over_ms || seen_ms == PEER_NOT_SEEN)
            continue;
        struct peer *peer = peer_table_get(&registry->table, (int64_t)i + 1);
        deactivate(registry, peer, now_ms);
        registry_mark_dirty(registry, peer);
        tell(peer, false, visitor, context);
        count++;
    }
    *next = i;
    registry_unlock(registry);
    return more;
}

void registry_sweep(struct registry *registry, int64_t now_ms, registry_visitor *visitor,
                    void *context)
{
    size_t next = 0;

    while (sweep_some(registry, &next, now_ms, visitor, context))
        continue;
}

/* ---- lists ---- */

void registry_set_index(struct registry *registry, int64_t id, const struct registry_list *list)
{
    registry_lock(registry);
    struct peer *peer = peer_table_get(&registry->table, id);
    if (peer) {
        peer->lists_coming--;
        peer->etag = *list->etag;
        peer->has_etag = true;
        peer_set_texts(peer, list->host, list->urls);
    }
    registry_unlock(registry);
}

void registry_keep_index(struct registry *registry, int64_t id)
{
    registry_lock(registry);
    struct peer *peer = peer_table_get(&registry->table, id);
    if (peer)
        peer->lists_coming--;
    registry_unlock(registry);
}

/* ---- retention ---- */

int64_t registry_take_overdue(struct registry *registry, int64_t now_ms, int64_t limit_ms)
{
    registry_lock(registry);
    struct peer *peer = registry->away.first;
    if (peer && now_ms + registry->run_offset_ms - peer->away_ms < limit_ms)
        peer = NULL;
    if (peer) {
        leave_away(registry, peer);
        peer->has_etag = false;
    }
    registry_unlock(registry);
    return peer ? peer->id : 0;
}

void registry_keep_overdue(struct registry *registry, int64_t id)
{
    registry_lock(registry);
    struct peer *peer = peer_table_get(&registry->table, id);
    if (peer && peer->sequence == 0 && !peer->is_kept)
        join_away(registry, peer);
    registry_unlock(registry);
}

void registry_note_dropped(struct registry *registry, int64_t id)
{
    registry_lock(registry);
    struct peer *peer = peer_table_get(&registry->table, id);
    if (peer && peer->sequence == 0 && !peer->is_kept) {
        peer->away_ms = REGISTRY_NOTHING_KEPT;
        registry_mark_dirty(registry, peer);
    }
    registry_unlock(registry);
}

bool registry_has_list(struct registry *registry, int64_t id)
{
    registry_lock(registry);
    const struct peer *peer = peer_table_get(&registry->table, id);
    bool has_list = peer && peer->has_etag;
    registry_unlock(registry);
    return has_list;
}
