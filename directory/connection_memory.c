#include "directory/connection_memory.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    ALIGNMENT = 16,
    /* The struct and a dozen headers, each 64 bytes from the end: with them in the page where the
     * request begins, that is the only one. */
    FIRST_BYTES = 1024,
};

/* At the beginning of its mapping. Offsets are from there. */
struct MemoryPool {
    size_t bytes;      /* the mapping */
    size_t first_free; /* of the first FIRST_BYTES */
    size_t free;       /* what lies between these two is free, too */
    size_t end;
    bool large;              /* the last use went past CONNECTION_MEMORY_KEPT_BYTES */
    struct MemoryPool *next; /* guarded by spare.lock */
};

_Static_assert(FIRST_BYTES % ALIGNMENT == 0, "blocks are aligned");

static struct {
    pthread_mutex_t lock;
    struct MemoryPool *pools;
    unsigned count;
} spare = {.lock = PTHREAD_MUTEX_INITIALIZER};

static size_t round_up(size_t bytes, size_t unit)
{
    return (bytes + unit - 1) / unit * unit;
}

static char *at(struct MemoryPool *pool, size_t offset)
{
    return (char *)pool + offset;
}

static void clear(struct MemoryPool *pool)
{
    pool->first_free = round_up(sizeof *pool, ALIGNMENT);
    pool->free = FIRST_BYTES;
    pool->end = pool->bytes;
}

/* ---- pools ---- */

void MHD_init_mem_pools_(void)
{
}

/* NULL: there is none of that size. */
static struct MemoryPool *take_spare(size_t bytes)
{
    pthread_mutex_lock(&spare.lock);
    struct MemoryPool *pool = spare.pools;
    if (pool) {
        spare.pools = pool->next;
        spare.count--;
    }
    pthread_mutex_unlock(&spare.lock);
    if (pool && pool->bytes != bytes) {
        munmap(pool, pool->bytes);
        return NULL;
    }
    return pool;
}

/* False: there are enough. */
static bool keep_spare(struct MemoryPool *pool)
{
    pthread_mutex_lock(&spare.lock);
    bool keep = spare.count < CONNECTION_MEMORY_SPARE_MAX;
    if (keep) {
        pool->next = spare.pools;
        spare.pools = pool;
        spare.count++;
    }
    pthread_mutex_unlock(&spare.lock);
    return keep;
}

static struct MemoryPool *map_pool(size_t bytes)
{
    struct MemoryPool *pool =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (pool == MAP_FAILED)
        return NULL;
    /* Neighbours become one area, and a system that likes huge pages would put 2 MiB under it. */
    madvise(pool, bytes, MADV_NOHUGEPAGE);
    pool->bytes = bytes;
    return pool;
}

struct MemoryPool *MHD_pool_create(size_t bytes)
{
    if (bytes > SIZE_MAX / 2)
        return NULL;
    bytes = round_up(FIRST_BYTES + bytes, (size_t)sysconf(_SC_PAGESIZE));
    struct MemoryPool *pool = take_spare(bytes);
    if (!pool)
        pool = map_pool(bytes);
    if (pool)
        clear(pool);
    return pool;
}

/* Whether the pool was written to past what is kept. That is from the left, and by the kernel, too,
 * so it is not known how far; but what has got past this place has left something at it. Reading a
 * page that is not there makes none. A client that sends zeros can keep its pages, which are the
 * pool's size at most. */
static bool was_large(struct MemoryPool *pool)
{
    uint64_t trace;

    if (pool->bytes < CONNECTION_MEMORY_KEPT_BYTES + sizeof trace)
        return false;
    memcpy(&trace, at(pool, CONNECTION_MEMORY_KEPT_BYTES), sizeof trace);
    if (trace != 0)
        memset(at(pool, CONNECTION_MEMORY_KEPT_BYTES), 0, sizeof trace);
    return trace != 0;
}

static void give_back(struct MemoryPool *pool)
{
    madvise(at(pool, CONNECTION_MEMORY_KEPT_BYTES), pool->bytes - CONNECTION_MEMORY_KEPT_BYTES,
            MADV_DONTNEED);
    pool->large = false;
}

void MHD_pool_destroy(struct MemoryPool *pool)
{
    if (!pool)
        return;
    if (was_large(pool) || pool->large)
        give_back(pool);
    if (!keep_spare(pool))
        munmap(pool, pool->bytes);
}

/* ---- blocks ---- */

size_t MHD_pool_get_free(struct MemoryPool *pool)
{
    return pool->end - pool->free;
}

static void *take_from_end(struct MemoryPool *pool, size_t bytes)
{
    if (bytes <= FIRST_BYTES - pool->first_free) {
        void *block = at(pool, pool->first_free);
        pool->first_free += bytes;
        return block;
    }
    if (bytes > pool->end - pool->free)
        return NULL;
    pool->end -= bytes;
    return at(pool, pool->end);
}

static void *take(struct MemoryPool *pool, size_t bytes)
{
    void *block = at(pool, pool->free);

    if (bytes > pool->end - pool->free)
        return NULL;
    pool->free += bytes;
    return block;
}

void *MHD_pool_allocate(struct MemoryPool *pool, size_t bytes, bool from_end)
{
    if (bytes > pool->bytes)
        return NULL;
    bytes = round_up(bytes, ALIGNMENT);
    return from_end ? take_from_end(pool, bytes) : take(pool, bytes);
}

void *MHD_pool_try_alloc(struct MemoryPool *pool, size_t bytes, size_t *missing)
{
    void *block = MHD_pool_allocate(pool, bytes, true);

    if (block)
        return block;
    if (bytes > pool->end - FIRST_BYTES)
        *missing = SIZE_MAX;
    else
        *missing = round_up(bytes, ALIGNMENT) - (pool->end - pool->free);
    return NULL;
}

void *MHD_pool_reallocate(struct MemoryPool *pool, void *block, size_t old_bytes, size_t bytes)
{
    if (bytes > pool->bytes)
        return NULL;
    size_t offset = block ? (size_t)((char *)block - (char *)pool) : 0;
    bool last = block && round_up(offset + old_bytes, ALIGNMENT) == pool->free;
    if (last) {
        size_t end = round_up(offset + bytes, ALIGNMENT);
        if (end > pool->end)
            return NULL;
        pool->free = end;
        return block;
    }
    if (block && bytes <= old_bytes)
        return block;
    void *moved = take(pool, round_up(bytes, ALIGNMENT));
    if (moved && old_bytes > 0)
        memcpy(moved, block, old_bytes);
    return moved;
}

void *MHD_pool_reset(struct MemoryPool *pool, void *kept, size_t kept_bytes, size_t bytes)
{
    char *block = at(pool, FIRST_BYTES);

    if (kept_bytes > 0 && kept != block)
        memmove(block, kept, kept_bytes);
    if (FIRST_BYTES + kept_bytes <= CONNECTION_MEMORY_KEPT_BYTES) {
        if (was_large(pool))
            pool->large = true;
        else if (pool->large)
            give_back(pool);
    }
    clear(pool);
    pool->free += round_up(bytes, ALIGNMENT);
    return block;
}
