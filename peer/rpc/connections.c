#include "peer/rpc/connections.h"

#include "common/clock.h"
#include "common/memory.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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

#define HOST_BYTES 16

struct connection {
    int descriptor;
    bool silent;
    dev_t device;
    ino_t inode;
    int64_t deadline_ms; /* of a silent one */
    uint8_t host[HOST_BYTES];
    char name[PEER_NAME_BYTES];
};

struct connections {
    struct connection_limits limits;
    pthread_mutex_t lock; /* guards the rest */
    struct connection *items;
    size_t count, capacity;
    size_t silent;
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
    pthread_mutex_init(&connections->lock, NULL);
    return connections;
}

void connections_free(struct connections *connections)
{
    if (!connections)
        return;
    pthread_mutex_destroy(&connections->lock);
    free(connections->items);
    free(connections);
}

/* ---- one host ---- */

static void host_of(const struct sockaddr_storage *address, uint8_t host[HOST_BYTES])
{
    const struct sockaddr_in *four = (const void *)address;
    const struct sockaddr_in6 *six = (const void *)address;

    memset(host, 0, HOST_BYTES);
    if (address->ss_family == AF_INET) {
        host[10] = host[11] = 0xff; /* as IPv6 writes it */
        memcpy(host + 12, &four->sin_addr, 4);
    } else if (address->ss_family == AF_INET6) {
        bool whole = IN6_IS_ADDR_V4MAPPED(&six->sin6_addr);

        memcpy(host, &six->sin6_addr, whole ? 16 : 8);
    }
}

static size_t count_host(const struct connections *connections, const uint8_t host[HOST_BYTES])
{
    size_t count = 0;

    for (size_t i = 0; i < connections->count; i++)
        count += memcmp(connections->items[i].host, host, HOST_BYTES) == 0;
    return count;
}

/* ---- the list ---- */

static struct connection *find(struct connections *connections, int descriptor)
{
    for (size_t i = 0; i < connections->count; i++)
        if (connections->items[i].descriptor == descriptor)
            return &connections->items[i];
    return NULL;
}

static void take_out(struct connections *connections, struct connection *item)
{
    connections->silent -= item->silent;
    *item = connections->items[--connections->count];
}

static void put_in(struct connections *connections, const struct connection *item)
{
    if (connections->count == connections->capacity) {
        connections->capacity = connections->capacity ? 2 * connections->capacity : 16;
        connections->items =
            memory_resize(connections->items, connections->capacity, sizeof *connections->items);
    }
    connections->items[connections->count++] = *item;
    connections->silent += item->silent;
}

static bool connection_is_open(const struct connection *item)
{
    struct stat status;

    return fstat(item->descriptor, &status) == 0 && status.st_dev == item->device &&
           status.st_ino == item->inode;
}

/* Forgets what the core has closed. */
static void look(struct connections *connections)
{
    for (size_t i = connections->count; i-- > 0;)
        if (!connections->items[i].silent && !connection_is_open(&connections->items[i]))
            take_out(connections, &connections->items[i]);
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

static enum admission check(const struct connections *connections, const uint8_t host[HOST_BYTES])
{
    if (connections->count >= connections->limits.total)
        return ADMISSION_FULL;
    if (count_host(connections, host) >= connections->limits.host)
        return ADMISSION_HOST_FULL;
    return ADMISSION_GRANTED;
}

/* Of all hosts with NULL. Returns its descriptor, or -1. */
static int displace(struct connections *connections, const uint8_t *host)
{
    struct connection *oldest = NULL;
    int descriptor;

    for (size_t i = 0; i < connections->count; i++) {
        struct connection *item = &connections->items[i];

        if (item->silent && (!host || memcmp(item->host, host, HOST_BYTES) == 0) &&
            (!oldest || item->deadline_ms < oldest->deadline_ms))
            oldest = item;
    }
    if (!oldest)
        return -1;
    descriptor = oldest->descriptor;
    take_out(connections, oldest);
    return descriptor;
}

static enum admission make_room(struct connections *connections, const uint8_t host[HOST_BYTES],
                                int *displaced)
{
    enum admission admission = check(connections, host);

    if (admission == ADMISSION_GRANTED)
        return admission;
    look_now_and_then(connections);
    /* First of its own host: one that has many must not displace others'. */
    if (count_host(connections, host) >= connections->limits.host)
        *displaced = displace(connections, host);
    else if (connections->count >= connections->limits.total)
        *displaced = displace(connections, NULL);
    return check(connections, host);
}

enum admission connections_admit(struct connections *connections, int descriptor,
                                 const struct sockaddr_storage *address, int64_t deadline_ms,
                                 int *displaced)
{
    struct connection item = {.descriptor = descriptor, .silent = true, .deadline_ms = deadline_ms};
    struct connection *before;
    struct stat status = {0};
    enum admission admission;

    *displaced = -1;
    (void)fstat(descriptor, &status); /* it is open: nothing can go wrong */
    item.device = status.st_dev;
    item.inode = status.st_ino;
    host_of(address, item.host);
    peer_name_format(address, item.name);
    pthread_mutex_lock(&connections->lock);
    before = find(connections, descriptor);
    if (before) /* the core has closed it */
        take_out(connections, before);
    admission = make_room(connections, item.host, displaced);
    if (admission == ADMISSION_GRANTED)
        put_in(connections, &item);
    pthread_mutex_unlock(&connections->lock);
    return admission;
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

void connections_greeted(struct connections *connections, int descriptor)
{
    struct connection *item;

    pthread_mutex_lock(&connections->lock);
    item = find(connections, descriptor);
    if (item && item->silent) {
        item->silent = false;
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
    for (size_t i = 0; i < connections->count && descriptor < 0; i++) {
        struct connection *item = &connections->items[i];

        if (item->silent && item->deadline_ms <= now_ms) {
            descriptor = item->descriptor;
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

const char *connections_name(struct connections *connections, int descriptor,
                             char out[PEER_NAME_BYTES])
{
    const struct connection *item;

    out[0] = '\0';
    pthread_mutex_lock(&connections->lock);
    item = find(connections, descriptor);
    if (item)
        memcpy(out, item->name, PEER_NAME_BYTES);
    pthread_mutex_unlock(&connections->lock);
    return out;
}
