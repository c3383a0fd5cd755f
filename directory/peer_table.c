#include "directory/peer_table.h"

#include "common/memory.h"
#include "directory/secrets.h"

#include <stdlib.h>
#include <string.h>

enum { SMALLEST = 64 };

void peer_table_init(struct peer_table *table)
{
    *table = (struct peer_table){.bucket_count = SMALLEST};
    table->names = memory_new(SMALLEST, sizeof *table->names);
    table->tokens = memory_new(SMALLEST, sizeof *table->tokens);
    secrets_make_slot_key(&table->key);
}

void peer_table_done(struct peer_table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        struct peer *peer = table->peers[i];
        if (!peer)
            continue;
        free(peer->urls);
        free(peer->host);
        free(peer);
    }
    free(table->peers);
    free(table->seen_ms);
    free(table->names);
    free(table->tokens);
}

static struct peer **name_bucket(const struct peer_table *table, const char *name)
{
    uint64_t hash = secrets_slot(&table->key, name, strlen(name));

    return &table->names[(size_t)hash & (table->bucket_count - 1)];
}

/* Tokens are random: any part of them is a hash. */
static struct peer **token_bucket(const struct peer_table *table,
                                  const unsigned char token[PEER_TOKEN_BYTES])
{
    uint64_t hash;

    memcpy(&hash, token, sizeof hash);
    return &table->tokens[(size_t)hash & (table->bucket_count - 1)];
}

static void link_peer(const struct peer_table *table, struct peer *peer)
{
    struct peer **bucket = name_bucket(table, peer->name);

    peer->next_of_name = *bucket;
    *bucket = peer;
    if (!peer->has_token)
        return;
    bucket = token_bucket(table, peer->token);
    peer->next_of_token = *bucket;
    *bucket = peer;
}

static void make_buckets(struct peer_table *table, size_t count)
{
    free(table->names);
    free(table->tokens);
    table->bucket_count = count;
    table->names = memory_new(table->bucket_count, sizeof *table->names);
    table->tokens = memory_new(table->bucket_count, sizeof *table->tokens);
    for (size_t i = 0; i < table->count; i++)
        if (table->peers[i])
            link_peer(table, table->peers[i]);
}

/* Ids that are jumped over stay without a peer. */
static void make_room(struct peer_table *table, size_t id)
{
    if (id > table->capacity) {
        size_t capacity = table->capacity ? table->capacity : SMALLEST;
        while (capacity < id)
            capacity *= 2;
        table->peers = memory_resize(table->peers, capacity, sizeof *table->peers);
        table->seen_ms = memory_resize(table->seen_ms, capacity, sizeof *table->seen_ms);
        table->capacity = capacity;
    }
    for (; table->count < id; table->count++) {
        table->peers[table->count] = NULL;
        table->seen_ms[table->count] = PEER_NOT_SEEN;
    }
}

void peer_table_reserve(struct peer_table *table, size_t count)
{
    size_t buckets = table->bucket_count;

    while (buckets < count)
        buckets *= 2;
    if (buckets > table->bucket_count)
        make_buckets(table, buckets);
}

struct peer *peer_table_add(struct peer_table *table, uint32_t id, const char *name)
{
    size_t length = strlen(name) + 1;
    struct peer *peer = memory_new(1, sizeof *peer + length);

    memcpy(peer->name, name, length);
    peer->id = id;
    make_room(table, id);
    table->peers[id - 1] = peer;
    if (table->count > table->bucket_count)
        make_buckets(table, 2 * table->bucket_count);
    else
        link_peer(table, peer);
    return peer;
}

struct peer *peer_table_get(const struct peer_table *table, int64_t id)
{
    return id >= 1 && (uint64_t)id <= table->count ? table->peers[id - 1] : NULL;
}

struct peer *peer_table_find(const struct peer_table *table, const char *name)
{
    struct peer *peer = *name_bucket(table, name);

    while (peer && strcmp(peer->name, name) != 0)
        peer = peer->next_of_name;
    return peer;
}

struct peer *peer_table_find_token(const struct peer_table *table,
                                   const unsigned char token[PEER_TOKEN_BYTES])
{
    struct peer *peer = *token_bucket(table, token);

    while (peer && !secrets_equal(peer->token, token, PEER_TOKEN_BYTES))
        peer = peer->next_of_token;
    return peer;
}

static void drop_token(struct peer_table *table, struct peer *peer)
{
    struct peer **place = token_bucket(table, peer->token);

    while (*place != peer)
        place = &(*place)->next_of_token;
    *place = peer->next_of_token;
    peer->has_token = false;
}

void peer_table_set_token(struct peer_table *table, struct peer *peer, const unsigned char *token)
{
    if (peer->has_token)
        drop_token(table, peer);
    if (!token)
        return;
    memcpy(peer->token, token, sizeof peer->token);
    peer->has_token = true;
    struct peer **bucket = token_bucket(table, peer->token);
    peer->next_of_token = *bucket;
    *bucket = peer;
}
