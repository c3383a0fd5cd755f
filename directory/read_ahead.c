#include "directory/read_ahead.h"

#include "common/memory.h"
#include "directory/index_private.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
    THREADS = 8,
    PEERS_MIN = 50000, /* fewer are loaded before it would help */
    PEERS_AT_ONCE = 2000,
};

#define PRAGMAS "PRAGMA cache_size=-256; PRAGMA query_only=1;"

struct read_ahead {
    const char *path;
    bool only_reads;
    int64_t last_id;
    atomic_int_least64_t next_id; /* up to the one before it somebody reads */
    pthread_t threads[THREADS];
    size_t thread_count;
};

/* Counting them needs all of their pages, and nothing of what is in them. */
static void read_some(struct database_statement *count, int64_t first)
{
    database_bind_number(count, 1, first);
    database_bind_number(count, 2, first + PEERS_AT_ONCE - 1);
    while (database_next(count))
        continue;
}

static enum error_code read_peers(struct read_ahead *ahead, struct database *database)
{
    struct database_statement *count = NULL;
    enum error_code code = database_prepare(
        database, "SELECT count(*) FROM peers WHERE id BETWEEN ?1 AND ?2", &count, NULL);
    int64_t first;

    while (!code && (first = atomic_fetch_add(&ahead->next_id, PEERS_AT_ONCE)) <= ahead->last_id) {
        read_some(count, first);
        code = database_finish(count, NULL);
    }
    database_statement_free(count);
    return code;
}

static void *run(void *context)
{
    struct read_ahead *ahead = context;
    struct database *database = NULL;
    enum error_code code =
        ahead->only_reads
            ? database_connect_to_read(&index_form, ahead->path, PRAGMAS, &database, NULL)
            : database_connect(&index_form, ahead->path, PRAGMAS, &database, NULL);

    if (!code)
        code = read_peers(ahead, database);
    (void)code; /* whoever loads them meets the same, and says so */
    database_close(database);
    return NULL;
}

struct read_ahead *read_ahead_start(struct index *index, const char *path, int64_t last_id)
{
    if (last_id < PEERS_MIN)
        return NULL;
    struct read_ahead *ahead = memory_new(1, sizeof *ahead);
    ahead->path = path;
    ahead->only_reads = index_only_reads(index);
    ahead->last_id = last_id;
    atomic_init(&ahead->next_id, 1);
    while (ahead->thread_count < THREADS &&
           pthread_create(&ahead->threads[ahead->thread_count], NULL, run, ahead) == 0)
        ahead->thread_count++;
    return ahead;
}

void read_ahead_stop(struct read_ahead *ahead)
{
    if (!ahead)
        return;
    atomic_store(&ahead->next_id, ahead->last_id + 1);
    for (size_t i = 0; i < ahead->thread_count; i++)
        pthread_join(ahead->threads[i], NULL);
    free(ahead);
}
