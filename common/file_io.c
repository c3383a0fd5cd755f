#include "common/file_io.h"

#include "common/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum error_code file_read(const char *path, size_t max_bytes, char **text, size_t *length,
                          struct error *error)
{
    /* O_NONBLOCK: a FIFO in the file's place must not hang us. */
    auto_close int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat status;

    if (file < 0 || fstat(file, &status) < 0)
        return error_set_errno(error, errno, "%s", path);
    if (!S_ISREG(status.st_mode))
        return error_set(error, ERROR_INVALID, "%s: not a regular file", path);
    if (status.st_size > (off_t)max_bytes)
        return error_set(error, ERROR_TOO_LARGE, "%s: larger than %zu bytes", path, max_bytes);

    size_t capacity = (size_t)status.st_size;
    auto_free char *data = memory_new(capacity + 1, 1);
    size_t used = 0;
    while (used < capacity) {
        ssize_t got = read(file, data + used, capacity - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set_errno(error, errno, "%s", path);
        if (got == 0)
            break;
        used += (size_t)got;
    }
    data[used] = '\0';
    *text = take_pointer(&data);
    *length = used;
    return ERROR_NONE;
}

static bool write_all(int file, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t wrote = write(file, text, length);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return false;
        text += wrote;
        length -= (size_t)wrote;
    }
    return true;
}

static enum error_code sync_folder_of(const char *path, struct error *error)
{
    auto_free char *copy = memory_copy_string(path);
    auto_close int folder = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (folder < 0 || fsync(folder) < 0)
        return error_set_errno(error, errno, "%s", path);
    return ERROR_NONE;
}

static enum error_code replace(const char *path, const struct iovec *text, mode_t mode, bool sync,
                               struct error *error)
{
    auto_free char *temporary = memory_format("%s.XXXXXX", path);
    auto_close int file = mkostemp(temporary, O_CLOEXEC);

    if (file < 0)
        return error_set_errno(error, errno, "%s", path);
    if (!write_all(file, text->iov_base, text->iov_len) || fchmod(file, mode) < 0 ||
        (sync && fsync(file) < 0) || rename(temporary, path) < 0) {
        int reason = errno;
        unlink(temporary);
        return error_set_errno(error, reason, "%s", path);
    }
    return sync ? sync_folder_of(path, error) : ERROR_NONE;
}

enum error_code file_replace(const char *path, const char *text, size_t length, mode_t mode,
                             struct error *error)
{
    const struct iovec all = {.iov_base = (void *)(uintptr_t)text, .iov_len = length};

    return replace(path, &all, mode, true, error);
}

enum error_code file_replace_cache(const char *path, const char *text, size_t length, mode_t mode,
                                   struct error *error)
{
    const struct iovec all = {.iov_base = (void *)(uintptr_t)text, .iov_len = length};

    return replace(path, &all, mode, false, error);
}

enum error_code file_make_folder(const char *path, mode_t mode, struct error *error)
{
    auto_free char *copy = memory_copy_string(path);
    struct stat status;

    for (char *slash = copy + 1; *copy && (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        if (mkdir(copy, mode) < 0 && errno != EEXIST)
            return error_set_errno(error, errno, "%s", copy);
        *slash = '/';
    }
    if (mkdir(copy, mode) < 0 && errno != EEXIST)
        return error_set_errno(error, errno, "%s", path);
    if (stat(path, &status) < 0)
        return error_set_errno(error, errno, "%s", path);
    if (!S_ISDIR(status.st_mode))
        return error_set(error, ERROR_INVALID, "%s: not a folder", path);
    return ERROR_NONE;
}

void file_occupy_standard(void)
{
    for (int file = STDIN_FILENO; file <= STDERR_FILENO; file++)
        if (fcntl(file, F_GETFD) < 0)
            (void)open("/dev/null", file == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}
