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

static enum error_code unavailable(struct error *error, int reason)
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
    return reason == 0 ? ERROR_NONE : unavailable(error, reason);
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

/* A stream of its own over the folder: a duplicate would share its position with other threads. */
static DIR *open_stream(int folder)
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
    DIR *stream = open_stream(folder);
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
    return ERROR_NONE;
}

void share_close(struct share *share)
{
    if (!share)
        return;
    close(share->folder);
    pthread_mutex_destroy(&share->lock);
    free(share->path);
    free(share);
}

const char *share_path(const struct share *share)
{
    return share->path;
}

/* Fills *file when the entry is a shared one. */
static bool look_at(int folder, const struct dirent *entry, struct share_file *file)
{
    struct stat status;

    if ((entry->d_type != DT_REG && entry->d_type != DT_UNKNOWN) ||
        file_name_parse(entry->d_name, strlen(entry->d_name), &file->name, NULL) ||
        file_name_is_hidden(&file->name) ||
        fstatat(folder, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0 ||
        !S_ISREG(status.st_mode) || faccessat(folder, entry->d_name, R_OK, 0) < 0)
        return false;
    file->size_bytes = status.st_size;
    file->identity = share_identity_of(&status);
    file->has_content = file->partial = false;
    return true;
}

static int compare_names(const void *left, const void *right)
{
    const struct share_file *a = left;
    const struct share_file *b = right;

    return strcmp(a->name.text, b->name.text);
}

static int read_entries(int folder, DIR *stream, struct share_list *list)
{
    size_t capacity = 0;
    struct dirent *entry;

    while (errno = 0, (entry = readdir(stream))) {
        if (list->count == capacity) {
            capacity = capacity ? capacity * 2 : 16;
            list->files = memory_resize(list->files, capacity, sizeof *list->files);
        }
        if (look_at(folder, entry, &list->files[list->count]))
            list->count++;
    }
    return errno;
}

enum error_code share_list_files(struct share *share, struct share_list *list, struct error *error)
{
    auto_close int folder = -1;
    enum error_code code = share_folder_open(share, &folder, error);

    *list = (struct share_list){0};
    if (code)
        return code;
    DIR *stream = open_stream(folder);
    if (!stream)
        return unavailable(error, errno);
    int reason = read_entries(folder, stream, list);
    closedir(stream);
    if (reason != 0) {
        share_list_done(list);
        return unavailable(error, reason);
    }
    if (list->count > 0)
        qsort(list->files, list->count, sizeof *list->files, compare_names);
    return ERROR_NONE;
}

void share_list_done(struct share_list *list)
{
    free(list->files);
    *list = (struct share_list){0};
}

static uint64_t mix(uint64_t hash, const void *data, size_t length)
{
    const unsigned char *bytes = data;

    for (size_t i = 0; i < length; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3U;
    return hash;
}

static uint64_t mix_identity(uint64_t hash, const struct share_identity *identity)
{
    hash = mix(hash, &identity->device, sizeof identity->device);
    hash = mix(hash, &identity->inode, sizeof identity->inode);
    hash = mix(hash, &identity->size_bytes, sizeof identity->size_bytes);
    hash = mix(hash, &identity->modified_ns, sizeof identity->modified_ns);
    return mix(hash, &identity->changed_ns, sizeof identity->changed_ns);
}

uint64_t share_list_hash(const struct share_list *list, bool told_only)
{
    uint64_t hash = 0xcbf29ce484222325U;

    for (size_t i = 0; i < list->count; i++) {
        const struct share_file *file = &list->files[i];
        hash = mix(hash, file->name.text, strlen(file->name.text) + 1);
        if (!told_only)
            hash = mix_identity(hash, &file->identity);
        else if (file->has_content)
            hash = mix(hash, file->content.bytes, sizeof file->content.bytes);
        if (told_only && file->partial)
            hash = mix(hash, "\2", 1);
    }
    return hash;
}
