/*
 * What the modules of the shared folder have in common. Not for others: they include share.h.
 */
#pragma once

#include "peer/share/share.h"

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#define SHARE_TEMPORARY_PREFIX  ".p2p-part-"
#define SHARE_TEMPORARY_LETTERS 6
_Static_assert(SHARE_TEMPORARY_BYTES == sizeof SHARE_TEMPORARY_PREFIX + SHARE_TEMPORARY_LETTERS,
               "the length of a temporary name");

/* Between who keeps the list and who wants it (list/kept.h). */
struct kept {
    pthread_mutex_t lock; /* guards all */
    pthread_cond_t answered;
    int wake; /* of who keeps it; -1: nobody */
    uint64_t asked, served;
    struct listing *listing; /* the answer; NULL: the error is */
    struct error error;
    char **again; /* names that are to be looked at */
    size_t again_count;
};
void kept_init(struct kept *kept);
void kept_done(struct kept *kept);

struct share {
    char *path;
    struct kept kept;
    pthread_mutex_t lock;
    int folder; /* guarded by lock */
    /* A folder that is not shared wherever it lies; zeroes: none. Set before anything is read. */
    dev_t excluded_device;
    ino_t excluded_inode;
};

struct share_incoming {
    const struct share *share;
    int folder;
    int file;
    char temporary[SHARE_TEMPORARY_BYTES]; /* "" when the file has no name any more */
    _Atomic int64_t written;
    int64_t writeback; /* up to here it was started; of what is appended */
    int64_t settled;   /* up to here it was waited for; a lag behind writeback */
    bool patient;      /* share_incoming_settle does the waiting */
    bool exact; /* only appended to, and no write has failed: the file is as long as written */
};

/* Whether the name is one that we give to files that arrive. */
bool share_is_temporary_name(const char *name);

/* Takes the lock of a temporary file. False: it is somebody else's, or was removed. */
bool share_temporary_lock(int file);

/* Reads as much as there is, up to the capacity; -1 (errno) after an error. */
ssize_t share_read_at(int file, void *data, size_t capacity, int64_t offset);

/* Closes and frees; the file stays. */
void share_incoming_free(struct share_incoming *incoming);

/* One more descriptor, for reading, without the lock. -1: none. */
int share_incoming_open(const struct share_incoming *incoming);

/* Takes a descriptor of a file that others write meanwhile: who reads knows which of its bytes are
 * there for good. Owned by the caller. */
struct share_reader *share_reader_of_pieces(int file, int64_t size_bytes);

/* The error of a write that failed: the code, and the words of a full disk. */
enum error_code share_write_failed(struct error *error, int reason);

MUST_CHECK enum error_code share_write_spans(int file, const struct iovec *spans, size_t span_count,
                                             int64_t offset, struct error *error);

/* A descriptor of the folder that the path means now, owned by the caller: when the folder was
 * replaced, or another volume was mounted there, it is the new one. ERROR_NOT_FOUND: it is gone. */
MUST_CHECK enum error_code share_folder_open(struct share *share, int *folder, struct error *error);

/* That folder could not be opened or read. */
enum error_code share_unavailable(struct error *error, int reason);

/* A stream of its own over the folder: a duplicate would share its position with other threads. */
DIR *share_stream_open(int folder);

/* A folder in the folder; -1 (errno) also for a link to one, and for the excluded one. */
int share_step(const struct share *share, int folder, const char *name);

/* The folder that the name's file is in, owned by the caller; in it the file is file_name_base.
 * ERROR_NOT_FOUND as share_reader_open. */
MUST_CHECK enum error_code share_place_open(struct share *share, const struct file_name *name,
                                            int *place, struct error *error);

/* The same for a file that has arrived: what is missing is made. ERROR_DENIED: there is something
 * else in the way, or another file system. */
MUST_CHECK enum error_code share_place_make(const struct share_incoming *incoming,
                                            const struct file_name *name, int *place,
                                            struct error *error);

/* errno says what went wrong. */
bool share_sync_folder(int folder);

/* The error of a file or folder that could not be opened for reading. */
enum error_code share_open_failed(struct error *error, int reason);

/* Opens a regular file of that folder for reading and tells its status. Anything else of that name
 * is ERROR_NOT_FOUND. */
MUST_CHECK enum error_code share_regular_open(int folder, const char *name, int *file,
                                              struct stat *status, struct error *error);

/* Modification time in nanoseconds since 1970. */
int64_t share_modified_ns(const struct stat *status);

struct share_identity share_identity_of(const struct stat *status);
