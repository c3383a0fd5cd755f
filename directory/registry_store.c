#include "common/hex.h"
#include "common/memory.h"
#include "directory/registry_private.h"

#include <stdlib.h>
#include <string.h>

void registry_format_token(const struct peer *peer, char out[REGISTRY_TOKEN_BYTES])
{
    out[0] = '\0';
    if (peer->has_token)
        hex_format(peer->token, sizeof peer->token, out);
}

void registry_mark_dirty(struct registry *registry, struct peer *peer)
{
    if (peer->is_dirty)
        return;
    if (registry->dirty_count == registry->dirty_capacity) {
        registry->dirty_capacity = registry->dirty_capacity ? registry->dirty_capacity * 2 : 64;
        registry->dirty =
            memory_resize(registry->dirty, registry->dirty_capacity, sizeof *registry->dirty);
    }
    registry->dirty[registry->dirty_count++] = peer;
    peer->is_dirty = true;
}

void registry_mark_seen(struct registry *registry, const struct peer *peer)
{
    size_t block = (peer->id - 1) / REGISTRY_BLOCK_PEERS;

    if (block >= registry->block_count) {
        size_t count = registry->block_count ? registry->block_count : 1;
        while (count <= block)
            count *= 2;
        registry->dirty_blocks = memory_resize(registry->dirty_blocks, count, sizeof(bool));
        memset(registry->dirty_blocks + registry->block_count, 0, count - registry->block_count);
        registry->block_count = count;
    }
    registry->dirty_block_count += !registry->dirty_blocks[block];
    registry->dirty_blocks[block] = true;
}

void registry_record_done(struct registry_record *record)
{
    free(record->memory);
    *record = (struct registry_record){0};
}

static const char *append(char **end, const char *text)
{
    size_t length = strlen(text) + 1;
    char *start = *end;

    memcpy(start, text, length);
    *end += length;
    return start;
}

static void copy_record(const struct registry *registry, const struct peer *peer,
                        struct registry_record *record)
{
    const char *urls = peer_urls(peer);
    const char *host = peer_host(peer);
    char *end = memory_new(strlen(peer_name(peer)) + strlen(urls) + strlen(host) + 3, 1);

    *record = (struct registry_record){
        .memory = end,
        .id = peer->id,
        .mark = peer->mark,
        .seen_ms = peer->sequence != 0 ? registry_seen_ms(registry, peer) : 0,
        .sequence = peer->sequence,
        .away_ms = peer->away_ms,
        .has_etag = peer->has_etag,
        .etag = peer->etag,
    };
    registry_format_token(peer, record->token);
    record->name = append(&end, peer_name(peer));
    record->urls = append(&end, urls);
    record->host = append(&end, host);
}

bool registry_get(struct registry *registry, int64_t id, struct registry_record *record)
{
    registry_lock(registry);
    const struct peer *peer = peer_table_get(&registry->table, id);
    if (peer)
        copy_record(registry, peer, record);
    registry_unlock(registry);
    return peer != NULL;
}

size_t registry_collect(struct registry *registry, int64_t *ids, size_t max)
{
    size_t count = 0;

    registry_lock(registry);
    while (count < max && registry->dirty_count > 0) {
        struct peer *peer = registry->dirty[--registry->dirty_count];
        peer->is_dirty = false;
        ids[count++] = peer->id;
    }
    registry_unlock(registry);
    return count;
}

void registry_collect_again(struct registry *registry, int64_t id)
{
    registry_lock(registry);
    struct peer *peer = peer_table_get(&registry->table, id);
    if (peer)
        registry_mark_dirty(registry, peer);
    registry_unlock(registry);
}

/* Without a look at the peer, which would be one cache miss more for each. */
static uint32_t age_of(const struct registry *registry, size_t id, int64_t now_ms)
{
    int64_t seen_ms =
        id <= registry->table.count ? *peer_table_seen_ms(&registry->table, id) : PEER_NOT_SEEN;

    if (seen_ms == PEER_NOT_SEEN || now_ms - seen_ms >= REGISTRY_AGE_AWAY)
        return REGISTRY_AGE_AWAY;
    return now_ms > seen_ms ? (uint32_t)(now_ms - seen_ms) : 0;
}

bool registry_collect_seen(struct registry *registry, size_t *next, int64_t now_ms,
                           struct registry_seen *seen)
{
    registry_lock(registry);
    while (*next < registry->block_count && !registry->dirty_blocks[*next])
        ++*next;
    bool found = *next < registry->block_count;
    if (found) {
        size_t first = *next * REGISTRY_BLOCK_PEERS + 1;
        seen->block = (int64_t)*next;
        seen->now_ms = now_ms;
        for (size_t i = 0; i < REGISTRY_BLOCK_PEERS; i++)
            seen->ages_ms[i] = age_of(registry, first + i, now_ms);
        registry->dirty_blocks[(*next)++] = false;
        registry->dirty_block_count--;
    }
    registry_unlock(registry);
    return found;
}

void registry_collect_all_seen(struct registry *registry)
{
    registry_lock(registry);
    for (size_t i = 0; i < registry->block_count; i++)
        registry->dirty_blocks[i] = true;
    registry->dirty_block_count = registry->block_count;
    registry_unlock(registry);
}

bool registry_has_changed(struct registry *registry)
{
    registry_lock(registry);
    bool changed = registry->dirty_count > 0 || registry->dirty_block_count > 0;
    registry_unlock(registry);
    return changed;
}

int64_t registry_run_ms(struct registry *registry, int64_t now_ms)
{
    registry_lock(registry);
    int64_t run_ms = now_ms + registry->run_offset_ms;
    registry_unlock(registry);
    return run_ms;
}
