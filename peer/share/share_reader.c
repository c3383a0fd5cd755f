#include "common/memory.h"
#include "peer/share/share_private.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct share_reader {
    struct share *share; /* NULL: of pieces, whose file has no name yet and changes all the time */
    struct file_name name;
    int file;
    struct stat opened; /* what the file was when it was opened */
    int64_t offset;
    int64_t end; /* bytes from here on are not read */
};

static enum error_code not_found(struct error *error)
{
    return error_set(error, ERROR_NOT_FOUND, "Archivo no encontrado");
}

enum error_code share_open_failed(struct error *error, int reason)
{
    /* ELOOP: a link; ENOTDIR: one where a folder should be, or a file; ENXIO: a socket, or a FIFO
     * or device without its other side. */
    if (reason == ENOENT || reason == ELOOP || reason == ENOTDIR || reason == ENXIO ||
        reason == ENAMETOOLONG)
        return not_found(error);
    return error_set_errno(error, reason, "No se puede leer el archivo");
}

/* The name is one part and a link as that part is refused, so no path can leave the folder. Looking
 * first keeps us from opening a device, which alone can have effects; looking again after it makes
 * sure of what was opened. */
enum error_code share_regular_open(int folder, const char *name, int *file, struct stat *status,
                                   struct error *error)
{
    if (fstatat(folder, name, status, AT_SYMLINK_NOFOLLOW) < 0)
        return share_open_failed(error, errno);
    if (!S_ISREG(status->st_mode))
        return not_found(error);
    auto_close int opened =
        openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (opened < 0 || fstat(opened, status) < 0)
        return share_open_failed(error, errno);
    if (!S_ISREG(status->st_mode))
        return not_found(error);
    *file = take_descriptor(&opened);
    return ERROR_NONE;
}

enum error_code share_open_file(struct share *share, const struct file_name *name, int *file,
                                struct share_identity *identity, struct error *error)
{
    auto_close int folder = -1;
    struct stat status;

    if (file_name_is_hidden(name))
        return not_found(error);
    enum error_code code = share_place_open(share, name, &folder, error);
    if (!code)
        code = share_regular_open(folder, file_name_base(name), file, &status, error);
    if (!code)
        *identity = share_identity_of(&status);
    return code;
}

enum error_code share_open_repair(struct share *share, const struct file_name *name,
                                  const struct share_identity *identity, int *file,
                                  struct error *error)
{
    auto_close int folder = -1;
    struct share_identity now;
    enum error_code code = share_identify(share, name, &now, error);

    if (!code)
        code = share_place_open(share, name, &folder, error);
    if (code)
        return code;
    auto_close int opened = openat(folder, file_name_base(name),
                                   O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (opened < 0)
        return error_set_errno(error, errno, "No se puede escribir en el archivo");
    if (share_identify_open(opened, &now, NULL) || !share_identity_equal(&now, identity))
        return error_set(error, ERROR_CHANGED, "El archivo ya no es el mismo");
    *file = take_descriptor(&opened);
    return ERROR_NONE;
}

enum error_code share_identify(struct share *share, const struct file_name *name,
                               struct share_identity *identity, struct error *error)
{
    auto_close int folder = -1;
    struct stat status;

    if (file_name_is_hidden(name))
        return not_found(error);
    enum error_code code = share_place_open(share, name, &folder, error);
    if (code)
        return code;
    if (fstatat(folder, file_name_base(name), &status, AT_SYMLINK_NOFOLLOW) < 0)
        return share_open_failed(error, errno);
    if (!S_ISREG(status.st_mode))
        return not_found(error);
    *identity = share_identity_of(&status);
    return ERROR_NONE;
}

enum error_code share_identify_open(int file, struct share_identity *identity, struct error *error)
{
    struct stat status;

    if (fstat(file, &status) < 0)
        return share_open_failed(error, errno);
    if (status.st_nlink == 0)
        return not_found(error);
    *identity = share_identity_of(&status);
    return ERROR_NONE;
}

enum error_code share_reader_open(struct share *share, const struct file_name *name,
                                  struct share_reader **reader, struct error *error)
{
    auto_close int folder = -1;
    struct stat status;
    int file;
    enum error_code code;

    if (file_name_is_hidden(name))
        return not_found(error);
    code = share_place_open(share, name, &folder, error);
    if (!code)
        code = share_regular_open(folder, file_name_base(name), &file, &status, error);
    if (code)
        return code;
    posix_fadvise(file, 0, 0, POSIX_FADV_SEQUENTIAL);
    *reader = memory_new(1, sizeof **reader);
    **reader = (struct share_reader){
        .share = share, .name = *name, .file = file, .opened = status, .end = status.st_size};
    return ERROR_NONE;
}

struct share_reader *share_reader_of_pieces(int file, int64_t size_bytes)
{
    struct share_reader *reader = memory_new(1, sizeof *reader);

    reader->file = file;
    reader->opened.st_size = size_bytes;
    reader->end = size_bytes;
    return reader;
}

int64_t share_reader_size(const struct share_reader *reader)
{
    return reader->opened.st_size;
}

void share_reader_identity(const struct share_reader *reader, struct share_identity *identity)
{
    *identity = share_identity_of(&reader->opened);
}

void share_reader_limit(struct share_reader *reader, int64_t offset, int64_t length)
{
    assert(offset >= 0 && length >= 0 && offset <= reader->opened.st_size - length);
    reader->offset = offset;
    reader->end = offset + length;
}

static enum error_code changed(struct error *error)
{
    /* Differs: the reference sends what it happens to read, and says OK. */
    return error_set(error, ERROR_CHANGED, "El archivo cambió mientras se leía");
}

static bool is_as_opened(const struct share_reader *reader)
{
    struct stat now;

    if (!reader->share)
        return true;
    return fstat(reader->file, &now) == 0 && now.st_size == reader->opened.st_size &&
           share_modified_ns(&now) == share_modified_ns(&reader->opened) && now.st_nlink > 0;
}

/* Whether the name still means the file that is open. */
static bool is_still_linked(const struct share_reader *reader)
{
    auto_close int folder = -1;
    struct stat now;

    return !share_place_open(reader->share, &reader->name, &folder, NULL) &&
           fstatat(folder, file_name_base(&reader->name), &now, AT_SYMLINK_NOFOLLOW) == 0 &&
           now.st_dev == reader->opened.st_dev && now.st_ino == reader->opened.st_ino;
}

static enum error_code finish(const struct share_reader *reader, struct error *error)
{
    return !reader->share || (is_as_opened(reader) && is_still_linked(reader)) ? ERROR_NONE
                                                                               : changed(error);
}

enum error_code share_reader_read(struct share_reader *reader, void *data, size_t capacity,
                                  size_t *got, struct error *error)
{
    int64_t left = reader->end - reader->offset;
    size_t wanted = left < (int64_t)capacity ? (size_t)left : capacity;
    ssize_t count;

    *got = 0;
    if (left == 0)
        return finish(reader, error);
    do {
        count = pread(reader->file, data, wanted, reader->offset);
    } while (count < 0 && errno == EINTR);
    if (count < 0)
        return error_set_errno(error, errno, "No se puede leer el archivo");
    /* Also half-way: a transfer that is lost anyhow should end now. */
    if (count == 0 || !is_as_opened(reader))
        return changed(error);
    reader->offset += count;
    *got = (size_t)count;
    return ERROR_NONE;
}

void share_reader_close(struct share_reader *reader)
{
    if (!reader)
        return;
    close(reader->file);
    free(reader);
}
