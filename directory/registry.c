#include "directory/registry.h"

#include "common/memory.h"
#include "directory/secrets.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct peer {
    struct registry_record record;
    bool changed;          /* since collected */
    unsigned lists_coming; /* must be stored and are not yet */
    struct peer *next;     /* of the same name hash */
};

/* All guarded by lock; peers are never freed before the registry. */
struct registry {
    pthread_mutex_t lock;
    int64_t expiry_ms;
    uint64_t last_sequence;
    struct secrets_slot_key hash_key;
    struct peer **peers; /* by id - 1; NULL: that id is not in use */
    size_t peer_count, peer_capacity;
    struct peer **buckets; /* by name; a power of two */
    size_t bucket_count;
    struct peer **active; /* by rising sequence; expired ones stay until swept */
    size_t active_count, active_capacity;
};

static void lock(struct registry *registry)
{
    pthread_mutex_lock(&registry->lock);
}

static void unlock(struct registry *registry)
{
    pthread_mutex_unlock(&registry->lock);
}

void registry_record_done(struct registry_record *record)
{
    free(record->name);
    free(record->urls);
    free(record->host);
    *record = (struct registry_record){0};
}

static void copy_record(struct registry_record *copy, const struct registry_record *record)
{
    *copy = *record;
    copy->name = memory_copy_string(record->name);
    copy->urls = memory_copy_string(record->urls);
    copy->host = memory_copy_string(record->host);
}

struct registry *registry_new(int64_t expiry_ms)
{
    struct registry *registry = memory_new(1, sizeof *registry);

    pthread_mutex_init(&registry->lock, NULL);
    registry->expiry_ms = expiry_ms;
    registry->bucket_count = 64;
    registry->buckets = memory_new(registry->bucket_count, sizeof(struct peer *));
    secrets_make_slot_key(&registry->hash_key);
    return registry;
}

void registry_free(struct registry *registry)
{
    if (!registry)
        return;
    for (size_t i = 0; i < registry->peer_count; i++) {
        if (registry->peers[i]) {
            registry_record_done(&registry->peers[i]->record);
            free(registry->peers[i]);
        }
    }
    free(registry->peers);
    free(registry->buckets);
    free(registry->active);
    pthread_mutex_destroy(&registry->lock);
    free(registry);
}

static struct peer **bucket_of(struct registry *registry, const char *name)
{
    uint64_t hash = secrets_slot(&registry->hash_key, name, strlen(name));

    return &registry->buckets[(size_t)hash & (registry->bucket_count - 1)];
}

static void grow_buckets(struct registry *registry)
{
    free(registry->buckets);
    registry->bucket_count *= 4;
    registry->buckets = memory_new(registry->bucket_count, sizeof(struct peer *));
    for (size_t i = 0; i < registry->peer_count; i++) {
        struct peer *peer = registry->peers[i];
        if (!peer)
            continue;
        struct peer **bucket = bucket_of(registry, peer->record.name);
        peer->next = *bucket;
        *bucket = peer;
    }
}

static struct peer *find_by_name(struct registry *registry, const char *name)
{
    struct peer *peer = *bucket_of(registry, name);

    while (peer && strcmp(peer->record.name, name) != 0)
        peer = peer->next;
    return peer;
}

static struct peer *find_by_id(struct registry *registry, int64_t id)
{
    return id >= 1 && (uint64_t)id <= registry->peer_count ? registry->peers[id - 1] : NULL;
}

/* Makes room for one more pointer. */
static void reserve(struct peer ***array, size_t needed, size_t *capacity)
{
    if (needed <= *capacity)
        return;
    while (*capacity < needed)
        *capacity = *capacity ? *capacity * 2 : 64;
    *array = memory_resize(*array, *capacity, sizeof **array);
}

static struct peer *add_peer(struct registry *registry, const struct registry_record *record)
{
    struct peer *peer = memory_new(1, sizeof *peer);
    size_t id = (size_t)record->id;

    peer->record = *record;
    if (id > registry->peer_count) {
        reserve(&registry->peers, id, &registry->peer_capacity);
        while (registry->peer_count < id)
            registry->peers[registry->peer_count++] = NULL;
    }
    registry->peers[id - 1] = peer;
    if (registry->peer_count > registry->bucket_count) {
        grow_buckets(registry);
    } else {
        struct peer **bucket = bucket_of(registry, record->name);
        peer->next = *bucket;
        *bucket = peer;
    }
    return peer;
}

/* Puts the peer among the active ones, at its sequence's place (nearly always the end). */
static void add_active(struct registry *registry, struct peer *peer)
{
    size_t place = registry->active_count;

    reserve(&registry->active, registry->active_count + 1, &registry->active_capacity);
    while (place > 0 && registry->active[place - 1]->record.sequence > peer->record.sequence) {
        registry->active[place] = registry->active[place - 1];
        place--;
    }
    registry->active[place] = peer;
    registry->active_count++;
}

static void remove_active(struct registry *registry, const struct peer *peer)
{
    size_t place = 0;

    while (registry->active[place] != peer)
        place++;
    memmove(registry->active + place, registry->active + place + 1,
            (registry->active_count - place - 1) * sizeof(struct peer *));
    registry->active_count--;
}

static bool is_alive(const struct registry *registry, const struct peer *peer, int64_t now_ms)
{
    /* Differs: 30 seconds on the boot clock by default; the reference takes 60 of the wall clock.
     */
    return peer->record.sequence != 0 && now_ms - peer->record.seen_ms < registry->expiry_ms;
}

void registry_restore(struct registry *registry, struct registry_record *record, int64_t written_ms,
                      int64_t now_ms)
{
    int64_t age_ms = written_ms - record->seen_ms;

    lock(registry);
    struct peer *peer = add_peer(registry, record);
    *record = (struct registry_record){0};
    peer->record.seen_ms = now_ms - (age_ms > 0 ? age_ms : 0);
    peer->changed = peer->record.sequence != 0;
    if (peer->record.sequence > registry->last_sequence)
        registry->last_sequence = peer->record.sequence;
    if (peer->record.sequence != 0)
        add_active(registry, peer);
    unlock(registry);
}

static void activate(struct registry *registry, struct peer *peer)
{
    /* Differs: the reference gives everybody the same token. */
    secrets_make_token(peer->record.token, sizeof peer->record.token);
    peer->record.sequence = ++registry->last_sequence;
    add_active(registry, peer);
}

static bool is_stored(const struct peer *peer, const struct registry_claim *claim)
{
    const struct registry_record *record = &peer->record;

    return claim->etag && peer->lists_coming == 0 && record->has_etag &&
           index_sum_equal(&record->etag, claim->etag) &&
           (!*record->host || strcmp(record->host, claim->host) == 0);
}

void registry_log_in(struct registry *registry, const char *name,
                     const struct registry_claim *claim, int64_t now_ms,
                     struct registry_login *login)
{
    lock(registry);
    struct peer *peer = find_by_name(registry, name);
    if (!peer) {
        struct registry_record record = {.id = (int64_t)registry->peer_count + 1,
                                         .name = memory_copy_string(name),
                                         .urls = memory_copy_string("[]"),
                                         .host = memory_copy_string("")};
        peer = add_peer(registry, &record);
    }
    login->became_active = !is_alive(registry, peer, now_ms);
    login->had_expired = login->became_active && peer->record.sequence != 0;
    if (login->had_expired)
        remove_active(registry, peer);
    if (login->became_active)
        activate(registry, peer);
    peer->record.seen_ms = now_ms;
    peer->changed = true;
    login->id = peer->record.id;
    memcpy(login->token, peer->record.token, sizeof login->token);
    login->is_stored = is_stored(peer, claim);
    login->must_store = claim->brings_list && !login->is_stored;
    peer->lists_coming += login->must_store;
    unlock(registry);
}

static void tell(const struct peer *peer, bool active, registry_visitor *visitor, void *context)
{
    struct registry_peer view = {
        .id = peer->record.id,
        .name = peer->record.name,
        .urls = peer->record.urls,
        .sequence = peer->record.sequence,
        .active = active,
    };
    visitor(context, &view);
}

bool registry_visit(struct registry *registry, int64_t id, int64_t now_ms,
                    registry_visitor *visitor, void *context)
{
    lock(registry);
    struct peer *peer = find_by_id(registry, id);
    if (peer)
        tell(peer, is_alive(registry, peer, now_ms), visitor, context);
    unlock(registry);
    return peer != NULL;
}

/* The place of the first active peer after the sequence. */
static size_t first_after(const struct registry *registry, uint64_t after)
{
    size_t low = 0;
    size_t high = registry->active_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (registry->active[middle]->record.sequence <= after)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void registry_list(struct registry *registry, uint64_t after, size_t max, int64_t now_ms,
                   registry_visitor *visitor, void *context)
{
    lock(registry);
    for (size_t i = first_after(registry, after); i < registry->active_count && max > 0; i++) {
        const struct peer *peer = registry->active[i];
        if (!is_alive(registry, peer, now_ms))
            continue;
        tell(peer, true, visitor, context);
        max--;
    }
    unlock(registry);
}

size_t registry_active_count(struct registry *registry, int64_t now_ms)
{
    size_t count = 0;

    lock(registry);
    for (size_t i = 0; i < registry->active_count; i++)
        count += is_alive(registry, registry->active[i], now_ms);
    unlock(registry);
    return count;
}

void registry_sweep(struct registry *registry, int64_t now_ms, registry_visitor *visitor,
                    void *context)
{
    size_t kept = 0;

    lock(registry);
    for (size_t i = 0; i < registry->active_count; i++) {
        struct peer *peer = registry->active[i];
        if (is_alive(registry, peer, now_ms)) {
            registry->active[kept++] = peer;
            continue;
        }
        peer->record.sequence = 0;
        peer->changed = true;
        tell(peer, false, visitor, context);
    }
    registry->active_count = kept;
    unlock(registry);
}

static void set_text(char **text, const char *value)
{
    if (strcmp(*text, value) == 0)
        return;
    free(*text);
    *text = memory_copy_string(value);
}

void registry_set_index(struct registry *registry, int64_t id, const struct registry_list *list)
{
    lock(registry);
    struct peer *peer = find_by_id(registry, id);
    if (peer) {
        peer->lists_coming--;
        peer->record.etag = *list->etag;
        peer->record.has_etag = true;
        set_text(&peer->record.urls, list->urls);
        set_text(&peer->record.host, list->host);
    }
    unlock(registry);
}

void registry_keep_index(struct registry *registry, int64_t id)
{
    lock(registry);
    struct peer *peer = find_by_id(registry, id);
    if (peer)
        peer->lists_coming--;
    unlock(registry);
}

bool registry_get(struct registry *registry, int64_t id, struct registry_record *record)
{
    lock(registry);
    struct peer *peer = find_by_id(registry, id);
    if (peer)
        copy_record(record, &peer->record);
    unlock(registry);
    return peer != NULL;
}

size_t registry_collect(struct registry *registry, struct registry_record **records)
{
    size_t count = 0;

    lock(registry);
    for (size_t i = 0; i < registry->peer_count; i++)
        count += registry->peers[i] && registry->peers[i]->changed;
    *records = count ? memory_new(count, sizeof **records) : NULL;
    count = 0;
    for (size_t i = 0; i < registry->peer_count; i++) {
        struct peer *peer = registry->peers[i];
        if (!peer || !peer->changed)
            continue;
        copy_record(&(*records)[count++], &peer->record);
        peer->changed = false;
    }
    unlock(registry);
    return count;
}

void registry_collect_again(struct registry *registry, const struct registry_record *records,
                            size_t count)
{
    lock(registry);
    for (size_t i = 0; i < count; i++) {
        struct peer *peer = find_by_id(registry, records[i].id);
        if (peer)
            peer->changed = true;
    }
    unlock(registry);
}
