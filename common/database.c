#include "common/database.h"

#include "common/database_pages.h"
#include "common/database_reading.h"
#include "common/memory.h"

#include <errno.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    BUSY_MS = 1000,
    LOG_PAGES = 1000,      /* after so many more the log is folded back */
    LOG_PAGES_MANY = 4000, /* from here on at each commit, until all of it is */
    WATCH_STEPS = 10000,   /* of SQLite's machine between two looks at the flag */
};

struct database {
    sqlite3 *handle;
    const struct database_form *form;
    const atomic_bool *cancelled; /* NULL: not watched */
    bool only_reads, is_checked;
    atomic_int *log_pages;         /* NULL: nobody asks */
    int last_log_pages, fold_from; /* after the last commit; when they are so many */
};

struct database_statement {
    sqlite3_stmt *handle;
    struct database *database;
    int result; /* of the last step */
    int number; /* errno after it, when it was an I/O error */
};

/* ERROR_INVALID is not among them: it would say that the one who asked did something wrong. */
static enum error_code code_of(const struct database_form *form, int result)
{
    switch (result & 0xff) {
    case SQLITE_FULL:
        return ERROR_NO_SPACE;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ERROR_BUSY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return ERROR_CORRUPT;
    case SQLITE_INTERRUPT:
        return ERROR_CANCELLED;
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
        return form->denied;
    default:
        return ERROR_IO;
    }
}

/* number: what the system said, where SQLite only says "disk I/O error"; 0: nothing. */
static enum error_code fail_with(const struct database *database, int result, int number,
                                 struct error *error)
{
    const char *name = database->form->name;
    const char *text = database->handle ? sqlite3_errmsg(database->handle) : sqlite3_errstr(result);
    enum error_code code =
        number == EDQUOT || number == ENOSPC ? ERROR_NO_SPACE : code_of(database->form, result);

    if (number)
        return error_set(error, code, "%s: %s (%s)", name, text, strerrordesc_np(number));
    return error_set(error, code, "%s: %s", name, text);
}

static enum error_code fail(const struct database *database, int result, struct error *error)
{
    bool is_system = database->handle && (result & 0xff) == SQLITE_IOERR;

    return fail_with(database, result, is_system ? sqlite3_system_errno(database->handle) : 0,
                     error);
}

enum error_code database_execute(struct database *database, const char *sql, struct error *error)
{
    int result = sqlite3_exec(database->handle, sql, NULL, NULL, NULL);

    return result == SQLITE_OK ? ERROR_NONE : fail(database, result, error);
}

enum error_code database_get_number(struct database *database, const char *sql, int64_t *number,
                                    struct error *error)
{
    struct database_statement *statement = NULL;
    enum error_code code = database_prepare(database, sql, &statement, error);

    if (code)
        return code;
    *number = database_next(statement) ? database_number(statement, 0) : 0;
    code = database_finish(statement, error);
    database_statement_free(statement);
    return code;
}

int64_t database_last_row(const struct database *database)
{
    return sqlite3_last_insert_rowid(database->handle);
}

/* Takes the place of SQLite's own, which folds the log back after each commit once it is long, and
 * waits for the disk twice: readers may keep it from beginning anew for some time. It can when all
 * of it is folded back, so that is tried more often once it is very long. What fails is tried again
 * after the next commit. */
static int on_commit(void *context, sqlite3 *handle, const char *name, int pages)
{
    struct database *database = context;
    int all = 0;
    int folded = 0;

    atomic_store_explicit(database->log_pages, pages, memory_order_relaxed);
    if (pages < database->last_log_pages)
        database->fold_from = LOG_PAGES;
    database->last_log_pages = pages;
    if (pages >= database->fold_from &&
        sqlite3_wal_checkpoint_v2(handle, name, SQLITE_CHECKPOINT_PASSIVE, &all, &folded) ==
            SQLITE_OK &&
        (folded == all || pages < LOG_PAGES_MANY))
        database->fold_from = pages + LOG_PAGES;
    return SQLITE_OK;
}

void database_watch_log(struct database *database, atomic_int *pages)
{
    database->log_pages = pages;
    database->fold_from = LOG_PAGES;
    sqlite3_wal_hook(database->handle, on_commit, database);
}

void database_rest(struct database *database)
{
    sqlite3_db_release_memory(database->handle);
}

/* ---- opening ---- */

enum error_code database_check(struct database *database, struct error *error)
{
    struct database_statement *statement = NULL;
    enum error_code code = database_prepare(database, "PRAGMA quick_check(1)", &statement, error);

    if (code)
        return code;
    const char *text = database_next(statement) ? database_text(statement, 0) : NULL;
    bool damaged = text && strcmp(text, "ok") != 0;
    code = database_finish(statement, error);
    database_statement_free(statement);
    return damaged ? error_set(error, ERROR_CORRUPT, "%s: damaged (try sqlite3's .recover)",
                               database->form->name)
                   : code;
}

bool database_is_checked(const struct database *database)
{
    return database->is_checked;
}

/* What has to be rebuilt is read whole anyway. */
static bool is_checked_later(struct database *database, int64_t version)
{
    int64_t bytes = 0;

    if (database->form->check_max_bytes == 0 || version < database->form->version ||
        database_get_number(database,
                            "SELECT page_count * page_size"
                            " FROM pragma_page_count, pragma_page_size",
                            &bytes, NULL))
        return false;
    return bytes > database->form->check_max_bytes;
}

/* All or nothing: closing the connection undoes what was not committed. */
static enum error_code change_schema(struct database *database, const char *sql, int version,
                                     struct error *error)
{
    auto_free char *stamp =
        memory_format("PRAGMA application_id=%" PRId32 "; PRAGMA user_version=%d;",
                      database->form->application_id, version);
    enum error_code code = database_execute(database, "BEGIN IMMEDIATE", error);

    if (!code)
        code = database_execute(database, sql, error);
    if (!code)
        code = database_execute(database, stamp, error);
    if (!code)
        code = database_execute(database, "COMMIT", error);
    return code;
}

/* Of a file with something in it, before anything is written. */
static enum error_code check_ours(struct database *database, int64_t application, int64_t version,
                                  struct error *error)
{
    const struct database_form *form = database->form;

    if (application != form->application_id)
        return error_set(error, ERROR_INVALID, "%s: a SQLite file of another program, not a %s's",
                         form->name, form->owner);
    if (version < 1 || version > form->version)
        return error_set(error, ERROR_INVALID,
                         "%s: has version %" PRId64 ", this program knows 1 to %d", form->name,
                         version, form->version);
    database->is_checked = !is_checked_later(database, version);
    return database->is_checked ? database_check(database, error) : ERROR_NONE;
}

static enum error_code check_or_make(struct database *database, struct error *error)
{
    const struct database_form *form = database->form;
    int64_t application = 0;
    int64_t version = 0;
    int64_t tables = 0;
    enum error_code code =
        database_get_number(database, "SELECT count(*) FROM sqlite_schema", &tables, error);

    if (!code)
        code = database_get_number(database, "PRAGMA application_id", &application, error);
    if (!code)
        code = database_get_number(database, "PRAGMA user_version", &version, error);
    if (code)
        return code;
    bool empty = tables == 0 && application == 0 && version == 0;
    database->is_checked = empty;
    if (!empty)
        code = check_ours(database, application, version, error);
    /* Before the pragmas, which would let it sort a long table in memory. */
    for (int from = (int)version; !empty && !code && from < form->version; from++)
        code = change_schema(database, form->upgrades[from - 1], from + 1, error);
    if (!code)
        code = database_execute(database, form->pragmas, error);
    if (!code && empty)
        code = change_schema(database, form->schema, form->version, error);
    return code;
}

/* ---- full-text search ---- */

/* What FTS5 gives to tokenize, and wants to be told. */
struct tokens {
    void *context;
    int (*take)(void *, int, const char *, int, int, int);
};

static int begin_tokenizer(void *tokenizer, const char **arguments, int count, Fts5Tokenizer **made)
{
    (void)arguments;
    (void)count;
    *made = tokenizer;
    return SQLITE_OK;
}

static void end_tokenizer(Fts5Tokenizer *tokenizer)
{
    (void)tokenizer;
}

/* Where a token stands is nothing that we need. */
static int take_token(void *context, const char *token, size_t length)
{
    const struct tokens *tokens = context;

    return tokens->take(tokens->context, 0, token, (int)length, 0, 0);
}

static int tokenize(Fts5Tokenizer *handle, void *context, int flags, const char *text, int length,
                    int (*take)(void *, int, const char *, int, int, int))
{
    const struct database_tokenizer *tokenizer = (const void *)handle;
    struct tokens tokens = {.context = context, .take = take};

    return tokenizer->tokenize(&tokens, (flags & FTS5_TOKENIZE_QUERY) != 0, text ? text : "",
                               (size_t)length, take_token);
}

static int add_tokenizer(struct database *database, const struct database_tokenizer *tokenizer)
{
    fts5_tokenizer calls = {begin_tokenizer, end_tokenizer, tokenize};
    fts5_api *api = NULL;
    sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v2(database->handle, "SELECT fts5(?1)", -1, &statement, NULL);

    if (result == SQLITE_OK)
        result = sqlite3_bind_pointer(statement, 1, (void *)&api, "fts5_api_ptr", NULL);
    if (result == SQLITE_OK)
        sqlite3_step(statement);
    sqlite3_finalize(statement);
    if (result == SQLITE_OK && api)
        result =
            api->xCreateTokenizer(api, tokenizer->name, (void *)(uintptr_t)tokenizer, &calls, NULL);
    return result != SQLITE_OK || api ? result : SQLITE_ERROR;
}

static enum error_code connect_to(struct database *database, const char *path, int flags,
                                  struct error *error)
{
    const char *vfs = NULL;
    enum error_code code = database->only_reads           ? database_reading_name(&vfs, error)
                           : database->form->shares_pages ? database_pages_name(&vfs, error)
                                                          : ERROR_NONE;

    if (code)
        return code;
    int result = sqlite3_open_v2(path ? path : ":memory:", &database->handle,
                                 SQLITE_OPEN_NOMUTEX | flags, vfs);
    if (result != SQLITE_OK)
        return fail(database, result, error);
    sqlite3_busy_timeout(database->handle, BUSY_MS);
    if (database->only_reads) {
        sqlite3_db_config(database->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        code = database_execute(database, "PRAGMA locking_mode=EXCLUSIVE; PRAGMA query_only=1;",
                                error);
        if (code)
            return code;
    }
    if (database->form->tokenizer)
        result = add_tokenizer(database, database->form->tokenizer);
    if (result != SQLITE_OK)
        return fail(database, result, error);
    if (database->form->is_frugal)
        sqlite3_db_config(database->handle, SQLITE_DBCONFIG_LOOKASIDE, NULL, 0, 0);
    return ERROR_NONE;
}

enum error_code database_open(const struct database_form *form, const char *path,
                              struct database **database, struct error *error)
{
    struct database *made = memory_new(1, sizeof *made);

    made->form = form;
    enum error_code code =
        connect_to(made, path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, error);
    if (!code)
        code = check_or_make(made, error);
    if (code) {
        database_close(made);
        return code;
    }
    *database = made;
    return ERROR_NONE;
}

/* Such a journal is of a change that must be undone before anything is read. */
static enum error_code check_journal(const struct database_form *form, const char *path,
                                     struct error *error)
{
    auto_free char *journal = memory_format("%s-journal", path);
    struct stat status;

    if (stat(journal, &status) == 0 && status.st_size > 0)
        return error_set(error, ERROR_IO, "%s: an unfinished change has to be undone first",
                         form->name);
    return ERROR_NONE;
}

static enum error_code connect_and_set(struct database *database, const char *path, int flags,
                                       const char *pragmas, struct database **connected,
                                       struct error *error)
{
    enum error_code code =
        database->only_reads ? check_journal(database->form, path, error) : ERROR_NONE;

    if (!code)
        code = connect_to(database, path, flags, error);
    if (!code)
        code = database_execute(database, pragmas, error);
    if (code) {
        database_close(database);
        return code;
    }
    *connected = database;
    return ERROR_NONE;
}

/* For reading and writing whatever it is for: readers share the log's index file. */
enum error_code database_connect(const struct database_form *form, const char *path,
                                 const char *pragmas, struct database **database,
                                 struct error *error)
{
    struct database *made = memory_new(1, sizeof *made);

    made->form = form;
    return connect_and_set(made, path, SQLITE_OPEN_READWRITE, pragmas, database, error);
}

enum error_code database_connect_to_read(const struct database_form *form, const char *path,
                                         const char *pragmas, struct database **database,
                                         struct error *error)
{
    struct database *made = memory_new(1, sizeof *made);

    made->form = form;
    made->only_reads = true;
    return connect_and_set(made, path, SQLITE_OPEN_READONLY, pragmas, database, error);
}

enum error_code database_open_to_read(const struct database_form *form, const char *path,
                                      struct database **database, struct error *error)
{
    struct database *made = NULL;
    int64_t application = 0;
    int64_t version = 0;
    enum error_code code = database_connect_to_read(form, path, "", &made, error);

    if (!code)
        code = database_get_number(made, "PRAGMA application_id", &application, error);
    if (!code)
        code = database_get_number(made, "PRAGMA user_version", &version, error);
    if (!code)
        code = check_ours(made, application, version, error);
    if (!code && version < form->version)
        code = error_set(error, ERROR_INVALID,
                         "%s: has version %" PRId64 ", and must be brought up to version %d first",
                         form->name, version, form->version);
    if (code) {
        database_close(made);
        return code;
    }
    *database = made;
    return ERROR_NONE;
}

void database_close(struct database *database)
{
    if (!database)
        return;
    sqlite3_close(database->handle);
    free(database);
}

/* ---- cancelling ---- */

/* SQLite calls it between steps of its machine; anything but 0 interrupts. */
static int is_cancelled(void *context)
{
    const atomic_bool *cancelled = context;

    return atomic_load_explicit(cancelled, memory_order_relaxed);
}

static void watch(const struct database *database)
{
    if (database->cancelled)
        sqlite3_progress_handler(database->handle, WATCH_STEPS, is_cancelled,
                                 (void *)(uintptr_t)database->cancelled);
}

void database_watch(struct database *database, const atomic_bool *cancelled)
{
    database->cancelled = cancelled;
    watch(database);
}

void database_roll_back(struct database_statement *rollback)
{
    const struct database *database = rollback->database;

    if (sqlite3_get_autocommit(database->handle))
        return;
    sqlite3_progress_handler(database->handle, 0, NULL, NULL);
    sqlite3_step(rollback->handle);
    sqlite3_reset(rollback->handle);
    watch(database);
}

/* ---- statements ---- */

enum error_code database_prepare(struct database *database, const char *sql,
                                 struct database_statement **statement, struct error *error)
{
    sqlite3_stmt *handle = NULL;
    int result =
        sqlite3_prepare_v3(database->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &handle, NULL);

    if (result != SQLITE_OK)
        return fail(database, result, error);
    *statement = memory_new(1, sizeof **statement);
    **statement = (struct database_statement){.handle = handle, .database = database};
    return ERROR_NONE;
}

void database_statement_free(struct database_statement *statement)
{
    if (!statement)
        return;
    sqlite3_finalize(statement->handle);
    free(statement);
}

void database_bind_number(struct database_statement *statement, int place, int64_t number)
{
    sqlite3_bind_int64(statement->handle, place, number);
}

void database_bind_text(struct database_statement *statement, int place, const char *text)
{
    sqlite3_bind_text(statement->handle, place, text, -1, SQLITE_STATIC);
}

void database_bind_bytes(struct database_statement *statement, int place, const void *bytes,
                         size_t length)
{
    sqlite3_bind_blob64(statement->handle, place, bytes, length, SQLITE_STATIC);
}

void database_bind_null(struct database_statement *statement, int place)
{
    sqlite3_bind_null(statement->handle, place);
}

bool database_next(struct database_statement *statement)
{
    errno = 0;
    statement->result = sqlite3_step(statement->handle);
    /* sqlite3_system_errno does not know of what fails in a commit. */
    statement->number = (statement->result & 0xff) == SQLITE_IOERR ? errno : 0;
    return statement->result == SQLITE_ROW;
}

static int count_down(void *context)
{
    int *left = context;

    return --*left < 0;
}

bool database_next_within(struct database_statement *statement, int steps)
{
    sqlite3 *handle = statement->database->handle;

    sqlite3_progress_handler(handle, 1, count_down, &steps);
    bool found = database_next(statement);
    sqlite3_progress_handler(handle, 0, NULL, NULL);
    return found;
}

enum error_code database_finish(struct database_statement *statement, struct error *error)
{
    enum error_code code = ERROR_NONE;

    if (statement->result != SQLITE_DONE && statement->result != SQLITE_ROW)
        code = fail_with(statement->database, statement->result, statement->number, error);
    sqlite3_reset(statement->handle);
    return code;
}

enum error_code database_run(struct database_statement *statement, struct error *error)
{
    database_next(statement);
    return database_finish(statement, error);
}

bool database_is_number(const struct database_statement *statement, int column)
{
    return sqlite3_column_type(statement->handle, column) == SQLITE_INTEGER;
}

int64_t database_number(const struct database_statement *statement, int column)
{
    return sqlite3_column_int64(statement->handle, column);
}

const char *database_text(const struct database_statement *statement, int column)
{
    return (const char *)sqlite3_column_text(statement->handle, column);
}

const void *database_bytes(const struct database_statement *statement, int column, size_t *length)
{
    const void *bytes = sqlite3_column_blob(statement->handle, column);

    *length = (size_t)sqlite3_column_bytes(statement->handle, column);
    return bytes;
}

enum error_code database_read_part(struct database *database, const struct database_part *part,
                                   void *out, struct error *error)
{
    sqlite3_blob *blob = NULL;
    int result =
        sqlite3_blob_open(database->handle, "main", part->table, part->column, part->row, 0, &blob);
    enum error_code code = ERROR_NONE;

    if (result == SQLITE_OK &&
        part->first_bytes + part->length_bytes <= (size_t)sqlite3_blob_bytes(blob))
        result = sqlite3_blob_read(blob, out, (int)part->length_bytes, (int)part->first_bytes);
    else if (result == SQLITE_OK)
        result = SQLITE_ERROR;
    if ((result & 0xff) == SQLITE_ERROR)
        code = error_set(error, ERROR_NOT_FOUND, "%s: not there", database->form->name);
    else if (result != SQLITE_OK)
        code = fail(database, result, error);
    sqlite3_blob_close(blob);
    return code;
}
