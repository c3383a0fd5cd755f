#include "common/database_pages.h"

#include "common/memory.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum {
    PAGE_BYTES = 4096,        /* of other sizes none is kept */
    FILE_PAGES_MAX = 1 << 24, /* nor of what is beyond 64 GiB */
    TAIL_BYTES = PAGE_BYTES,  /* SQLite looks past the end of a damaged page */
    TRIES_MAX = 1024,         /* to find a place for a page */
    FREE_AHEAD = 64,          /* taken away before they are needed: nobody reads them by then */
};

/* Page 0, the first one, is never asked for. */
#define NO_PAGE 0

/* A place for a page; guarded by the pool's lock. One whose page was taken away is in line to be
 * used again, once nobody can be reading that page any more. */
struct slot {
    uint32_t page;
    uint32_t next;  /* in that line: the number of the slot, from 1 on; 0: it is the last one */
    uint64_t since; /* in that line: the time when the page went */
};

/* A connection that reads. Times are counts of the pages that were taken away. */
struct reader {
    atomic_uint_least64_t since; /* it may have pages of then; 0: it has none */
    unsigned held;               /* pages; the connection's */
    struct reader *next;         /* of the pool; guarded by its lock */
    unsigned char apart[64];     /* from what other threads write: a cache line */
};

/* The pages of one file. */
struct pool {
    struct pool *next; /* guarded by pools_lock, as users */
    unsigned users;
    dev_t device;
    ino_t inode;
    pthread_mutex_t lock;
    /* Made once, by the first who wants pages, before he asks for any. */
    unsigned char *bytes;
    struct slot *slots;
    atomic_bool *was_used; /* of each slot: its page, again, since the hand came by; any thread */
    atomic_uint *places;   /* of each page of the file: its slot's number, from 1 on; 0: none.
                            * Changed under the lock, read without it. */
    size_t slots_max;
    atomic_uint_least64_t now;      /* counted under the lock, from 1 on */
    size_t slot_count, hand;        /* guarded by lock, as what follows */
    uint32_t first_free, last_free; /* the line */
    size_t free_count;
    struct reader *readers;
};

/* Stands behind SQLite's own struct of an open file. */
struct shared_file {
    sqlite3_io_methods methods; /* SQLite's, and ours */
    const sqlite3_io_methods *own;
    struct pool *pool;
    struct reader *reader;
    bool takes_part; /* the pool has room */
};

static sqlite3_vfs *own;
static sqlite3_vfs ours;
static int outcome;
static pthread_mutex_t pools_lock = PTHREAD_MUTEX_INITIALIZER;
static struct pool *pools;

static struct shared_file *state_of(sqlite3_file *file)
{
    return (struct shared_file *)(void *)((char *)file + ours.szOsFile) - 1;
}

/* ---- slots ---- */

static unsigned char *bytes_of(const struct pool *pool, uint32_t number)
{
    return pool->bytes + (size_t)(number - 1) * PAGE_BYTES;
}

/* From the first page that a connection has to the last one, pages of then stay as they are. */
static void begin_reading(const struct pool *pool, struct reader *reader)
{
    if (reader->held++ == 0)
        atomic_store(&reader->since, atomic_load(&pool->now));
}

static void end_reading(struct reader *reader)
{
    if (--reader->held == 0)
        atomic_store_explicit(&reader->since, 0, memory_order_release);
}

/* Its slot; 0: the page is not there. For who reads. */
static uint32_t find(struct pool *pool, uint32_t page)
{
    uint32_t number = atomic_load(&pool->places[page]);

    if (number && !atomic_load_explicit(&pool->was_used[number - 1], memory_order_relaxed))
        atomic_store_explicit(&pool->was_used[number - 1], true, memory_order_relaxed);
    return number;
}

/* Under the lock, as all up to take_slot. */
static void put_in_line(struct pool *pool, uint32_t number, uint64_t since)
{
    struct slot *slot = &pool->slots[number - 1];

    *slot = (struct slot){.page = NO_PAGE, .since = since};
    if (pool->last_free)
        pool->slots[pool->last_free - 1].next = number;
    else
        pool->first_free = number;
    pool->last_free = number;
    pool->free_count++;
}

/* Who has the page keeps it; nobody gets it any more. */
static void take_away(struct pool *pool, uint32_t number)
{
    atomic_store(&pool->places[pool->slots[number - 1].page], 0);
    put_in_line(pool, number, atomic_fetch_add(&pool->now, 1) + 1);
}

/* Takes away one that was not asked for again since the hand came by last (CLOCK). */
static void make_free(struct pool *pool)
{
    bool done = false;

    for (int tries = 0; !done && tries < TRIES_MAX; tries++) {
        size_t i = pool->hand;
        pool->hand = (pool->hand + 1) % pool->slots_max;
        done = pool->slots[i].page != NO_PAGE && !atomic_exchange(&pool->was_used[i], false);
        if (done)
            take_away(pool, (uint32_t)i + 1);
    }
}

/* Whether nobody has a page of before that time. */
static bool is_over(const struct pool *pool, uint64_t time)
{
    for (const struct reader *reader = pool->readers; reader; reader = reader->next) {
        uint64_t since = atomic_load(&reader->since);
        if (since != 0 && since < time)
            return false;
    }
    return true;
}

/* An empty one; 0: there is none now. */
static uint32_t take_slot(struct pool *pool)
{
    if (pool->slot_count < pool->slots_max)
        return (uint32_t)++pool->slot_count;
    if (pool->free_count < FREE_AHEAD && pool->free_count < pool->slots_max / 4)
        make_free(pool);
    uint32_t number = pool->first_free;
    if (!number || !is_over(pool, pool->slots[number - 1].since))
        return 0;
    pool->first_free = pool->slots[number - 1].next;
    if (!pool->first_free)
        pool->last_free = 0;
    pool->free_count--;
    return number;
}

/* Reads a page that is not there, without the lock; for who reads. 0: not possible, and SQLite
 * shall see why. */
static uint32_t load(sqlite3_file *file, struct pool *pool, uint32_t page)
{
    pthread_mutex_lock(&pool->lock);
    uint32_t number = take_slot(pool);
    pthread_mutex_unlock(&pool->lock);
    if (!number)
        return 0;
    bool is_read = state_of(file)->own->xRead(file, bytes_of(pool, number), PAGE_BYTES,
                                              (sqlite3_int64)page * PAGE_BYTES) == SQLITE_OK;
    pthread_mutex_lock(&pool->lock);
    uint32_t there = find(pool, page); /* another thread was quicker */
    if (is_read && !there) {
        pool->slots[number - 1].page = page;
        atomic_store(&pool->places[page], number);
        there = number;
    } else {
        put_in_line(pool, number, 0);
    }
    pthread_mutex_unlock(&pool->lock);
    return there;
}

/* They are about to change. Nobody reads them meanwhile; who still has one only lets go of it. */
static void forget(struct pool *pool, sqlite3_int64 offset, int amount)
{
    sqlite3_int64 last = (offset + amount - 1) / PAGE_BYTES;

    pthread_mutex_lock(&pool->lock);
    for (sqlite3_int64 page = offset / PAGE_BYTES;
         pool->bytes && page <= last && page < FILE_PAGES_MAX; page++) {
        unsigned number = atomic_load(&pool->places[page]);
        if (number)
            take_away(pool, number);
    }
    pthread_mutex_unlock(&pool->lock);
}

/* ---- pools ---- */

/* Memory that is there once it is used. NULL: there is none. */
static void *reserve(size_t bytes)
{
    void *made = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return made == MAP_FAILED ? NULL : made;
}

static void unreserve(void *memory, size_t bytes)
{
    if (memory)
        munmap(memory, bytes);
}

static void release(struct pool *pool)
{
    unreserve(pool->bytes, pool->slots_max * PAGE_BYTES + TAIL_BYTES);
    unreserve(pool->slots, pool->slots_max * sizeof *pool->slots);
    unreserve(pool->was_used, pool->slots_max * sizeof *pool->was_used);
    unreserve(pool->places, FILE_PAGES_MAX * sizeof *pool->places);
    pool->bytes = NULL;
    pool->slots = NULL;
    pool->was_used = NULL;
    pool->places = NULL;
}

/* False: no pages are kept. In few large pages of the system's they are found quicker. */
static bool make_room(struct pool *pool, sqlite3_int64 bytes)
{
    pthread_mutex_lock(&pool->lock);
    if (!pool->bytes && bytes >= PAGE_BYTES) {
        pool->slots_max = (size_t)bytes / PAGE_BYTES;
        pool->bytes = reserve(pool->slots_max * PAGE_BYTES + TAIL_BYTES);
        pool->slots = reserve(pool->slots_max * sizeof *pool->slots);
        pool->was_used = reserve(pool->slots_max * sizeof *pool->was_used);
        pool->places = reserve(FILE_PAGES_MAX * sizeof *pool->places);
        if (!pool->bytes || !pool->slots || !pool->was_used || !pool->places)
            release(pool);
        else
            madvise(pool->bytes, pool->slots_max * PAGE_BYTES, MADV_HUGEPAGE);
    }
    bool is_there = pool->bytes != NULL;
    pthread_mutex_unlock(&pool->lock);
    return is_there;
}

/* NULL: the file cannot be looked at. */
static struct pool *join_pool(const char *path)
{
    struct stat status;

    if (stat(path, &status) < 0)
        return NULL;
    pthread_mutex_lock(&pools_lock);
    struct pool *pool = pools;
    while (pool && (pool->device != status.st_dev || pool->inode != status.st_ino))
        pool = pool->next;
    if (!pool) {
        pool = memory_new(1, sizeof *pool);
        pool->device = status.st_dev;
        pool->inode = status.st_ino;
        atomic_init(&pool->now, 1);
        pthread_mutex_init(&pool->lock, NULL);
        pool->next = pools;
        pools = pool;
    }
    pool->users++;
    pthread_mutex_unlock(&pools_lock);
    return pool;
}

static void leave_pool(struct pool *pool)
{
    pthread_mutex_lock(&pools_lock);
    if (--pool->users == 0) {
        struct pool **place = &pools;
        while (*place != pool)
            place = &(*place)->next;
        *place = pool->next;
        release(pool);
        pthread_mutex_destroy(&pool->lock);
        free(pool);
    }
    pthread_mutex_unlock(&pools_lock);
}

static struct reader *add_reader(struct pool *pool)
{
    struct reader *reader = memory_new(1, sizeof *reader);

    pthread_mutex_lock(&pool->lock);
    reader->next = pool->readers;
    pool->readers = reader;
    pthread_mutex_unlock(&pool->lock);
    return reader;
}

static void remove_reader(struct pool *pool, struct reader *reader)
{
    pthread_mutex_lock(&pool->lock);
    struct reader **place = &pool->readers;
    while (*place != reader)
        place = &(*place)->next;
    *place = reader->next;
    pthread_mutex_unlock(&pool->lock);
    free(reader);
}

/* ---- what SQLite calls ---- */

static int fetch_page(sqlite3_file *file, sqlite3_int64 offset, int amount, void **page)
{
    const struct shared_file *state = state_of(file);
    sqlite3_int64 number = offset / PAGE_BYTES;

    *page = NULL; /* SQLite is to read it itself */
    if (!state->takes_part || amount != PAGE_BYTES || number >= FILE_PAGES_MAX)
        return SQLITE_OK;
    begin_reading(state->pool, state->reader);
    uint32_t slot = find(state->pool, (uint32_t)number);
    if (!slot)
        slot = load(file, state->pool, (uint32_t)number);
    if (slot)
        *page = bytes_of(state->pool, slot);
    else
        end_reading(state->reader);
    return SQLITE_OK;
}

/* Without a page: all that was read before is to be forgotten; forget_pages knows better. */
static int unfetch_page(sqlite3_file *file, sqlite3_int64 offset, void *page)
{
    (void)offset;
    if (page)
        end_reading(state_of(file)->reader);
    return SQLITE_OK;
}

static int write_file(sqlite3_file *file, const void *bytes, int amount, sqlite3_int64 offset)
{
    struct shared_file *state = state_of(file);
    int result = state->own->xWrite(file, bytes, amount, offset);

    forget(state->pool, offset, amount);
    return result;
}

/* How much SQLite itself may map: nothing. */
static int control_file(sqlite3_file *file, int operation, void *argument)
{
    struct shared_file *state = state_of(file);
    const sqlite3_int64 *bytes = argument;

    if (operation != SQLITE_FCNTL_MMAP_SIZE)
        return state->own->xFileControl(file, operation, argument);
    if (*bytes > 0)
        state->takes_part = make_room(state->pool, *bytes);
    return SQLITE_OK;
}

static int close_file(sqlite3_file *file)
{
    struct shared_file *state = state_of(file);
    struct pool *pool = state->pool;
    struct reader *reader = state->reader;
    int result = state->own->xClose(file);

    remove_reader(pool, reader);
    leave_pool(pool);
    return result;
}

static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                     int *flags_out)
{
    struct shared_file *state = state_of(file);
    int result = own->xOpen(own, name, file, flags, flags_out);

    (void)vfs;
    if (result != SQLITE_OK || !(flags & SQLITE_OPEN_MAIN_DB) || file->pMethods->iVersion < 3)
        return result;
    struct pool *pool = join_pool(name);
    if (!pool)
        return SQLITE_OK;
    *state = (struct shared_file){.methods = *file->pMethods,
                                  .own = file->pMethods,
                                  .pool = pool,
                                  .reader = add_reader(pool)};
    state->methods.xClose = close_file;
    state->methods.xWrite = write_file;
    state->methods.xFileControl = control_file;
    state->methods.xFetch = fetch_page;
    state->methods.xUnfetch = unfetch_page;
    file->pMethods = &state->methods;
    return SQLITE_OK;
}

static void register_ours(void)
{
    const int unit = (int)sizeof(sqlite3_int64);

    /* Nobody asks how much it has allocated, and counting takes a lock of all threads. */
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    sqlite3_initialize();
    own = sqlite3_vfs_find(NULL);
    if (!own) {
        outcome = SQLITE_ERROR;
        return;
    }
    ours = *own;
    ours.zName = "p2p-pages";
    ours.szOsFile = (own->szOsFile + unit - 1) / unit * unit + (int)sizeof(struct shared_file);
    ours.xOpen = open_file;
    outcome = sqlite3_vfs_register(&ours, 0);
}

enum error_code database_pages_name(const char **name, struct error *error)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, register_ours);
    *name = ours.zName;
    return outcome == SQLITE_OK ? ERROR_NONE
                                : error_set(error, ERROR_IO, "%s", sqlite3_errstr(outcome));
}
