#include "directory/backup.h"

#include "common/memory.h"
#include "directory/index_private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static enum error_code check_ours(struct database *database, struct error *error)
{
    int64_t application = 0;
    int64_t version = 0;
    enum error_code code =
        database_get_number(database, "PRAGMA application_id", &application, error);

    if (!code)
        code = database_get_number(database, "PRAGMA user_version", &version, error);
    if (!code && (application != index_form.application_id || version < 1))
        code = error_set(error, ERROR_INVALID, "not a directory's database");
    return code;
}

static enum error_code open_database(const char *path, const atomic_bool *cancelled,
                                     struct database **database, struct error *error)
{
    /* SQLite says of one that is not there no more than that it cannot be opened. */
    if (access(path, R_OK) < 0)
        return error_set_errno(error, errno, "cannot read it");
    enum error_code code = database_connect(&index_form, path, "", database, error);
    if (code)
        return code;
    database_watch(*database, cancelled);
    return check_ours(*database, error);
}

/* Into an empty file. SQLite does not wait for the disk here: we do, after it. */
static enum error_code copy_into(struct database *database, const char *copy, struct error *error)
{
    struct database_statement *vacuum = NULL;
    enum error_code code = database_prepare(database, "VACUUM INTO ?1", &vacuum, error);

    if (code)
        return code;
    database_bind_text(vacuum, 1, copy);
    code = database_run(vacuum, error);
    database_statement_free(vacuum);
    return code;
}

static enum error_code sync_path(const char *path, int flags, struct error *error)
{
    auto_close int file = open(path, O_RDONLY | O_CLOEXEC | flags);

    if (file < 0 || fsync(file) < 0)
        return error_set_errno(error, errno, "%s", path);
    return ERROR_NONE;
}

static enum error_code give_name(const char *copy, const char *file, struct error *error)
{
    auto_free char *folder = memory_copy_string(file);
    enum error_code code = sync_path(copy, 0, error);

    if (code)
        return code;
    if (renameat2(AT_FDCWD, copy, AT_FDCWD, file, RENAME_NOREPLACE) < 0)
        return error_set_errno(error, errno, "%s", file);
    return sync_path(dirname(folder), O_DIRECTORY, error);
}

static void remove_copy(const char *copy)
{
    auto_free char *journal = memory_format("%s-journal", copy);

    unlink(copy);
    unlink(journal);
}

enum error_code backup_make(const char *path, const char *file, const atomic_bool *cancelled,
                            struct error *error)
{
    auto_free char *copy = memory_format("%s.part-XXXXXX", file);
    struct database *database = NULL;
    struct stat status;

    if (lstat(file, &status) == 0)
        return error_set(error, ERROR_EXISTS, "%s: exists already", file);
    enum error_code code = open_database(path, cancelled, &database, error);
    if (code) {
        database_close(database);
        return error_context(error, "%s", path);
    }
    auto_close int made = mkstemp(copy);
    if (made < 0) {
        code = error_set_errno(error, errno, "%s", file);
        database_close(database);
        return code;
    }
    code = copy_into(database, copy, error);
    if (code)
        error_context(error, "%s", file);
    database_close(database);
    if (!code)
        code = give_name(copy, file, error);
    if (code)
        remove_copy(copy);
    return code;
}
