#include "directory/index.h"

#include "common/memory.h"
#include "directory/difference.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define APPLICATION_ID 0x50325044 /* "P2PD" */
#define SCHEMA_VERSION 2

/* Searches read the file through a mapping: no copy, no system call a page. Our own process is the
 * only one that changes the file, so it is never cut under the mapping. */
#define READER_PRAGMAS "PRAGMA mmap_size=1073741824; PRAGMA cache_size=-512; PRAGMA query_only=1;"
#define WRITER_PRAGMAS                                              \
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"           \
    "PRAGMA journal_size_limit=67108864; PRAGMA cache_size=-16384;" \
    "PRAGMA foreign_keys=OFF; PRAGMA temp_store=MEMORY;"

static const char schema[] =
    "CREATE TABLE peers(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, token TEXT NOT NULL,"
    " seen_ms INTEGER NOT NULL, sequence INTEGER NOT NULL, urls TEXT NOT NULL DEFAULT '[]',"
    " digest BLOB);"
    "CREATE TABLE files(name TEXT NOT NULL, peer_id INTEGER NOT NULL, urls TEXT, size INTEGER,"
    " content BLOB, PRIMARY KEY(name, peer_id)) WITHOUT ROWID;"
    "CREATE INDEX files_by_peer ON files(peer_id, name, urls, size, content);"
    "CREATE TABLE state(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "PRAGMA application_id=1345474628;"
    "PRAGMA user_version=2;";
_Static_assert(APPLICATION_ID == 1345474628 && SCHEMA_VERSION == 2, "what the schema sets");

static const char from_version_1[] =
    "ALTER TABLE files ADD COLUMN size INTEGER;"
    "ALTER TABLE files ADD COLUMN content BLOB;"
    "DROP INDEX files_by_peer;"
    "CREATE INDEX files_by_peer ON files(peer_id, name, urls, size, content);"
    "PRAGMA user_version=2;";

enum statement {
    BEGIN,
    COMMIT,
    ROLLBACK,
    STORE_PEER,
    STORE_CLOCK,
    STORE_LIST,
    FILES_OF,
    ADD_FILE,
    CHANGE_FILE,
    REMOVE_FILE,
    STATEMENT_COUNT
};

static const char *const statement_sql[STATEMENT_COUNT] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [STORE_PEER] =
        "INSERT INTO peers(id, name, token, seen_ms, sequence) VALUES(?1, ?2, ?3, ?4, ?5)"
        " ON CONFLICT(id) DO UPDATE SET token=?3, seen_ms=?4, sequence=?5",
    [STORE_CLOCK] = "INSERT INTO state VALUES('written_ms', ?1)"
                    " ON CONFLICT(key) DO UPDATE SET value=?1",
    [STORE_LIST] = "UPDATE peers SET urls=?2, digest=?3 WHERE id=?1",
    [FILES_OF] = "SELECT name, urls, size, content FROM files WHERE peer_id=?1 ORDER BY name",
    [ADD_FILE] = "INSERT INTO files(peer_id, name, urls, size, content) VALUES(?1, ?2, ?3, ?4, ?5)",
    [CHANGE_FILE] = "UPDATE files SET urls=?3, size=?4, content=?5 WHERE peer_id=?1 AND name=?2",
    [REMOVE_FILE] = "DELETE FROM files WHERE peer_id=?1 AND name=?2",
};

struct index {
    sqlite3 *database;
    sqlite3_stmt *statements[STATEMENT_COUNT];
    int lock_file; /* holds the lock that keeps a second directory away */
    atomic_bool interrupted;
};

struct index_reader {
    sqlite3 *database;
    sqlite3_stmt *search;
    sqlite3_stmt *list;
};

/* Never ERROR_INVALID or ERROR_DENIED: those say what a request did wrong, and would tell a user
 * that his password is wrong when the database has become read-only. */
static enum error_code code_of(int result)
{
    switch (result & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return ERROR_NONE;
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
    default:
        return ERROR_IO;
    }
}

static enum error_code fail(sqlite3 *database, int result, struct error *error)
{
    return error_set(error, code_of(result), "database: %s",
                     database ? sqlite3_errmsg(database) : sqlite3_errstr(result));
}

static enum error_code execute(sqlite3 *database, const char *sql, struct error *error)
{
    int result = sqlite3_exec(database, sql, NULL, NULL, NULL);

    return result == SQLITE_OK ? ERROR_NONE : fail(database, result, error);
}

static enum error_code prepare(sqlite3 *database, const char *sql, sqlite3_stmt **statement,
                               struct error *error)
{
    int result = sqlite3_prepare_v3(database, sql, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL);

    return result == SQLITE_OK ? ERROR_NONE : fail(database, result, error);
}

/* Ends a statement so that it holds no lock, and turns its last result into our code. */
static enum error_code finish(sqlite3_stmt *statement, int result, struct error *error)
{
    enum error_code code = ERROR_NONE;

    if (result != SQLITE_DONE && result != SQLITE_ROW)
        code = fail(sqlite3_db_handle(statement), result, error);
    sqlite3_reset(statement);
    return code;
}

static enum error_code run(sqlite3_stmt *statement, struct error *error)
{
    return finish(statement, sqlite3_step(statement), error);
}

/* A pragma's or query's number. */
static enum error_code get_number(sqlite3 *database, const char *sql, int64_t *number,
                                  struct error *error)
{
    sqlite3_stmt *statement = NULL;
    enum error_code code = prepare(database, sql, &statement, error);

    if (code)
        return code;
    int result = sqlite3_step(statement);
    *number = result == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    code = finish(statement, result, error);
    sqlite3_finalize(statement);
    return code;
}

static enum error_code check_whole(sqlite3 *database, struct error *error)
{
    sqlite3_stmt *statement = NULL;
    enum error_code code = prepare(database, "PRAGMA quick_check(1)", &statement, error);

    if (code)
        return code;
    int result = sqlite3_step(statement);
    const char *text =
        result == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
    if (text && strcmp(text, "ok") != 0)
        code = error_set(error, ERROR_CORRUPT, "database: damaged (try sqlite3's .recover)");
    else
        code = finish(statement, result, error);
    sqlite3_finalize(statement);
    return code;
}

/* All or nothing: closing the connection undoes what was not committed. */
static enum error_code change_schema(sqlite3 *database, const char *sql, struct error *error)
{
    enum error_code code = execute(database, "BEGIN IMMEDIATE", error);

    if (!code)
        code = execute(database, sql, error);
    if (!code)
        code = execute(database, "COMMIT", error);
    return code;
}

/* Ours, empty (then it gets our schema), or neither; before anything is written. */
static enum error_code check_or_make(sqlite3 *database, struct error *error)
{
    int64_t application = 0;
    int64_t version = 0;
    int64_t tables = 0;
    enum error_code code =
        get_number(database, "SELECT count(*) FROM sqlite_schema", &tables, error);

    if (!code)
        code = get_number(database, "PRAGMA application_id", &application, error);
    if (!code)
        code = get_number(database, "PRAGMA user_version", &version, error);
    if (code)
        return code;
    bool empty = tables == 0 && application == 0 && version == 0;
    if (!empty && application != APPLICATION_ID)
        return error_set(error, ERROR_INVALID,
                         "database: a SQLite file of another program, not a directory's");
    if (!empty && (version < 1 || version > SCHEMA_VERSION))
        return error_set(error, ERROR_INVALID,
                         "database: has version %" PRId64 ", this program knows 1 to %d", version,
                         SCHEMA_VERSION);
    if (!empty)
        code = check_whole(database, error);
    /* Before the pragmas, which would let it sort a long list in memory. */
    if (!code && version == 1)
        code = change_schema(database, from_version_1, error);
    if (!code)
        code = execute(database, WRITER_PRAGMAS, error);
    if (!code && empty)
        code = change_schema(database, schema, error);
    return code;
}

/* The lock is on the folder's or file's companion, not on the database: closing any descriptor of
 * that would drop SQLite's own locks (fcntl(2)). */
static enum error_code take_lock(const char *path, int *lock_file, struct error *error)
{
    auto_free char *name = memory_format("%s-lock", path);
    auto_close int file = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (file < 0)
        return error_set_errno(error, errno, "%s", name);
    if (flock(file, LOCK_EX | LOCK_NB) < 0)
        return error_set(error, ERROR_BUSY, "another directory has it open");
    *lock_file = take_descriptor(&file);
    return ERROR_NONE;
}

/* SQLite calls it between steps of its machine; anything but 0 interrupts. */
static int is_interrupted(void *context)
{
    const struct index *index = context;

    return atomic_load_explicit(&index->interrupted, memory_order_relaxed);
}

static enum error_code open_all(struct index *index, const char *path, struct error *error)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    int result = sqlite3_open_v2(path, &index->database, flags, NULL);

    if (result != SQLITE_OK)
        return fail(index->database, result, error);
    sqlite3_busy_timeout(index->database, 1000);
    enum error_code code = check_or_make(index->database, error);
    for (size_t i = 0; i < STATEMENT_COUNT && !code; i++)
        code = prepare(index->database, statement_sql[i], &index->statements[i], error);
    sqlite3_progress_handler(index->database, 10000, is_interrupted, index);
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

enum error_code index_open(const char *path, struct index **index, struct error *error)
{
    struct index *made = memory_new(1, sizeof *made);

    made->lock_file = -1;
    enum error_code code = check_header(path, error);
    if (!code)
        code = take_lock(path, &made->lock_file, error);
    if (!code)
        code = open_all(made, path, error);
    if (code) {
        index_close(made);
        error_context(error, "%s", path);
        return code;
    }
    *index = made;
    return ERROR_NONE;
}

void index_close(struct index *index)
{
    if (!index)
        return;
    for (size_t i = 0; i < STATEMENT_COUNT; i++)
        sqlite3_finalize(index->statements[i]);
    sqlite3_close(index->database);
    if (index->lock_file >= 0)
        close(index->lock_file);
    free(index);
}

static void read_text(sqlite3_stmt *statement, int column, char *out, size_t size)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);
    size_t length = text ? strnlen(text, size - 1) : 0;

    if (length > 0)
        memcpy(out, text, length);
    out[length] = '\0';
}

static char *copy_text(sqlite3_stmt *statement, int column)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);

    return memory_copy_string(text ? text : "");
}

static void read_peer(sqlite3_stmt *statement, struct registry_record *record)
{
    *record = (struct registry_record){
        .id = sqlite3_column_int64(statement, 0),
        .name = copy_text(statement, 1),
        .seen_ms = sqlite3_column_int64(statement, 3),
        .sequence = (uint64_t)sqlite3_column_int64(statement, 4),
        .urls = copy_text(statement, 5),
    };
    read_text(statement, 2, record->token, sizeof record->token);
    const void *digest = sqlite3_column_blob(statement, 6);
    record->has_digest = digest && sqlite3_column_bytes(statement, 6) == REGISTRY_DIGEST_BYTES;
    if (record->has_digest)
        memcpy(record->digest, digest, REGISTRY_DIGEST_BYTES);
}

enum error_code index_load_peers(struct index *index, index_peer_fn *take, void *context,
                                 struct error *error)
{
    sqlite3_stmt *statement = NULL;
    int64_t written_ms = 0;
    int result;
    enum error_code code = get_number(
        index->database, "SELECT value FROM state WHERE key='written_ms'", &written_ms, error);

    if (!code)
        code = prepare(index->database,
                       "SELECT id, name, token, seen_ms, sequence, urls, digest FROM peers"
                       " WHERE id BETWEEN 1 AND 1000000000 ORDER BY id",
                       &statement, error);
    if (code)
        return code;
    while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
        struct registry_record record;
        read_peer(statement, &record);
        take(context, &record, written_ms);
    }
    code = finish(statement, result, error);
    sqlite3_finalize(statement);
    return code;
}

enum error_code index_begin(struct index *index, struct error *error)
{
    return run(index->statements[BEGIN], error);
}

enum error_code index_commit(struct index *index, struct error *error)
{
    return run(index->statements[COMMIT], error);
}

void index_rollback(struct index *index)
{
    /* Some failures have ended the transaction already, and none is worse than it was. */
    if (!sqlite3_get_autocommit(index->database)) {
        sqlite3_progress_handler(index->database, 0, NULL, NULL);
        sqlite3_step(index->statements[ROLLBACK]);
        sqlite3_reset(index->statements[ROLLBACK]);
        sqlite3_progress_handler(index->database, 10000, is_interrupted, index);
    }
}

static void bind_text(sqlite3_stmt *statement, int place, const char *text)
{
    if (text)
        sqlite3_bind_text(statement, place, text, -1, SQLITE_STATIC);
    else
        sqlite3_bind_null(statement, place);
}

static void bind_content(sqlite3_stmt *statement, int place, const struct file_content *content)
{
    if (content->size_bytes != FILE_SIZE_UNKNOWN)
        sqlite3_bind_int64(statement, place, content->size_bytes);
    else
        sqlite3_bind_null(statement, place);
    if (content->id)
        sqlite3_bind_blob(statement, place + 1, content->id->bytes, sizeof content->id->bytes,
                          SQLITE_STATIC);
    else
        sqlite3_bind_null(statement, place + 1);
}

/* Of the columns size and content; borrowed until the statement's next step. */
static struct file_content read_content(sqlite3_stmt *statement, int column)
{
    struct file_content content = {.size_bytes = FILE_SIZE_UNKNOWN};

    if (sqlite3_column_type(statement, column) == SQLITE_INTEGER)
        content.size_bytes = sqlite3_column_int64(statement, column);
    if (sqlite3_column_bytes(statement, column + 1) == sizeof content.id->bytes)
        content.id = sqlite3_column_blob(statement, column + 1);
    return content;
}

enum error_code index_store_peer(struct index *index, const struct registry_record *record,
                                 struct error *error)
{
    sqlite3_stmt *statement = index->statements[STORE_PEER];

    sqlite3_bind_int64(statement, 1, record->id);
    bind_text(statement, 2, record->name);
    bind_text(statement, 3, record->token);
    sqlite3_bind_int64(statement, 4, record->seen_ms);
    sqlite3_bind_int64(statement, 5, (int64_t)record->sequence);
    return run(statement, error);
}

enum error_code index_store_clock(struct index *index, int64_t written_ms, struct error *error)
{
    sqlite3_bind_int64(index->statements[STORE_CLOCK], 1, written_ms);
    return run(index->statements[STORE_CLOCK], error);
}

/* Looks at the stored rows, which come in the order of the names' bytes (SQLite's BINARY), before
 * anything is changed: SQLite does not say what a query sees of rows that are changed under it. */
static enum error_code find_difference(struct index *index, int64_t peer_id,
                                       struct difference *difference, struct error *error)
{
    sqlite3_stmt *stored = index->statements[FILES_OF];
    int result;

    sqlite3_bind_int64(stored, 1, peer_id);
    while ((result = sqlite3_step(stored)) == SQLITE_ROW) {
        struct file_content content = read_content(stored, 2);
        difference_see(difference, (const char *)sqlite3_column_text(stored, 0),
                       (const char *)sqlite3_column_text(stored, 1), &content);
    }
    difference_finish(difference);
    return finish(stored, result, error);
}

static enum error_code store_file(struct index *index, enum statement which, int64_t peer_id,
                                  const struct files_index *files, size_t item, struct error *error)
{
    sqlite3_stmt *statement = index->statements[which];
    struct file_content content = files_index_content(files, item);

    sqlite3_bind_int64(statement, 1, peer_id);
    bind_text(statement, 2, files_index_name(files, item));
    bind_text(statement, 3, files_index_urls(files, item));
    bind_content(statement, 4, &content);
    return run(statement, error);
}

static enum error_code apply_difference(struct index *index, int64_t peer_id,
                                        const struct files_index *files,
                                        const struct difference *difference, struct error *error)
{
    enum error_code code = ERROR_NONE;

    for (size_t i = 0; i < difference->removed_count && !code; i++) {
        sqlite3_bind_int64(index->statements[REMOVE_FILE], 1, peer_id);
        bind_text(index->statements[REMOVE_FILE], 2, difference->removed[i]);
        code = run(index->statements[REMOVE_FILE], error);
    }
    for (size_t i = 0; i < difference->changed_count && !code; i++)
        code = store_file(index, CHANGE_FILE, peer_id, files, difference->changed[i], error);
    for (size_t i = 0; i < difference->added_count && !code; i++)
        code = store_file(index, ADD_FILE, peer_id, files, difference->added[i], error);
    return code;
}

enum error_code index_replace_files(struct index *index, int64_t peer_id,
                                    const struct files_index *files, index_added_fn *added,
                                    void *context, struct error *error)
{
    CLEANUP(difference_done) struct difference difference = {.files = files};
    sqlite3_stmt *store_list = index->statements[STORE_LIST];
    /* Differs: the list is replaced; the reference's index only grows. */
    enum error_code code = find_difference(index, peer_id, &difference, error);

    if (!code)
        code = apply_difference(index, peer_id, files, &difference, error);
    if (code)
        return code;
    sqlite3_bind_int64(store_list, 1, peer_id);
    bind_text(store_list, 2, files_index_usual_urls(files));
    sqlite3_bind_blob(store_list, 3, files_index_digest(files), FILES_INDEX_DIGEST_BYTES,
                      SQLITE_STATIC);
    code = run(store_list, error);
    for (size_t i = 0; i < difference.added_count && !code; i++)
        added(context, files_index_name(files, difference.added[i]));
    return code;
}

void index_interrupt(struct index *index)
{
    atomic_store(&index->interrupted, true);
}

enum error_code index_reader_open(const char *path, struct index_reader **reader,
                                  struct error *error)
{
    struct index_reader *made = memory_new(1, sizeof *made);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX; /* WAL readers share its index file */
    int result = sqlite3_open_v2(path, &made->database, flags, NULL);
    enum error_code code = result == SQLITE_OK ? ERROR_NONE : fail(made->database, result, error);

    if (!code) {
        sqlite3_busy_timeout(made->database, 1000);
        code = execute(made->database, READER_PRAGMAS, error);
    }
    if (!code)
        code = prepare(made->database,
                       "SELECT peer_id, urls, size, content FROM files WHERE name=?1"
                       " ORDER BY peer_id",
                       &made->search, error);
    if (!code)
        code = prepare(made->database,
                       "SELECT peer_id, name, urls, size, content FROM files"
                       " WHERE (peer_id, name) > (?1, ?2) ORDER BY peer_id, name LIMIT ?3",
                       &made->list, error);
    if (code) {
        index_reader_close(made);
        error_context(error, "%s", path);
        return code;
    }
    *reader = made;
    return ERROR_NONE;
}

void index_reader_close(struct index_reader *reader)
{
    if (!reader)
        return;
    sqlite3_finalize(reader->search);
    sqlite3_finalize(reader->list);
    sqlite3_close(reader->database);
    free(reader);
}

enum error_code index_search(struct index_reader *reader, const struct file_name *name,
                             index_file_fn *visit, void *context, struct error *error)
{
    sqlite3_stmt *search = reader->search;
    int result;

    bind_text(search, 1, name->text);
    while ((result = sqlite3_step(search)) == SQLITE_ROW) {
        struct index_file file = {
            .peer_id = sqlite3_column_int64(search, 0),
            .name = name->text,
            .urls = (const char *)sqlite3_column_text(search, 1),
            .content = read_content(search, 2),
        };
        if (!visit(context, &file))
            break;
    }
    return finish(search, result, error);
}

enum error_code index_list(struct index_reader *reader, const struct index_place *after, size_t max,
                           index_file_fn *visit, void *context, struct error *error)
{
    sqlite3_stmt *list = reader->list;
    int result;

    sqlite3_bind_int64(list, 1, after->peer_id);
    bind_text(list, 2, after->name);
    sqlite3_bind_int64(list, 3, (int64_t)max);
    while ((result = sqlite3_step(list)) == SQLITE_ROW) {
        struct index_file file = {
            .peer_id = sqlite3_column_int64(list, 0),
            .name = (const char *)sqlite3_column_text(list, 1),
            .urls = (const char *)sqlite3_column_text(list, 2),
            .content = read_content(list, 3),
        };
        if (!visit(context, &file))
            break;
    }
    return finish(list, result, error);
}
