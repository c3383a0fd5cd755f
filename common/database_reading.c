#include "common/database_reading.h"

#include "common/memory.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* Stands behind SQLite's own struct of an open file. */
struct reading_file {
    sqlite3_io_methods methods; /* SQLite's, and ours */
    const sqlite3_io_methods *own;
    bool has_log;
};

static sqlite3_vfs *own;
static sqlite3_vfs ours;
static int outcome;

static struct reading_file *state_of(sqlite3_file *file)
{
    return (struct reading_file *)(void *)((char *)file + ours.szOsFile) - 1;
}

static int lock(sqlite3_file *file, int level)
{
    (void)file;
    (void)level;
    return SQLITE_OK;
}

static int check_reserved_lock(sqlite3_file *file, int *is_reserved)
{
    (void)file;
    *is_reserved = 0;
    return SQLITE_OK;
}

static int get_traits(sqlite3_file *file)
{
    const struct reading_file *state = state_of(file);

    return state->own->xDeviceCharacteristics(file) | (state->has_log ? 0 : SQLITE_IOCAP_IMMUTABLE);
}

static bool has_log(const char *name)
{
    auto_free char *log = memory_format("%s-wal", name);
    struct stat status;

    return stat(log, &status) == 0 && status.st_size > 0;
}

static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                     int *flags_out)
{
    struct reading_file *state = state_of(file);

    (void)vfs;
    if (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL))
        flags = (flags & ~(SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)) | SQLITE_OPEN_READONLY;
    int result = own->xOpen(own, name, file, flags, flags_out);
    if (result != SQLITE_OK || !(flags & SQLITE_OPEN_MAIN_DB))
        return result;
    *state = (struct reading_file){
        .methods = *file->pMethods, .own = file->pMethods, .has_log = has_log(name)};
    state->methods.xLock = lock;
    state->methods.xUnlock = lock;
    state->methods.xCheckReservedLock = check_reserved_lock;
    state->methods.xDeviceCharacteristics = get_traits;
    state->methods.xShmMap = NULL; /* the log's index in memory, or none */
    file->pMethods = &state->methods;
    return SQLITE_OK;
}

/* Temporary files are removed when they are opened. */
static int remove_file(sqlite3_vfs *vfs, const char *name, int is_synced)
{
    (void)vfs;
    (void)name;
    (void)is_synced;
    return SQLITE_READONLY;
}

static void register_ours(void)
{
    const int unit = (int)sizeof(sqlite3_int64);

    sqlite3_initialize();
    own = sqlite3_vfs_find("unix");
    if (!own) {
        outcome = SQLITE_ERROR;
        return;
    }
    ours = *own;
    ours.zName = "p2p-reading";
    ours.szOsFile = (own->szOsFile + unit - 1) / unit * unit + (int)sizeof(struct reading_file);
    ours.xOpen = open_file;
    ours.xDelete = remove_file;
    outcome = sqlite3_vfs_register(&ours, 0);
}

enum error_code database_reading_name(const char **name, struct error *error)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, register_ours);
    *name = ours.zName;
    return outcome == SQLITE_OK ? ERROR_NONE
                                : error_set(error, ERROR_IO, "%s", sqlite3_errstr(outcome));
}
