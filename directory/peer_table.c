#include "directory/peer_table.h"

#include "common/memory.h"
#include "directory/secrets.h"

#include <stdlib.h>
#include <string.h>

enum {
    SMALLEST = 64,
    LARGE_BUCKETS = 1 << 18, /* from so many on, they are worth large pages */
};

_Static_assert(sizeof(struct peer_chunk) <= PEER_CHUNK_BYTES, "a chunk fits a large page");

static struct peer **make_heads(size_t count)
{
    return memory_map(count * sizeof(struct peer *), count >= LARGE_BUCKETS);
}

static void free_heads(struct peer_table *table)
{
    memory_unmap(table->names, table->bucket_count * sizeof *table->names);
    memory_unmap(table->tokens, table->bucket_count * sizeof *table->tokens);
}

void peer_table_init(struct peer_table *table)
{
    *table = (struct peer_table){.bucket_count = SMALLEST};
    table->names = make_heads(SMALLEST);
    table->tokens = make_heads(SMALLEST);
    secrets_make_slot_key(&table->key);
}

/* In use or not. */
static struct peer *place_of(const struct peer_table *table, size_t id)
{
    return &table->chunks[(id - 1) / PEER_CHUNK_PEERS]->peers[(id - 1) % PEER_CHUNK_PEERS];
}

void peer_table_done(struct peer_table *table)
{
    for (size_t id = 1; id <= table->count; id++)
        free(place_of(table, id)->texts);
    for (size_t i = 0; i < table->chunk_count; i++)
        memory_unmap(table->chunks[i], sizeof *table->chunks[i]);
    free(table->chunks);
    free_heads(table);
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
    struct peer **bucket = name_bucket(table, peer_name(peer));

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
    free_heads(table);
    table->bucket_count = count;
    table->names = make_heads(count);
    table->tokens = make_heads(count);
    for (size_t id = 1; id <= table->count; id++)
        if (place_of(table, id)->texts)
            link_peer(table, place_of(table, id));
}

/* Ids that are jumped over stay without a peer. Most directories never have so many that they fill
 * the first chunk. */
static void make_room(struct peer_table *table, size_t id)
{
    while (id > table->chunk_count * PEER_CHUNK_PEERS) {
        table->chunks = memory_resize(table->chunks, table->chunk_count + 1, sizeof *table->chunks);
        table->chunks[table->chunk_count] =
            memory_map(sizeof **table->chunks, table->chunk_count > 0);
        table->chunk_count++;
    }
    while (table->count < id)
        *peer_table_seen_ms(table, ++table->count) = PEER_NOT_SEEN;
}

void peer_table_reserve(struct peer_table *table, size_t count)
{
    size_t buckets = table->bucket_count;

    while (buckets < count)
        buckets *= 2;
    if (buckets > table->bucket_count)
        make_buckets(table, buckets);
}

static void write_texts(struct peer *peer, const char *name, const char *host, const char *urls)
{
    size_t name_bytes = strlen(name) + 1;
    size_t host_bytes = strlen(host) + 1;
    size_t urls_bytes = strlen(urls) + 1;
    char *texts = memory_new(name_bytes + host_bytes + urls_bytes, 1);

    memcpy(texts, name, name_bytes);
    memcpy(texts + name_bytes, host, host_bytes);
    memcpy(texts + name_bytes + host_bytes, urls, urls_bytes);
    free(peer->texts);
    peer->texts = texts;
    peer->host_at = (uint32_t)name_bytes;
    peer->urls_at = (uint32_t)(name_bytes + host_bytes);
}

struct peer *peer_table_add(struct peer_table *table, uint32_t id, const char *name,
                            const char *host, const char *urls)
{
    make_room(table, id);
    struct peer *peer = place_of(table, id);
    peer->id = id;
    write_texts(peer, name, host, urls);
    if (table->count > table->bucket_count)
        make_buckets(table, 2 * table->bucket_count);
    else
        link_peer(table, peer);
    return peer;
}

void peer_set_texts(struct peer *peer, const char *host, const char *urls)
{
    host = host ? host : peer_host(peer);
    urls = urls ? urls : peer_urls(peer);
    if (strcmp(host, peer_host(peer)) != 0 || strcmp(urls, peer_urls(peer)) != 0)
        write_texts(peer, peer_name(peer), host, urls);
}

struct peer *peer_table_get(const struct peer_table *table, int64_t id)
{
    if (id < 1 || (uint64_t)id > table->count)
        return NULL;
    struct peer *peer = place_of(table, (size_t)id);
    return peer->texts ? peer : NULL;
}

struct peer *peer_table_find(const struct peer_table *table, const char *name)
{
    struct peer *peer = *name_bucket(table, name);

    while (peer && strcmp(peer_name(peer), name) != 0)
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
