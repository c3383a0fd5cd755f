/* Files that arrive in pieces, in any order, also over several lives of the daemon. */
#include "common/memory.h"
#include "peer/share/share_private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Whether the whole file system is smaller than that. */
static bool never_fits(int file, int64_t size_bytes)
{
    struct statvfs status;

    return fstatvfs(file, &status) == 0 &&
           status.f_blocks < (uint64_t)size_bytes / (status.f_frsize ? status.f_frsize : 1);
}

/* The system call, not posix_fallocate: where the file system cannot do it, that writes to every
 * block. */
static int allocate(int file, int64_t size_bytes)
{
    int result;

    do
        result = fallocate(file, 0, 0, size_bytes);
    while (result < 0 && errno == EINTR);
    if (result < 0 && (errno == EOPNOTSUPP || errno == ENOSYS))
        result = ftruncate(file, size_bytes);
    return result;
}

enum error_code share_incoming_reserve(struct share_incoming *incoming, int64_t size_bytes,
                                       struct error *error)
{
    incoming->exact = false;
    if (size_bytes > 0 && allocate(incoming->file, size_bytes) < 0) {
        int reason = errno;
        (void)!ftruncate(incoming->file, 0); /* a part may have been taken */
        if (reason == EFBIG || (reason == ENOSPC && never_fits(incoming->file, size_bytes)))
            return error_set(error, ERROR_TOO_LARGE,
                             "No queda espacio: el archivo no cabe en este disco");
        return share_write_failed(error, reason);
    }
    atomic_store(&incoming->written, size_bytes);
    return ERROR_NONE;
}

enum error_code share_incoming_write_at(struct share_incoming *incoming, int64_t offset,
                                        const struct iovec *spans, size_t span_count,
                                        struct error *error)
{
    int64_t length = 0;
    enum error_code code = share_write_spans(incoming->file, spans, span_count, offset, error);

    if (code != ERROR_NONE)
        return code;
    for (size_t i = 0; i < span_count; i++)
        length += (int64_t)spans[i].iov_len;
    /* As of what is appended: the disk has begun when the sync comes. */
    sync_file_range(incoming->file, offset, length, SYNC_FILE_RANGE_WRITE);
    return ERROR_NONE;
}

enum error_code share_incoming_sync(struct share_incoming *incoming, struct error *error)
{
    return fdatasync(incoming->file) == 0 ? ERROR_NONE : share_write_failed(error, errno);
}

const char *share_incoming_name(const struct share_incoming *incoming)
{
    return incoming->temporary;
}

void share_incoming_keep(struct share_incoming *incoming)
{
    if (incoming)
        share_incoming_free(incoming);
}

int share_incoming_open(const struct share_incoming *incoming)
{
    return openat(incoming->folder, incoming->temporary,
                  O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static enum error_code gone(struct error *error)
{
    return error_set(error, ERROR_NOT_FOUND, "El archivo temporal ya no existe");
}

enum error_code share_incoming_reopen(struct share *share, const char *name, int64_t size_bytes,
                                      struct share_incoming **incoming, struct error *error)
{
    auto_close int folder = -1;
    struct stat status;

    if (!share_is_temporary_name(name))
        return error_set(error, ERROR_INVALID, "'%.40s' no es un archivo temporal", name);
    enum error_code code = share_folder_open(share, &folder, error);
    if (code)
        return code;
    auto_close int file =
        openat(folder, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (file < 0)
        return errno == ENOENT ? gone(error) : share_write_failed(error, errno);
    if (fstat(file, &status) < 0 || !S_ISREG(status.st_mode) || status.st_size != size_bytes)
        return gone(error);
    if (!share_temporary_lock(file))
        return error_set(error, ERROR_BUSY, "Otro proceso usa el archivo temporal");
    *incoming = memory_new(1, sizeof **incoming);
    (*incoming)->share = share;
    (*incoming)->folder = take_descriptor(&folder);
    (*incoming)->file = take_descriptor(&file);
    memcpy((*incoming)->temporary, name, strlen(name) + 1);
    atomic_store(&(*incoming)->written, size_bytes);
    return ERROR_NONE;
}
