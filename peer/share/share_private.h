/*
 * What the modules of the shared folder have in common. Not for others: they include share.h.
 */
#pragma once

#include "peer/share/share.h"

#include <pthread.h>
#include <sys/stat.h>

/* ".p2p-part-" and six letters: hidden, so never listed nor sent, and told from what users hide. */
#define SHARE_TEMPORARY_PREFIX  ".p2p-part-"
#define SHARE_TEMPORARY_LETTERS 6
#define SHARE_TEMPORARY_BYTES   (sizeof SHARE_TEMPORARY_PREFIX + SHARE_TEMPORARY_LETTERS)

struct share {
    char *path;
    pthread_mutex_t lock;
    int folder; /* guarded by lock */
};

/* A descriptor of the folder that the path means now, owned by the caller: when the folder was
 * replaced, or another volume was mounted there, it is the new one. ERROR_NOT_FOUND: it is gone. */
MUST_CHECK enum error_code share_folder_open(struct share *share, int *folder, struct error *error);

/* Opens a regular file of that folder for reading and tells its status. Anything else of that name
 * is ERROR_NOT_FOUND. */
MUST_CHECK enum error_code share_regular_open(int folder, const struct file_name *name, int *file,
                                              struct stat *status, struct error *error);

/* Modification time in nanoseconds since 1970. */
int64_t share_modified_ns(const struct stat *status);

struct share_identity share_identity_of(const struct stat *status);
