#include "peer/share/share.h"

#include "common/file_io.h"
#include "common/memory.h"
#include "peer/share/share_private.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

int64_t share_modified_ns(const struct stat *status)
{
    return (int64_t)status->st_mtim.tv_sec * 1000000000 + status->st_mtim.tv_nsec;
}

struct share_identity share_identity_of(const struct stat *status)
{
    return (struct share_identity){
        .device = status->st_dev,
        .inode = status->st_ino,
        .size_bytes = status->st_size,
        .modified_ns = share_modified_ns(status),
        .changed_ns = (int64_t)status->st_ctim.tv_sec * 1000000000 + status->st_ctim.tv_nsec,
    };
}

bool share_identity_equal(const struct share_identity *left, const struct share_identity *right)
{
    return left->device == right->device && left->inode == right->inode &&
           left->size_bytes == right->size_bytes && left->modified_ns == right->modified_ns &&
           left->changed_ns == right->changed_ns;
}

enum error_code share_unavailable(struct error *error, int reason)
{
    if (reason == ENOTDIR) /* something else has taken its place: it is gone all the same */
        reason = ENOENT;
    return error_set_errno(error, reason, "La carpeta compartida no está disponible");
}

static int open_folder(const char *path)
{
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Whether the descriptor is still what the path names. */
static bool is_same_folder(int folder, const struct stat *now)
{
    struct stat held;

    return folder >= 0 && fstat(folder, &held) == 0 && held.st_dev == now->st_dev &&
           held.st_ino == now->st_ino && held.st_nlink > 0;
}

enum error_code share_folder_open(struct share *share, int *folder, struct error *error)
{
    struct stat now;
    int reason = 0;

    pthread_mutex_lock(&share->lock);
    if (stat(share->path, &now) < 0) {
        reason = errno;
    } else if (!is_same_folder(share->folder, &now)) {
        int fresh = open_folder(share->path);
        reason = fresh < 0 ? errno : 0;
        if (fresh >= 0) {
            close(share->folder);
            share->folder = fresh;
        }
    }
    *folder = reason == 0 ? fcntl(share->folder, F_DUPFD_CLOEXEC, 0) : -1;
    if (reason == 0 && *folder < 0)
        reason = errno;
    pthread_mutex_unlock(&share->lock);
    return reason == 0 ? ERROR_NONE : share_unavailable(error, reason);
}

bool share_is_temporary_name(const char *name)
{
    static const char prefix[] = SHARE_TEMPORARY_PREFIX;

    if (strncmp(name, prefix, sizeof prefix - 1) != 0 || strlen(name) != SHARE_TEMPORARY_BYTES - 1)
        return false;
    for (const char *letter = name + sizeof prefix - 1; *letter; letter++)
        if (!isalnum((unsigned char)*letter))
            return false;
    return true;
}

/* Whoever writes a temporary file holds its lock; a lock that we get is one that nobody holds. */
static void remove_if_left_over(int folder, const char *name)
{
    auto_close int file =
        openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    struct stat status;

    if (file >= 0 && fstat(file, &status) == 0 && S_ISREG(status.st_mode) &&
        flock(file, LOCK_EX | LOCK_NB) == 0)
        unlinkat(folder, name, 0);
}

DIR *share_stream_open(int folder)
{
    int own = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = own >= 0 ? fdopendir(own) : NULL;

    if (own >= 0 && !stream)
        close(own);
    return stream;
}

static bool is_kept(const char *name, const struct share_kept *kept)
{
    for (size_t i = 0; i < kept->count; i++)
        if (strcmp(kept->names[i], name) == 0)
            return true;
    return false;
}

static void remove_left_overs(int folder, const struct share_kept *kept)
{
    DIR *stream = share_stream_open(folder);
    struct dirent *entry;

    if (!stream)
        return;
    while ((entry = readdir(stream)))
        if (share_is_temporary_name(entry->d_name) && !is_kept(entry->d_name, kept))
            remove_if_left_over(folder, entry->d_name);
    closedir(stream);
}

enum error_code share_open(const char *folder, struct share **share, struct error *error)
{
    return share_open_keeping(folder, &(struct share_kept){.count = 0}, share, error);
}

enum error_code share_open_keeping(const char *folder, const struct share_kept *kept,
                                   struct share **share, struct error *error)
{
    bool is_new = access(folder, F_OK) < 0 && errno == ENOENT;
    enum error_code code = file_make_folder(folder, 0755, error);

    if (code)
        return code;
    auto_close int descriptor = open_folder(folder);
    if (descriptor < 0)
        return error_set_errno(error, errno, "%s", folder);
    if (is_new)
        fchmod(descriptor, 0755); /* what is in it is for everybody, as the files' modes say */
    remove_left_overs(descriptor, kept);
    *share = memory_new(1, sizeof **share);
    (*share)->path = memory_copy_string(folder);
    (*share)->folder = take_descriptor(&descriptor);
    pthread_mutex_init(&(*share)->lock, NULL);
    kept_init(&(*share)->kept);
    return ERROR_NONE;
}

void share_close(struct share *share)
{
    if (!share)
        return;
    close(share->folder);
    kept_done(&share->kept);
    pthread_mutex_destroy(&share->lock);
    free(share->path);
    free(share);
}

void share_exclude(struct share *share, const char *path)
{
    struct stat status;

    if (stat(path, &status) < 0)
        return;
    share->excluded_device = status.st_dev;
    share->excluded_inode = status.st_ino;
}

const char *share_path(const struct share *share)
{
    return share->path;
}
