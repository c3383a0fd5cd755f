#include "common/memory.h"
#include "peer/share/share_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

/* Writeback is started step by step and may lag so far behind: the fsync at the end is then short
 * (measured for 1 GiB: 5 to 20 ms, against 550 ms without), a fast network does not fill the memory
 * with pages that the disk has yet to take, and waiting for it costs nothing on a disk that keeps
 * up. */
#define WRITEBACK_STEP_BYTES ((int64_t)8 << 20)
#define WRITEBACK_LAG_BYTES  ((int64_t)64 << 20)

#define BEGIN_TRIES 100 /* of random names; one is enough unless somebody plays with us */
#define SPAN_BATCH  16

enum error_code share_write_failed(struct error *error, int reason)
{
    if (reason == ENOSPC || reason == EDQUOT)
        return error_set(error, ERROR_NO_SPACE, "No queda espacio en el disco");
    return error_set_errno(error, reason, "No se puede escribir en la carpeta compartida");
}

static bool make_temporary_name(char name[SHARE_TEMPORARY_BYTES])
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567"; /* 32: no bias */
    unsigned char random[SHARE_TEMPORARY_LETTERS];
    char text[SHARE_TEMPORARY_LETTERS + 1] = "";

    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return false;
    for (size_t i = 0; i < sizeof random; i++)
        text[i] = letters[random[i] % (sizeof letters - 1)];
    snprintf(name, SHARE_TEMPORARY_BYTES, SHARE_TEMPORARY_PREFIX "%s", text);
    return true;
}

/* Another peer that starts on this folder may take our file for a left-over between the creation
 * and the lock: then its lock or its unlink shows, and the next name is tried. Where the file
 * system knows no locks, nobody removes anything. */
bool share_temporary_lock(int file)
{
    struct stat status;

    if (flock(file, LOCK_EX | LOCK_NB) < 0)
        return errno != EWOULDBLOCK;
    return fstat(file, &status) == 0 && status.st_nlink > 0;
}

static int create_temporary(int folder, char name[SHARE_TEMPORARY_BYTES])
{
    for (int i = 0; i < BEGIN_TRIES && make_temporary_name(name); i++) {
        int file = openat(folder, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (file < 0 && errno != EEXIST)
            return -1;
        if (file >= 0 && share_temporary_lock(file))
            return file;
        if (file >= 0)
            close(file);
        errno = EBUSY;
    }
    return -1;
}

enum error_code share_incoming_begin(struct share *share, struct share_incoming **incoming,
                                     struct error *error)
{
    auto_close int folder = -1;
    char name[SHARE_TEMPORARY_BYTES];
    enum error_code code = share_folder_open(share, &folder, error);

    if (code)
        return code;
    int file = create_temporary(folder, name);
    if (file < 0)
        return share_write_failed(error, errno);
    *incoming = memory_new(1, sizeof **incoming);
    (*incoming)->share = share;
    (*incoming)->folder = take_descriptor(&folder);
    (*incoming)->file = file;
    (*incoming)->exact = true;
    memcpy((*incoming)->temporary, name, sizeof name);
    return ERROR_NONE;
}

/* Writes once from the spans, `done` bytes of which were written before. */
static ssize_t write_some(int file, const struct iovec *spans, size_t span_count, size_t done,
                          int64_t offset)
{
    struct iovec batch[SPAN_BATCH];
    int count = 0;

    for (size_t i = 0; i < span_count && count < SPAN_BATCH; i++) {
        size_t skip = done < spans[i].iov_len ? done : spans[i].iov_len;
        done -= skip;
        if (skip < spans[i].iov_len)
            batch[count++] = (struct iovec){.iov_base = (char *)spans[i].iov_base + skip,
                                            .iov_len = spans[i].iov_len - skip};
    }
    return pwritev(file, batch, count, offset);
}

static void advance_writeback(struct share_incoming *incoming, int64_t written)
{
    const int64_t step = WRITEBACK_STEP_BYTES;

    for (; written - incoming->writeback >= step; incoming->writeback += step)
        sync_file_range(incoming->file, incoming->writeback, step, SYNC_FILE_RANGE_WRITE);
    if (!incoming->patient)
        share_incoming_settle(incoming);
}

void share_incoming_be_patient(struct share_incoming *incoming)
{
    incoming->patient = true;
}

bool share_incoming_lags(const struct share_incoming *incoming)
{
    return incoming->writeback - incoming->settled > WRITEBACK_LAG_BYTES;
}

void share_incoming_settle(struct share_incoming *incoming)
{
    for (; share_incoming_lags(incoming); incoming->settled += WRITEBACK_STEP_BYTES)
        sync_file_range(incoming->file, incoming->settled, WRITEBACK_STEP_BYTES,
                        SYNC_FILE_RANGE_WAIT_BEFORE);
}

enum error_code share_write_spans(int file, const struct iovec *spans, size_t span_count,
                                  int64_t offset, struct error *error)
{
    size_t total = 0;
    size_t done = 0;

    for (size_t i = 0; i < span_count; i++)
        total += spans[i].iov_len;
    while (done < total) {
        ssize_t wrote = write_some(file, spans, span_count, done, offset + (int64_t)done);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return share_write_failed(error, wrote < 0 ? errno : EIO);
        done += (size_t)wrote;
    }
    return ERROR_NONE;
}

enum error_code share_incoming_write(struct share_incoming *incoming, const struct iovec *spans,
                                     size_t span_count, struct error *error)
{
    int64_t end = atomic_load(&incoming->written);
    enum error_code code = share_write_spans(incoming->file, spans, span_count, end, error);

    incoming->exact = incoming->exact && code == ERROR_NONE;
    if (code != ERROR_NONE)
        return code;
    for (size_t i = 0; i < span_count; i++)
        end += (int64_t)spans[i].iov_len;
    atomic_store(&incoming->written, end);
    advance_writeback(incoming, end);
    return ERROR_NONE;
}

ssize_t share_read_at(int file, void *data, size_t capacity, int64_t offset)
{
    size_t done = 0;

    while (done < capacity) {
        ssize_t got = pread(file, (char *)data + done, capacity - done, offset + (int64_t)done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

enum error_code share_incoming_read(const struct share_incoming *incoming, int64_t offset,
                                    void *data, size_t capacity, size_t *got, struct error *error)
{
    int64_t left = atomic_load(&incoming->written) - offset;
    ssize_t count;

    *got = 0;
    if (left <= 0)
        return ERROR_NONE;
    count = share_read_at(incoming->file, data, left < (int64_t)capacity ? (size_t)left : capacity,
                          offset);
    if (count < 0)
        return error_set_errno(error, errno, "No se puede leer el archivo");
    *got = (size_t)count;
    return ERROR_NONE;
}

void share_incoming_free(struct share_incoming *incoming)
{
    close(incoming->file);
    close(incoming->folder);
    free(incoming);
}

void share_incoming_abort(struct share_incoming *incoming)
{
    if (!incoming)
        return;
    if (incoming->temporary[0] != '\0')
        unlinkat(incoming->folder, incoming->temporary, 0);
    share_incoming_free(incoming);
}
