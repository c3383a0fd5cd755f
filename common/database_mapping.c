#include "common/database_mapping.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdint.h>

/* What has come since a file was mapped is read by system calls. */
enum { GROWTH_BYTES = 8 << 20 };

/* Stands behind SQLite's own struct of an open file. */
struct mapped_file {
    sqlite3_io_methods methods; /* SQLite's, and our unfetch */
    const sqlite3_io_methods *own;
    sqlite3_int64 mapped_bytes; /* about: the file's when it was to be mapped last */
};

static sqlite3_vfs *own;
static sqlite3_vfs ours;
static int outcome;

static struct mapped_file *state_of(sqlite3_file *file)
{
    return (struct mapped_file *)(void *)((char *)file + ours.szOsFile) - 1;
}

/* Without a page: the mapping is to go. */
static int unfetch(sqlite3_file *file, sqlite3_int64 offset, void *page)
{
    struct mapped_file *state = state_of(file);
    sqlite3_int64 bytes;

    if (!page) {
        if (state->own->xFileSize(file, &bytes) == SQLITE_OK && bytes >= state->mapped_bytes &&
            bytes < state->mapped_bytes + GROWTH_BYTES)
            return SQLITE_OK;
        state->mapped_bytes = bytes;
    }
    return state->own->xUnfetch(file, offset, page);
}

static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                     int *flags_out)
{
    struct mapped_file *state = state_of(file);
    int result = own->xOpen(own, name, file, flags, flags_out);

    (void)vfs;
    if (result != SQLITE_OK || !(flags & SQLITE_OPEN_MAIN_DB) || file->pMethods->iVersion < 3)
        return result;
    *state = (struct mapped_file){.methods = *file->pMethods, .own = file->pMethods};
    state->methods.xUnfetch = unfetch;
    file->pMethods = &state->methods;
    return SQLITE_OK;
}

static void register_ours(void)
{
    const int unit = (int)sizeof(sqlite3_int64);

    sqlite3_initialize();
    own = sqlite3_vfs_find(NULL);
    if (!own) {
        outcome = SQLITE_ERROR;
        return;
    }
    ours = *own;
    ours.zName = "p2p-mapped";
    ours.szOsFile = (own->szOsFile + unit - 1) / unit * unit + (int)sizeof(struct mapped_file);
    ours.xOpen = open_file;
    outcome = sqlite3_vfs_register(&ours, 0);
}

enum error_code database_mapping_name(const char **name, struct error *error)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, register_ours);
    *name = ours.zName;
    return outcome == SQLITE_OK ? ERROR_NONE
                                : error_set(error, ERROR_IO, "%s", sqlite3_errstr(outcome));
}
