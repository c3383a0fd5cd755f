#include "peer/limits/host_counts.h"

#include "common/memory.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#define TABLE_HOSTS 256

/* Lives while it has any. */
struct host {
    struct host_key key;
    size_t count;
    struct host *next; /* in the table */
};

struct host_counts {
    size_t total_max, host_max;
    bool leaves_room;
    pthread_mutex_t lock; /* guards what follows */
    size_t total;
    struct host *table[TABLE_HOSTS];
};

struct host_counts *host_counts_new(size_t total, size_t host, bool leaves_room)
{
    struct host_counts *counts = memory_new(1, sizeof *counts);

    counts->total_max = total;
    counts->host_max = host;
    counts->leaves_room = leaves_room;
    pthread_mutex_init(&counts->lock, NULL);
    return counts;
}

void host_counts_free(struct host_counts *counts)
{
    if (!counts)
        return;
    for (size_t i = 0; i < TABLE_HOSTS; i++)
        while (counts->table[i]) {
            struct host *host = counts->table[i];
            counts->table[i] = host->next;
            free(host);
        }
    pthread_mutex_destroy(&counts->lock);
    free(counts);
}

/* ---- with the lock ---- */

/* Where the host is, or would be. */
static struct host **place_of(struct host_counts *counts, const struct host_key *key)
{
    struct host **link = &counts->table[host_key_hash(key) % TABLE_HOSTS];

    while (*link && !host_key_equal(&(*link)->key, key))
        link = &(*link)->next;
    return link;
}

static enum admission check(const struct host_counts *counts, const struct host *host)
{
    size_t count = host ? host->count : 0;
    size_t left = counts->total_max > counts->total ? counts->total_max - counts->total : 0;

    if (count >= counts->host_max)
        return ADMISSION_HOST_FULL;
    if (left == 0)
        return ADMISSION_FULL;
    return counts->leaves_room && count >= left ? ADMISSION_HOST_FULL : ADMISSION_GRANTED;
}

static void add(struct host_counts *counts, const struct host_key *key)
{
    struct host **link = place_of(counts, key);

    if (!*link) {
        *link = memory_new(1, sizeof **link);
        (*link)->key = *key;
    }
    (*link)->count++;
    counts->total++;
}

static void take_away(struct host_counts *counts, const struct host_key *key)
{
    struct host **link = place_of(counts, key);
    struct host *host = *link;

    assert(host && counts->total > 0);
    counts->total--;
    if (--host->count == 0) {
        *link = host->next;
        free(host);
    }
}

/* ---- */

enum admission host_counts_take(struct host_counts *counts, const struct host_key *host)
{
    pthread_mutex_lock(&counts->lock);
    enum admission admission = check(counts, *place_of(counts, host));
    if (admission == ADMISSION_GRANTED)
        add(counts, host);
    pthread_mutex_unlock(&counts->lock);
    return admission;
}

void host_counts_give(struct host_counts *counts, const struct host_key *host)
{
    pthread_mutex_lock(&counts->lock);
    take_away(counts, host);
    pthread_mutex_unlock(&counts->lock);
}

void host_counts_move(struct host_counts *counts, const struct host_key *from,
                      const struct host_key *to)
{
    pthread_mutex_lock(&counts->lock);
    take_away(counts, from);
    add(counts, to);
    pthread_mutex_unlock(&counts->lock);
}

size_t host_counts_of(struct host_counts *counts, const struct host_key *key)
{
    pthread_mutex_lock(&counts->lock);
    const struct host *host = *place_of(counts, key);
    size_t count = host ? host->count : 0;
    pthread_mutex_unlock(&counts->lock);
    return count;
}
