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
};

/* Page 0, the first one, is never asked for. */
#define NO_PAGE 0

/* A place for a page. Whoever holds it does so for its page's number, and looks once more whether
 * it is still that page's: it is given away only while nobody holds it. Each is a cache line of the
 * processor's: the pages that come first are the trees' roots, which all threads hold all the time.
 */
struct slot {
    _Alignas(64) atomic_uint held; /* by so many; any thread */
    atomic_bool was_used;          /* again, since the hand came by; any thread */
    uint32_t page;                 /* guarded by the pool's lock */
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
    atomic_uint *places; /* of each page of the file: its slot's number, from 1 on; 0: none.
                          * Changed under the lock, read without it. */
    size_t slots_max;
    size_t slot_count, hand; /* guarded by lock */
};

/* Stands behind SQLite's own struct of an open file. */
struct shared_file {
    sqlite3_io_methods methods; /* SQLite's, and ours */
    const sqlite3_io_methods *own;
    struct pool *pool;
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

static unsigned char *bytes_of(const struct pool *pool, const struct slot *slot)
{
    return pool->bytes + (size_t)(slot - pool->slots) * PAGE_BYTES;
}

/* NULL: the page is not there. */
static struct slot *hold(struct pool *pool, uint32_t page)
{
    unsigned place;

    while ((place = atomic_load(&pool->places[page])) != 0) {
        struct slot *slot = &pool->slots[place - 1];
        atomic_fetch_add(&slot->held, 1);
        if (atomic_load(&pool->places[page]) == place) {
            if (!atomic_load_explicit(&slot->was_used, memory_order_relaxed))
                atomic_store_explicit(&slot->was_used, true, memory_order_relaxed);
            return slot;
        }
        atomic_fetch_sub(&slot->held, 1);
    }
    return NULL;
}

/* Under the lock. False: somebody holds it. */
static bool empty(struct pool *pool, struct slot *slot)
{
    unsigned place = (unsigned)(slot - pool->slots) + 1;

    atomic_store(&pool->places[slot->page], 0);
    if (atomic_load(&slot->held) > 0) {
        if (slot->page != NO_PAGE)
            atomic_store(&pool->places[slot->page], place);
        return false;
    }
    slot->page = NO_PAGE;
    return true;
}

/* Under the lock: an empty one, held; what was asked for again since the hand came by last stays
 * (CLOCK). NULL: it took too long. */
static struct slot *take_slot(struct pool *pool)
{
    struct slot *slot = NULL;

    if (pool->slot_count < pool->slots_max)
        slot = &pool->slots[pool->slot_count++];
    for (int tries = 0; !slot && tries < TRIES_MAX; tries++) {
        struct slot *next = &pool->slots[pool->hand];
        pool->hand = (pool->hand + 1) % pool->slots_max;
        if (!atomic_exchange(&next->was_used, false) && empty(pool, next))
            slot = next;
    }
    if (slot)
        atomic_fetch_add(&slot->held, 1);
    return slot;
}

/* Reads a page that is not there; held. NULL: not possible, and SQLite shall see why. */
static struct slot *load(sqlite3_file *file, struct pool *pool, uint32_t page)
{
    pthread_mutex_lock(&pool->lock);
    struct slot *slot = take_slot(pool);
    pthread_mutex_unlock(&pool->lock);
    if (!slot)
        return NULL;
    bool is_read = state_of(file)->own->xRead(file, bytes_of(pool, slot), PAGE_BYTES,
                                              (sqlite3_int64)page * PAGE_BYTES) == SQLITE_OK;
    pthread_mutex_lock(&pool->lock);
    struct slot *there = hold(pool, page); /* another thread was quicker */
    if (is_read && !there) {
        slot->page = page;
        atomic_store(&pool->places[page], (unsigned)(slot - pool->slots) + 1);
    }
    pthread_mutex_unlock(&pool->lock);
    if (is_read && !there)
        return slot;
    atomic_fetch_sub(&slot->held, 1);
    return there;
}

/* They are about to change. Nobody reads them meanwhile; who still holds one only lets go of it. */
static void forget(struct pool *pool, sqlite3_int64 offset, int amount)
{
    sqlite3_int64 last = (offset + amount - 1) / PAGE_BYTES;

    pthread_mutex_lock(&pool->lock);
    for (sqlite3_int64 page = offset / PAGE_BYTES;
         pool->bytes && page <= last && page < FILE_PAGES_MAX; page++) {
        unsigned place = atomic_exchange(&pool->places[page], 0);
        if (place)
            pool->slots[place - 1].page = NO_PAGE;
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
    unreserve(pool->places, FILE_PAGES_MAX * sizeof *pool->places);
    pool->bytes = NULL;
    pool->slots = NULL;
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
        pool->places = reserve(FILE_PAGES_MAX * sizeof *pool->places);
        if (!pool->bytes || !pool->slots || !pool->places)
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

/* ---- what SQLite calls ---- */

static int fetch_page(sqlite3_file *file, sqlite3_int64 offset, int amount, void **page)
{
    const struct shared_file *state = state_of(file);
    sqlite3_int64 number = offset / PAGE_BYTES;

    *page = NULL; /* SQLite is to read it itself */
    if (!state->takes_part || amount != PAGE_BYTES || number >= FILE_PAGES_MAX)
        return SQLITE_OK;
    struct slot *slot = hold(state->pool, (uint32_t)number);
    if (!slot)
        slot = load(file, state->pool, (uint32_t)number);
    if (slot)
        *page = bytes_of(state->pool, slot);
    return SQLITE_OK;
}

/* Without a page: all that was read before is to be forgotten; forget_pages knows better. */
static int unfetch_page(sqlite3_file *file, sqlite3_int64 offset, void *page)
{
    const struct pool *pool = state_of(file)->pool;

    (void)offset;
    if (page)
        atomic_fetch_sub(
            &pool->slots[(size_t)((unsigned char *)page - pool->bytes) / PAGE_BYTES].held, 1);
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
    int result = state->own->xClose(file);

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
    *state = (struct shared_file){.methods = *file->pMethods, .own = file->pMethods, .pool = pool};
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
