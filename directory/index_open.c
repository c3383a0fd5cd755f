#include "directory/index_open.h"

#include "common/clock.h"
#include "common/memory.h"
#include "directory/index_private.h"
#include "directory/name_ids.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TRY_AGAIN_MS = 900 }; /* less than a tick of the daemon's */

enum { NAMES_IN_MEMORY_MAX = 8000000 }; /* some 160 MB */

/* The lock is on the folder's or file's companion, not on the database: closing any descriptor of
 * that would drop SQLite's own locks (fcntl(2)). to_read: without one no directory was ever there,
 * so none is there now. */
static enum error_code take_lock(const char *path, bool to_read, int *lock_file,
                                 struct error *error)
{
    auto_free char *name = memory_format("%s-lock", path);
    int flags = to_read ? O_RDONLY : O_RDWR | O_CREAT;
    auto_close int file = open(name, flags | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (file < 0 && errno == ENOENT && to_read)
        return ERROR_NONE;
    if (file < 0)
        return error_set_errno(error, errno, "%s", name);
    if (flock(file, LOCK_EX | LOCK_NB) < 0)
        return error_set(error, ERROR_BUSY, "another directory has it open");
    *lock_file = take_descriptor(&file);
    return ERROR_NONE;
}

/* Counting takes a moment with millions of files, so it is done once and then kept. */
static enum error_code count_files(struct index *index, struct error *error)
{
    enum error_code code = database_get_number(
        index->database,
        "SELECT ifnull((SELECT value FROM state WHERE key='files'), (SELECT count(*) FROM files))",
        &index->file_count, error);

    atomic_store(&index->counted, index->file_count);
    return code;
}

/* All but the lock. */
static void close_all(struct index *index)
{
    for (size_t i = 0; i < STATEMENT_COUNT; i++) {
        database_statement_free(index->statements[i]);
        index->statements[i] = NULL;
    }
    names_close(index->names);
    index->names = NULL;
    index_peers_close(index->peers);
    index->peers = NULL;
    database_close(index->database);
    index->database = NULL;
}

static enum error_code open_all(struct index *index, struct error *error)
{
    enum error_code code = database_open(&index_form, index->path, &index->database, error);

    for (size_t i = 0; i < STATEMENT_COUNT && !code; i++)
        code =
            database_prepare(index->database, index_statement_sql[i], &index->statements[i], error);
    if (!code)
        code = names_open(index->database, index->news.ids, &index->names, error);
    if (!code)
        code = index_peers_open(index->database, &index->peers, error);
    if (!code)
        code = count_files(index, error);
    if (!code)
        database_watch(index->database, &index->interrupted);
    if (!code)
        database_watch_log(index->database, &index->news.log_pages);
    return code;
}

/* SQLite takes a file that is too short for a header as an empty one, and would write over it. */
static enum error_code check_header(const char *path, struct error *error)
{
    static const char magic[] = "SQLite format 3";
    auto_close int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    char header[sizeof magic] = "";
    struct stat status;

    if (file < 0 && errno == ENOENT)
        return ERROR_NONE;
    if (file < 0 || fstat(file, &status) < 0)
        return error_set_errno(error, errno, "cannot open");
    if (!S_ISREG(status.st_mode))
        return error_set(error, ERROR_INVALID, "not a regular file");
    if (status.st_size > 0 && (pread(file, header, sizeof header, 0) != sizeof header ||
                               memcmp(header, magic, sizeof magic) != 0))
        return error_set(error, ERROR_INVALID, "not a database");
    return ERROR_NONE;
}

/* SQLite would open it all the same, for reading only. */
static enum error_code check_writable(const char *path, struct error *error)
{
    auto_close int file = open(path, O_RDWR | O_CLOEXEC);

    return file < 0 && errno != ENOENT ? error_set_errno(error, errno, "opening to write")
                                       : ERROR_NONE;
}

static enum error_code open_to_write(struct index *index, struct error *error)
{
    enum error_code code = check_header(index->path, error);

    if (!code && index->lock_file < 0)
        code = take_lock(index->path, false, &index->lock_file, error);
    if (!code)
        code = check_writable(index->path, error);
    return code ? code : open_all(index, error);
}

static enum error_code open_to_read(struct index *index, struct error *error)
{
    enum error_code code = ERROR_NONE;

    if (index->lock_file < 0)
        code = take_lock(index->path, true, &index->lock_file, error);
    if (!code)
        code = database_open_to_read(&index_form, index->path, &index->database, error);
    if (!code)
        code = names_check(index->database, error);
    if (!code)
        code = index_peers_open(index->database, &index->peers, error);
    return code ? code : count_files(index, error);
}

/* After it could not be opened to write, which reason says. */
static enum error_code fall_back(struct index *index, const struct error *reason,
                                 struct error *error)
{
    struct error other = {0};
    enum error_code code = reason->code;
    bool helps = code == ERROR_DENIED || code == ERROR_IO || code == ERROR_NO_SPACE;

    close_all(index);
    if (helps && !open_to_read(index, &other)) {
        index->refusal = *reason;
        atomic_store(&index->news.only_reads, true);
        return ERROR_NONE;
    }
    return error_set(error, code, "%s: %s%s%s%s", index->path, reason->text,
                     helps ? " (nor can it only be read: " : "", other.text, helps ? ")" : "");
}

enum error_code index_open(const char *path, struct index **index, struct error *error)
{
    struct index *made = memory_new(1, sizeof *made);
    struct error reason;

    made->path = memory_copy_string(path);
    made->lock_file = -1;
    made->news.ids = name_ids_new(NAMES_IN_MEMORY_MAX);
    enum error_code code = open_to_write(made, &reason);
    if (code)
        code = fall_back(made, &reason, error);
    if (code) {
        index_close(made);
        return code;
    }
    *index = made;
    return ERROR_NONE;
}

enum error_code index_open_again(struct index *index, struct error *error)
{
    int64_t now_ms = clock_boot_ms();
    enum error_code code = index->refusal.code;

    if (index->tried_ms == 0 || now_ms - index->tried_ms >= TRY_AGAIN_MS) {
        close_all(index);
        index->tried_ms = now_ms;
        code = open_to_write(index, &index->refusal);
    }
    if (!code) {
        atomic_store(&index->news.only_reads, false);
        return ERROR_NONE;
    }
    close_all(index);
    /* Not what would blame who asked, as in index.h. */
    if (code != ERROR_NO_SPACE && code != ERROR_BUSY && code != ERROR_CORRUPT)
        code = ERROR_IO;
    return error_set(error, code, "%s can only be read for now: %s", index->path,
                     index->refusal.text);
}

void index_close(struct index *index)
{
    if (!index)
        return;
    close_all(index);
    if (index->lock_file >= 0)
        close(index->lock_file);
    name_ids_free(index->news.ids);
    free(index->path);
    free(index);
}
