/* The folder in the share that a name's file is in: on the way each part of the path is opened by
 * itself, beneath the one before. */
#include "common/memory.h"
#include "peer/share/share_private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int share_step(const struct share *share, int folder, const char *name)
{
    auto_close int next =
        openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat status;

    if (next < 0 || fstat(next, &status) < 0)
        return -1;
    if (status.st_ino == share->excluded_inode && status.st_dev == share->excluded_device) {
        errno = ENOTDIR;
        return -1;
    }
    return take_descriptor(&next);
}

/* The first part of a path; returns what follows its '/', or NULL when it is the last one. */
static const char *split(const char *path, char part[FILE_NAME_MAX_BYTES + 1])
{
    const char *slash = strchr(path, '/');

    if (!slash)
        return NULL;
    memcpy(part, path, (size_t)(slash - path));
    part[slash - path] = '\0';
    return slash + 1;
}

enum error_code share_place_open(struct share *share, const struct file_name *name, int *place,
                                 struct error *error)
{
    auto_close int folder = -1;
    enum error_code code = share_folder_open(share, &folder, error);
    char part[FILE_NAME_MAX_BYTES + 1];
    const char *path = name->text;

    if (code)
        return code;
    while ((path = split(path, part))) {
        int next = share_step(share, folder, part);
        if (next < 0)
            return share_open_failed(error, errno);
        close(folder);
        folder = next;
    }
    *place = take_descriptor(&folder);
    return ERROR_NONE;
}

static enum error_code no_folder(const struct file_name *name, const char *part,
                                 struct error *error)
{
    return error_set(error, ERROR_DENIED, "No se puede guardar %s: aquí '%s' no es una carpeta",
                     name->text, part);
}

static enum error_code other_disk(const struct file_name *name, struct error *error)
{
    return error_set(error, ERROR_DENIED,
                     "No se puede guardar %s: esa carpeta está en otro sistema de archivos",
                     name->text);
}

static enum error_code step_failed(const struct file_name *name, const char *part, int reason,
                                   struct error *error)
{
    if (reason == ENOTDIR || reason == ELOOP)
        return no_folder(name, part, error);
    return share_write_failed(error, reason);
}

/* Makes the folder where it is missing; one that is made lasts before anything is in it. */
static int make_step(const struct share *share, int folder, const char *part)
{
    int next = share_step(share, folder, part);

    if (next >= 0 || errno != ENOENT)
        return next;
    bool made = mkdirat(folder, part, 0755) == 0;
    if (!made && errno != EEXIST)
        return -1;
    next = share_step(share, folder, part);
    if (next >= 0 && made && (fchmod(next, 0755) < 0 || !share_sync_folder(folder))) {
        int reason = errno;
        close(next);
        errno = reason;
        return -1;
    }
    return next;
}

/* Whether both are on one file system: only there a file can be renamed from one to the other. */
static bool is_same_disk(int left, int right)
{
    struct stat a;
    struct stat b;

    return fstat(left, &a) == 0 && fstat(right, &b) == 0 && a.st_dev == b.st_dev;
}

/* From where, and whether missing folders are made on the way. */
struct way {
    const struct share *share;
    int start;
    bool make;
};

static enum error_code walk_to(const struct way *way, const struct file_name *name, int *place,
                               struct error *error)
{
    auto_close int folder = fcntl(way->start, F_DUPFD_CLOEXEC, 0);
    char part[FILE_NAME_MAX_BYTES + 1];
    const char *path = name->text;

    if (folder < 0)
        return share_write_failed(error, errno);
    while ((path = split(path, part))) {
        int next =
            way->make ? make_step(way->share, folder, part) : share_step(way->share, folder, part);
        if (next < 0 && errno == ENOENT && !way->make)
            break;
        if (next < 0)
            return step_failed(name, part, errno, error);
        close(folder);
        folder = next;
    }
    if (!is_same_disk(folder, way->start))
        return other_disk(name, error);
    *place = take_descriptor(&folder);
    return ERROR_NONE;
}

enum error_code share_place_make(const struct share_incoming *incoming,
                                 const struct file_name *name, int *place, struct error *error)
{
    const struct way way = {.share = incoming->share, .start = incoming->folder, .make = true};

    return walk_to(&way, name, place, error);
}

enum error_code share_check_place(struct share *share, const struct file_name *name,
                                  struct error *error)
{
    auto_close int folder = -1;
    auto_close int place = -1;

    if (!file_name_in_folder(name))
        return ERROR_NONE;
    enum error_code code = share_folder_open(share, &folder, error);
    const struct way way = {.share = share, .start = folder};
    return code ? code : walk_to(&way, name, &place, error);
}
