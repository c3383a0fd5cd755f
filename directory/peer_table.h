/*
 * The peers of the registry in memory, found by id, name and token. No lock and no rules: the
 * registry's, which see.
 *
 * A peer takes some 250 bytes, all told (a name of 10 bytes, one url): it is one block of memory
 * with its name at the end, and its usual urls are another one. When each peer was seen is kept
 * apart, in one array, so that all times can be gone through without touching the peers.
 */
#pragma once

#include "common/index_sum.h"
#include "directory/secrets.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PEER_TOKEN_BYTES 16
#define PEER_NOT_SEEN    INT64_MIN /* as the time of who is away */

struct peer {
    struct peer *next_of_name; /* the table's: same name hash, same token hash */
    struct peer *next_of_token;
    struct peer *previous, *next; /* of the line that it stands in while it is away */
    uint64_t sequence;            /* 0: away */
    int64_t away_ms;              /* of the run clock: when it went; while it is away */
    char *urls;                   /* owned; NULL: "[]" */
    char *host;                   /* owned; NULL: "" */
    uint64_t mark;                /* of the user whom the token was given to; 0: not known */
    struct index_sum etag;
    unsigned char token[PEER_TOKEN_BYTES]; /* while has_token */
    unsigned char from[16];                /* where it logged in from last, as IPv6; 0: not known */
    uint32_t mark_generation;              /* of the users, when that was looked up; 0: never */
    uint32_t warned_s; /* boot clock: when somebody was told of two such places */
    uint32_t id;
    uint16_t lists_coming;
    bool has_etag : 1;
    bool has_token : 1;
    bool is_kept : 1; /* it is away, and stands in the line of those whose files are kept */
    bool is_dirty : 1;
    char name[];
};

/* All guarded by the registry's lock. */
struct peer_table {
    struct peer **peers; /* by id - 1; NULL: that id is not in use */
    int64_t *seen_ms;    /* likewise */
    size_t count, capacity;
    struct peer **names; /* heads of chains; a power of two */
    struct peer **tokens;
    size_t bucket_count;
    struct secrets_slot_key key;
};

void peer_table_init(struct peer_table *table);
void peer_table_done(struct peer_table *table);

/* Buckets for so many peers at once, which would else grow step by step. */
void peer_table_reserve(struct peer_table *table, size_t count);

/* A new one with the next id, or with that one, which is not in use. Everything else is zero. */
struct peer *peer_table_add(struct peer_table *table, uint32_t id, const char *name);

/* NULL: there is none. */
struct peer *peer_table_get(const struct peer_table *table, int64_t id);
struct peer *peer_table_find(const struct peer_table *table, const char *name);
struct peer *peer_table_find_token(const struct peer_table *table,
                                   const unsigned char token[PEER_TOKEN_BYTES]);

/* Gives it the token, NULL: none, instead of the one that it has. */
void peer_table_set_token(struct peer_table *table, struct peer *peer, const unsigned char *token);

static inline int64_t *peer_seen_ms(const struct peer_table *table, const struct peer *peer)
{
    return &table->seen_ms[peer->id - 1];
}
