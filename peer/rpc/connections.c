#include "peer/rpc/connections.h"

#include "common/clock.h"
#include "common/memory.h"
#include "peer/rpc/unseen.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What the daemon itself has open, some 30 when idle, and what a few downloads and hashed files
 * add. */
#define DESCRIPTORS_OF_OURS 48

#define TOTAL_MIN       8
#define TOTAL_MAX       4096
#define LOCAL_TOTAL_MAX 256
#define HOST_MIN        4

/* 4,096 descriptors are looked at in a millisecond; a flood of new connections must not make that
 * all that we do. */
#define LOOK_INTERVAL_MS 10

struct connection {
    bool used;
    bool silent;
    dev_t device;
    ino_t inode;
    int64_t since_ms;    /* when it was silent or idle first */
    int64_t deadline_ms; /* of a silent one */
    size_t calls;        /* of one that is not */
    struct host_key host;
    char name[PEER_NAME_BYTES];
};

struct connections {
    struct connection_limits limits;
    struct host_counts *hosts;
    pthread_mutex_t lock;     /* guards the rest */
    struct connection *items; /* by descriptor */
    size_t capacity;
    size_t count, silent;
    int64_t looked_ms;
};

static size_t clamp(uint64_t value, size_t least, size_t most)
{
    return value < least ? least : value > most ? most : (size_t)value;
}

struct connection_limits connection_limits_of(uint64_t descriptors, bool local)
{
    uint64_t free_ones = descriptors > DESCRIPTORS_OF_OURS ? descriptors - DESCRIPTORS_OF_OURS : 0;
    struct connection_limits limits;

    if (local) {
        limits.total = clamp(free_ones / 8, TOTAL_MIN, LOCAL_TOTAL_MAX);
        limits.host = limits.total;
    } else {
        limits.total = clamp(free_ones / 2, TOTAL_MIN, TOTAL_MAX);
        limits.host = clamp(limits.total / 4, HOST_MIN, TOTAL_MAX);
    }
    return limits;
}

struct connections *connections_new(struct connection_limits limits)
{
    struct connections *connections = memory_new(1, sizeof *connections);

    connections->limits = limits;
    connections->hosts = host_counts_new(limits.total, limits.host, limits.host < limits.total);
    pthread_mutex_init(&connections->lock, NULL);
    return connections;
}

void connections_free(struct connections *connections)
{
    if (!connections)
        return;
    pthread_mutex_destroy(&connections->lock);
    host_counts_free(connections->hosts);
    free(connections->items);
    free(connections);
}

/* ---- the table ---- */

static struct connection *find(struct connections *connections, int descriptor)
{
    if (descriptor < 0 || (size_t)descriptor >= connections->capacity ||
        !connections->items[descriptor].used)
        return NULL;
    return &connections->items[descriptor];
}

static void forget(struct connections *connections, struct connection *item)
{
    connections->count--;
    connections->silent -= item->silent;
    item->used = false;
}

static void take_out(struct connections *connections, struct connection *item)
{
    forget(connections, item);
    host_counts_give(connections->hosts, &item->host);
}

/* After it was counted for its host. */
static void put_in(struct connections *connections, int descriptor, const struct connection *item)
{
    size_t capacity = connections->capacity ? connections->capacity : 64;

    while (capacity <= (size_t)descriptor)
        capacity *= 2;
    if (capacity != connections->capacity) {
        connections->items =
            memory_resize(connections->items, capacity, sizeof *connections->items);
        memset(connections->items + connections->capacity, 0,
               (capacity - connections->capacity) * sizeof *connections->items);
        connections->capacity = capacity;
    }
    connections->items[descriptor] = *item;
    connections->count++;
    connections->silent += item->silent;
}

static bool is_file(int descriptor, dev_t device, ino_t inode)
{
    struct stat status;

    return unseen(fstat(descriptor, &status)) == 0 && status.st_dev == device &&
           status.st_ino == inode;
}

/* Forgets what the core has closed. */
static void look(struct connections *connections)
{
    for (size_t i = 0; i < connections->capacity; i++) {
        struct connection *item = &connections->items[i];

        if (item->used && !item->silent && !is_file((int)i, item->device, item->inode))
            take_out(connections, item);
    }
}

static void look_now_and_then(struct connections *connections)
{
    int64_t now_ms = clock_boot_ms();

    if (now_ms - connections->looked_ms < LOOK_INTERVAL_MS)
        return;
    look(connections);
    connections->looked_ms = clock_boot_ms();
}

/* ---- admission ---- */

static bool may_go(const struct connection *item, int64_t now_ms)
{
    if (!item->used || item->silent)
        return item->used;
    return item->calls == 0 && now_ms - item->since_ms >= CONNECTION_IDLE_MS;
}

/* Which of two goes rather: a silent one, else that of the host that has more, else the older. */
static bool goes_before(const struct connections *connections, const struct connection *item,
                        const struct connection *other)
{
    if (item->silent != other->silent)
        return item->silent;
    if (!item->silent) {
        size_t count = host_counts_of(connections->hosts, &item->host);
        size_t other_count = host_counts_of(connections->hosts, &other->host);

        if (count != other_count)
            return count > other_count;
    }
    return item->since_ms < other->since_ms;
}

/* The place of another one; for a host that has some, of one of its own. */
static bool take_over(struct connections *connections, const struct host_key *host, int64_t now_ms,
                      struct displaced *displaced)
{
    bool own = host_counts_of(connections->hosts, host) > 0;
    struct connection *best = NULL;

    for (size_t i = 0; i < connections->capacity; i++) {
        struct connection *item = &connections->items[i];

        if (may_go(item, now_ms) && (!own || host_key_equal(&item->host, host)) &&
            (!best || goes_before(connections, item, best)))
            best = item;
    }
    if (!best)
        return false;
    *displaced = (struct displaced){.descriptor = (int)(best - connections->items),
                                    .silent = best->silent,
                                    .device = best->device,
                                    .inode = best->inode};
    forget(connections, best);
    host_counts_move(connections->hosts, &best->host, host);
    return true;
}

static enum admission take_place(struct connections *connections, const struct host_key *host,
                                 int64_t now_ms, struct displaced *displaced)
{
    enum admission admission = host_counts_take(connections->hosts, host);

    if (admission != ADMISSION_GRANTED) {
        look_now_and_then(connections);
        admission = host_counts_take(connections->hosts, host);
    }
    if (admission != ADMISSION_GRANTED && take_over(connections, host, now_ms, displaced))
        return ADMISSION_GRANTED;
    return admission;
}

enum admission connections_admit(struct connections *connections, int descriptor,
                                 const struct sockaddr_storage *address, int64_t now_ms,
                                 int64_t deadline_ms, struct displaced *displaced)
{
    struct connection item = {
        .used = true, .silent = true, .since_ms = now_ms, .deadline_ms = deadline_ms};
    struct connection *before;
    struct stat status = {0};
    enum admission admission;

    *displaced = (struct displaced){.descriptor = -1};
    (void)unseen(fstat(descriptor, &status)); /* it is open: nothing can go wrong */
    item.device = status.st_dev;
    item.inode = status.st_ino;
    item.host = host_key_of(peer_name_format(address, item.name));
    pthread_mutex_lock(&connections->lock);
    before = find(connections, descriptor);
    if (before) /* the core has closed it */
        take_out(connections, before);
    admission = take_place(connections, &item.host, now_ms, displaced);
    if (admission == ADMISSION_GRANTED)
        put_in(connections, descriptor, &item);
    pthread_mutex_unlock(&connections->lock);
    return admission;
}

/* What is checked and ended is the duplicate, which nobody else can close. */
void connection_end(const struct displaced *displaced)
{
    auto_close int descriptor = fcntl(displaced->descriptor, F_DUPFD_CLOEXEC, 0);

    if (descriptor >= 0 && is_file(descriptor, displaced->device, displaced->inode))
        (void)shutdown(descriptor, SHUT_RDWR);
}

/* ---- the rest ---- */

bool connections_is_silent(struct connections *connections, int descriptor)
{
    const struct connection *item;
    bool silent;

    pthread_mutex_lock(&connections->lock);
    item = find(connections, descriptor);
    silent = item && item->silent;
    pthread_mutex_unlock(&connections->lock);
    return silent;
}

void connections_greeted(struct connections *connections, int descriptor, int64_t now_ms)
{
    struct connection *item;

    pthread_mutex_lock(&connections->lock);
    item = find(connections, descriptor);
    if (item && item->silent) {
        item->silent = false;
        item->since_ms = now_ms;
        connections->silent--;
    }
    pthread_mutex_unlock(&connections->lock);
}

void connections_drop(struct connections *connections, int descriptor)
{
    struct connection *item;

    pthread_mutex_lock(&connections->lock);
    item = find(connections, descriptor);
    if (item)
        take_out(connections, item);
    pthread_mutex_unlock(&connections->lock);
}

int connections_take_late(struct connections *connections, int64_t now_ms)
{
    int descriptor = -1;

    pthread_mutex_lock(&connections->lock);
    for (size_t i = 0; i < connections->capacity && descriptor < 0; i++) {
        struct connection *item = &connections->items[i];

        if (item->used && item->silent && item->deadline_ms <= now_ms) {
            descriptor = (int)i;
            take_out(connections, item);
        }
    }
    pthread_mutex_unlock(&connections->lock);
    return descriptor;
}

size_t connections_silent(struct connections *connections)
{
    size_t count;

    pthread_mutex_lock(&connections->lock);
    count = connections->silent;
    pthread_mutex_unlock(&connections->lock);
    return count;
}

size_t connections_count(struct connections *connections)
{
    size_t count;

    pthread_mutex_lock(&connections->lock);
    look(connections);
    count = connections->count;
    pthread_mutex_unlock(&connections->lock);
    return count;
}

struct connection_limits connections_limits(const struct connections *connections)
{
    return connections->limits;
}

bool connections_call_begins(struct connections *connections, int descriptor,
                             char out[PEER_NAME_BYTES])
{
    struct connection *item;

    out[0] = '\0';
    pthread_mutex_lock(&connections->lock);
    item = find(connections, descriptor);
    if (item) {
        memcpy(out, item->name, PEER_NAME_BYTES);
        item->calls++;
    }
    pthread_mutex_unlock(&connections->lock);
    return item;
}

void connections_call_ends(struct connections *connections, int descriptor, int64_t now_ms)
{
    struct connection *item;

    pthread_mutex_lock(&connections->lock);
    item = find(connections, descriptor);
    if (item && item->calls > 0 && --item->calls == 0)
        item->since_ms = now_ms;
    pthread_mutex_unlock(&connections->lock);
}
