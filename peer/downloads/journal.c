#include "peer/downloads/journal.h"

#include "common/file_io.h"
#include "common/memory.h"
#include "common/text.h"
#include "peer/downloads/journal_format.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUFFIX  ".journal"
#define BOOT_ID "/proc/sys/kernel/random/boot_id"

struct journal {
    char *path;
    int file;
    struct content_id id;          /* zeroes while there is no content */
    char boot[JOURNAL_BOOT_BYTES]; /* "": not known, then nothing is noted */
    pthread_mutex_t lock;          /* held while records are appended */
};

static char *path_of(const char *folder, uint64_t id)
{
    return memory_format("%s/%" PRIu64 SUFFIX, folder, id);
}

static enum error_code failed(const char *path, struct error *error)
{
    return error_set_errno(error, errno, "%s", path);
}

/* Opens and locks. ERROR_BUSY: another process has it. */
static enum error_code open_locked(const char *path, int *file, struct error *error)
{
    auto_close int opened = open(path, O_RDWR | O_APPEND | O_NOFOLLOW | O_CLOEXEC);

    if (opened < 0)
        return failed(path, error);
    if (flock(opened, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
        return error_set(error, ERROR_BUSY, "%s: another process has it", path);
    *file = take_descriptor(&opened);
    return ERROR_NONE;
}

static void read_boot(char boot[JOURNAL_BOOT_BYTES])
{
    auto_close int file = open(BOOT_ID, O_RDONLY | O_CLOEXEC);
    ssize_t got = file < 0 ? 0 : read(file, boot, JOURNAL_BOOT_BYTES - 1);

    boot[got > 0 ? got : 0] = '\0';
}

static struct journal *journal_new(char *path, int file, const struct journal_job *job)
{
    struct journal *journal = memory_new(1, sizeof *journal);

    journal->path = path;
    journal->file = file;
    if (job->has_content)
        journal->id = job->manifest.id;
    read_boot(journal->boot);
    pthread_mutex_init(&journal->lock, NULL);
    return journal;
}

static enum error_code write_all(int file, const char *path, const void *data, size_t length,
                                 struct error *error)
{
    for (size_t done = 0; done < length;) {
        ssize_t wrote = write(file, (const char *)data + done, length - done);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return failed(path, error);
        done += (size_t)wrote;
    }
    return ERROR_NONE;
}

/* The new file under a name of its own, written and locked. */
static enum error_code write_new(const char *path, const struct journal_job *job, bool lasting,
                                 int *file, struct error *error)
{
    auto_buffer text;

    buffer_init(&text, JOURNAL_MAX_BYTES);
    journal_format(job, &text);
    if (text.failed)
        return error_set(error, ERROR_TOO_LARGE, "%s: too long", path);
    auto_close int opened =
        open(path, O_RDWR | O_APPEND | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (opened < 0)
        return failed(path, error);
    (void)flock(opened, LOCK_EX | LOCK_NB);
    enum error_code code = write_all(opened, path, text.data, text.length, error);
    if (code == ERROR_NONE && lasting && fsync(opened) < 0)
        code = failed(path, error);
    if (code != ERROR_NONE) {
        unlink(path);
        return code;
    }
    *file = take_descriptor(&opened);
    return ERROR_NONE;
}

static void sync_folder(const char *folder)
{
    auto_close int opened = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (opened >= 0)
        (void)fsync(opened); /* not every file system can; then there is nothing better */
}

enum error_code journal_create(const char *folder, uint64_t id, const struct journal_job *job,
                               bool lasting, struct journal **journal, struct error *error)
{
    auto_free char *path = path_of(folder, id);
    auto_free char *fresh = memory_format("%s.new", path);
    auto_close int file = -1;
    enum error_code code = write_new(fresh, job, lasting, &file, error);

    if (code != ERROR_NONE)
        return code;
    if (rename(fresh, path) < 0) {
        code = failed(path, error);
        unlink(fresh);
        return code;
    }
    if (lasting)
        sync_folder(folder);
    *journal = journal_new(take_pointer(&path), take_descriptor(&file), job);
    return ERROR_NONE;
}

enum error_code journal_open(const char *folder, uint64_t id, struct journal **journal,
                             struct journal_job *job, struct error *error)
{
    auto_free char *path = path_of(folder, id);
    auto_free char *text = NULL;
    auto_close int file = -1;
    char boot[JOURNAL_BOOT_BYTES];
    size_t length;

    *job = (struct journal_job){.peer = NULL};
    read_boot(boot);
    enum error_code code = open_locked(path, &file, error);
    if (code == ERROR_NONE)
        code = file_read(path, JOURNAL_MAX_BYTES, &text, &length, error);
    if (code == ERROR_TOO_LARGE)
        code = error_set(error, ERROR_CORRUPT, "%s: too long for a journal", path);
    if (code == ERROR_NONE)
        code = journal_parse(text, length, boot, job, error);
    if (code == ERROR_NONE && ftruncate(file, (off_t)job->good_bytes) < 0)
        code = failed(path, error);
    if (code != ERROR_NONE) {
        journal_job_done(job);
        return code;
    }
    *journal = journal_new(take_pointer(&path), take_descriptor(&file), job);
    return ERROR_NONE;
}

void journal_close(struct journal *journal)
{
    if (!journal)
        return;
    close(journal->file);
    pthread_mutex_destroy(&journal->lock);
    free(journal->path);
    free(journal);
}

void journal_remove(struct journal *journal)
{
    if (journal)
        unlink(journal->path);
    journal_close(journal);
}

/* Half a record would shift those that come after it: what was there before stays the end. */
static enum error_code append(struct journal *journal, const uint8_t *records, size_t bytes,
                              struct error *error)
{
    enum error_code code = ERROR_NONE;
    struct stat before;

    pthread_mutex_lock(&journal->lock);
    if (fstat(journal->file, &before) < 0) {
        code = failed(journal->path, error);
    } else {
        code = write_all(journal->file, journal->path, records, bytes, error);
        if (code != ERROR_NONE)
            (void)!ftruncate(journal->file, before.st_size);
    }
    pthread_mutex_unlock(&journal->lock);
    return code;
}

static enum error_code append_for_good(struct journal *journal, const uint8_t *records,
                                       size_t bytes, struct error *error)
{
    enum error_code code = append(journal, records, bytes, error);

    if (code == ERROR_NONE && fdatasync(journal->file) < 0)
        code = failed(journal->path, error);
    return code;
}

void journal_note(struct journal *journal, uint32_t piece)
{
    uint8_t record[JOURNAL_RECORD_BYTES];

    if (!journal->boot[0])
        return;
    journal_format_record(&journal->id, piece, journal->boot, record);
    (void)append(journal, record, sizeof record, &(struct error){0});
}

enum error_code journal_add(struct journal *journal, const uint32_t *pieces, size_t count,
                            struct error *error)
{
    auto_free uint8_t *records = memory_new(count + 1, JOURNAL_RECORD_BYTES);

    for (size_t i = 0; i < count; i++)
        journal_format_record(&journal->id, pieces[i], "", records + i * JOURNAL_RECORD_BYTES);
    return append_for_good(journal, records, count * JOURNAL_RECORD_BYTES, error);
}

enum error_code journal_pause(struct journal *journal, bool paused, struct error *error)
{
    uint8_t record[JOURNAL_RECORD_BYTES];

    journal_format_record(&journal->id, paused ? JOURNAL_PAUSED : JOURNAL_RESUMED, "", record);
    return append_for_good(journal, record, sizeof record, error);
}

enum error_code journal_set_priority(struct journal *journal, enum download_priority priority,
                                     struct error *error)
{
    uint8_t record[JOURNAL_RECORD_BYTES];

    journal_format_record(&journal->id, JOURNAL_PRIORITY + (uint32_t)priority, "", record);
    return append(journal, record, sizeof record, error);
}

/* "12.journal" is 12. */
static bool parse_id(const char *name, uint64_t *id)
{
    const char *suffix = strstr(name, SUFFIX);
    auto_free char *digits = memory_copy(name, suffix ? (size_t)(suffix - name) : 0);
    long long value;

    if (!suffix || strcmp(suffix, SUFFIX) != 0 || !text_to_integer(digits, 1, INT64_MAX, &value))
        return false;
    *id = (uint64_t)value;
    return true;
}

static int compare_ids(const void *left, const void *right)
{
    const uint64_t *a = left;
    const uint64_t *b = right;

    return *a < *b ? -1 : *a > *b;
}

uint64_t *journal_list(const char *folder, size_t *count)
{
    DIR *stream = opendir(folder);
    struct dirent *entry;
    uint64_t *ids = NULL;
    uint64_t id;

    *count = 0;
    while (stream && (entry = readdir(stream))) {
        if (!parse_id(entry->d_name, &id))
            continue;
        ids = memory_resize(ids, *count + 1, sizeof *ids);
        ids[(*count)++] = id;
    }
    if (stream)
        closedir(stream);
    if (*count > 0)
        qsort(ids, *count, sizeof *ids, compare_ids);
    return ids;
}

void journal_kept(const char *folder, struct share_kept *kept)
{
    size_t count;
    auto_free uint64_t *ids = journal_list(folder, &count);

    *kept = (struct share_kept){.names = memory_new(count + 1, SHARE_TEMPORARY_BYTES)};
    for (size_t i = 0; i < count; i++) {
        struct journal *journal = NULL;
        struct journal_job job;
        if (journal_open(folder, ids[i], &journal, &job, NULL) != ERROR_NONE)
            continue;
        if (job.temporary[0])
            memcpy(kept->names[kept->count++], job.temporary, SHARE_TEMPORARY_BYTES);
        journal_job_done(&job);
        journal_close(journal);
    }
}

void journal_move_aside(const char *folder, uint64_t id)
{
    auto_free char *path = path_of(folder, id);
    auto_free char *bad = memory_format("%s.bad", path);

    (void)!rename(path, bad);
}
