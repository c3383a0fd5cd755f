/*
 * The peers of the registry in memory, found by id, name and token. No lock and no rules: the
 * registry's, which see.
 *
 * A peer takes some 220 bytes, all told (a name of 10 bytes, one url): they stand side by side in
 * chunks, by id, in large pages from the second chunk on, and their texts are one block of memory
 * each. When each peer was seen is kept apart, so that all times can be gone through without
 * touching the peers.
 */
#pragma once

#include "common/index_sum.h"
#include "directory/secrets.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PEER_TOKEN_BYTES 16
#define PEER_NOT_SEEN    INT64_MIN /* as the time of who is away */

/* First what most requests look at, in as few lines of cache as possible. */
struct peer {
    uint64_t sequence; /* 0: away */
    char *texts;   /* owned: name, host and urls, each with its NUL; NULL: the id is not in use */
    uint64_t mark; /* of the user whom the token was given to; 0: not known */
    uint32_t mark_generation; /* of the users, when that was looked up; 0: never */
    uint32_t id;
    uint32_t host_at, urls_at; /* in texts */
    uint32_t warned_s;         /* boot clock: when somebody was told of two such places */
    uint16_t lists_coming;
    bool has_etag : 1;
    bool has_token : 1;
    bool is_kept : 1; /* it is away, and stands in the line of those whose files are kept */
    bool is_dirty : 1;
    struct peer *next_of_token; /* the table's: same token hash, same name hash */
    struct peer *next_of_name;
    unsigned char token[PEER_TOKEN_BYTES]; /* while has_token */
    struct index_sum etag;
    unsigned char from[16];       /* where it logged in from last, as IPv6; 0: not known */
    struct peer *previous, *next; /* of the line that it stands in while it is away */
    int64_t away_ms;              /* of the run clock: when it went; while it is away */
};

#define PEER_CHUNK_BYTES (2 << 20)
#define PEER_CHUNK_PEERS (PEER_CHUNK_BYTES / (sizeof(struct peer) + sizeof(int64_t)))

struct peer_chunk {
    int64_t seen_ms[PEER_CHUNK_PEERS];
    struct peer peers[PEER_CHUNK_PEERS];
};

/* All guarded by the registry's lock. */
struct peer_table {
    struct peer_chunk **chunks; /* by id - 1 */
    size_t chunk_count;
    size_t count;        /* the highest id */
    struct peer **names; /* heads of chains; a power of two */
    struct peer **tokens;
    size_t bucket_count;
    struct secrets_slot_key key;
};

void peer_table_init(struct peer_table *table);
void peer_table_done(struct peer_table *table);

/* Buckets for so many peers at once, which would else grow step by step. */
void peer_table_reserve(struct peer_table *table, size_t count);

/* A new one with that id, which is not in use. All but the texts is zero. */
struct peer *peer_table_add(struct peer_table *table, uint32_t id, const char *name,
                            const char *host, const char *urls);

/* NULL: as it was. */
void peer_set_texts(struct peer *peer, const char *host, const char *urls);

/* NULL: there is none. */
struct peer *peer_table_get(const struct peer_table *table, int64_t id);
struct peer *peer_table_find(const struct peer_table *table, const char *name);
struct peer *peer_table_find_token(const struct peer_table *table,
                                   const unsigned char token[PEER_TOKEN_BYTES]);

/* Gives it the token, NULL: none, instead of the one that it has. */
void peer_table_set_token(struct peer_table *table, struct peer *peer, const unsigned char *token);

static inline const char *peer_name(const struct peer *peer)
{
    return peer->texts;
}

/* "" where it is not known. */
static inline const char *peer_host(const struct peer *peer)
{
    return peer->texts + peer->host_at;
}

/* A JSON list. */
static inline const char *peer_urls(const struct peer *peer)
{
    return peer->texts + peer->urls_at;
}

/* Of an id up to table->count; PEER_NOT_SEEN where it is not in use. */
static inline int64_t *peer_table_seen_ms(const struct peer_table *table, size_t id)
{
    return &table->chunks[(id - 1) / PEER_CHUNK_PEERS]->seen_ms[(id - 1) % PEER_CHUNK_PEERS];
}

static inline int64_t *peer_seen_ms(const struct peer_table *table, const struct peer *peer)
{
    return peer_table_seen_ms(table, peer->id);
}
