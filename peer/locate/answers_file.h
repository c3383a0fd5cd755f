/*
 * What is remembered of directories' answers and of peers, as a table and as text:
 *
 *   {"version":1,
 *    "answers":[{"name":"a.txt","seen_ms":1767225600000,"sources":[{"peer":"Peer2",
 *               "url":["172.28.0.4:8002"],"size":486,"content":"c06e…"}]}, …],
 *    "peers":[{"url":"172.28.0.4:8002","seen_ms":1767225600000}, …]}
 *
 * Times are the wall clock's: they must last over a restart of the machine. Pure; whoever shares a
 * table locks.
 */
#pragma once

#include "common/buffer.h"
#include "common/error.h"
#include "common/file_name.h"
#include "peer/network/directory_client.h"

#include <stdint.h>

/* What is held: a few hundred KiB with usual names, 5 MiB with the longest of everything. */
#define ANSWERS_MAX         1024
#define ANSWER_SOURCES_MAX  16
#define ANSWERS_SOURCES_MAX 4096 /* of all answers together */
#define ANSWERS_PEERS_MAX   256
#define ANSWERS_KEEP_MS     ((int64_t)30 * 24 * 3600 * 1000)

#define ANSWERS_FILE_MAX_BYTES ((size_t)8 << 20)

struct answer {
    char *name; /* a good file name */
    int64_t seen_ms;
    struct directory_sources sources;
};

struct answers_peer {
    struct address address;
    int64_t seen_ms;
};

/* All zeroes is an empty one. */
struct answers_table {
    struct answer items[ANSWERS_MAX]; /* in no order */
    uint32_t hashes[ANSWERS_MAX];     /* of their names: a look-up passes a thousand of them */
    size_t count;
    size_t source_count;                          /* of all */
    struct answers_peer peers[ANSWERS_PEERS_MAX]; /* who was seen last comes first */
    size_t peer_count;
};

void answers_table_done(struct answers_table *table);

/* Takes a copy of what is good of the sources, in place of what was known by that name; the oldest
 * answers go where there is no room. Nothing good: nothing changes. Returns whether it changed. */
bool answers_table_remember(struct answers_table *table, const struct file_name *name,
                            const struct directory_sources *sources, int64_t seen_ms);

/* Borrowed; NULL: nothing known, or older than ANSWERS_KEEP_MS. */
const struct answer *answers_table_find(const struct answers_table *table,
                                        const struct file_name *name, int64_t now_ms);

/* A peer that is there: to the front. */
void answers_table_met(struct answers_table *table, const struct address *address, int64_t seen_ms);

void answers_format(const struct answers_table *table, struct buffer *out);

/* Into an empty table. Entries that are no good or too old are left out. ERROR_CORRUPT: it is no
 * such text; the table is empty then. */
MUST_CHECK enum error_code answers_parse(const char *text, size_t length, int64_t now_ms,
                                         struct answers_table *table, struct error *error);
