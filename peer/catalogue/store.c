#include "peer/catalogue/store.h"

#include "common/memory.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define APPLICATION_ID 0x50325043 /* "P2PC" */
#define SCHEMA_VERSION 1

/* Rows are found by one look into an index: little cache is enough. */
#define PRAGMAS                                           \
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" \
    "PRAGMA journal_size_limit=4194304; PRAGMA cache_size=-256; PRAGMA temp_store=MEMORY;"

static const char schema[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE files(number INTEGER PRIMARY KEY AUTOINCREMENT, inode INTEGER NOT NULL,"
    " device INTEGER NOT NULL, size INTEGER NOT NULL, modified_ns INTEGER NOT NULL,"
    " changed_ns INTEGER NOT NULL, name TEXT NOT NULL, seen_s INTEGER NOT NULL,"
    " content BLOB NOT NULL, hashes BLOB NOT NULL);"
    "CREATE UNIQUE INDEX files_by_inode ON files(inode, device);"
    "PRAGMA application_id=1345474627;"
    "PRAGMA user_version=1;"
    "COMMIT;";
_Static_assert(APPLICATION_ID == 1345474627 && SCHEMA_VERSION == 1, "what the schema sets");

enum statement { FIND, ADD, MOVE, SEEN, FORGET, STATEMENT_COUNT };

static const char *const statement_sql[STATEMENT_COUNT] = {
    [FIND] = "SELECT number, name, content, changed_ns=?5, device=?2 FROM files WHERE inode=?1"
             " AND size=?3 AND modified_ns=?4 AND (device=?2 OR changed_ns=?5)"
             " AND length(content)=32 AND length(hashes)=32*((size+1048575)/1048576)"
             " ORDER BY device=?2 DESC LIMIT 1",
    [ADD] = "INSERT OR REPLACE INTO files(inode, device, size, modified_ns, changed_ns, name,"
            " seen_s, content, hashes) VALUES(?1, ?2, ?3, ?4, ?5, ?6, CAST(strftime('%s','now') AS "
            "INTEGER), ?7, ?8)",
    [MOVE] = "UPDATE OR REPLACE files SET device=?2, changed_ns=?5, name=?6 WHERE number=?9"
             " AND inode=?1 AND size=?3 AND modified_ns=?4",
    [SEEN] = "UPDATE files SET seen_s=?2 WHERE number=?1",
    [FORGET] = "DELETE FROM files WHERE seen_s<?1",
};

struct store {
    pthread_mutex_t lock; /* guards what follows */
    sqlite3 *database;
    sqlite3_stmt *statements[STATEMENT_COUNT]; /* prepared when first used */
};

static enum error_code code_of(int result)
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
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
        return ERROR_DENIED;
    default:
        return ERROR_IO;
    }
}

static enum error_code fail(sqlite3 *database, int result, struct error *error)
{
    return error_set(error, code_of(result), "catalogue: %s",
                     database ? sqlite3_errmsg(database) : sqlite3_errstr(result));
}

static enum error_code execute(sqlite3 *database, const char *sql, struct error *error)
{
    int result = sqlite3_exec(database, sql, NULL, NULL, NULL);

    return result == SQLITE_OK ? ERROR_NONE : fail(database, result, error);
}

/* The first column of a query's first row as a number. */
static enum error_code get_number(sqlite3 *database, const char *sql, int64_t *number,
                                  struct error *error)
{
    sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v2(database, sql, -1, &statement, NULL);

    if (result == SQLITE_OK && (result = sqlite3_step(statement)) == SQLITE_ROW)
        *number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return result == SQLITE_ROW ? ERROR_NONE : fail(database, result, error);
}

/* ERROR_CORRUPT: damaged, or not ours. */
static enum error_code check_or_make(sqlite3 *database, struct error *error)
{
    int64_t tables, application, version, sound;
    enum error_code code =
        get_number(database, "SELECT count(*) FROM sqlite_schema", &tables, error);

    if (!code)
        code = get_number(database, "PRAGMA application_id", &application, error);
    if (!code)
        code = get_number(database, "PRAGMA user_version", &version, error);
    if (code)
        return code;
    if (tables == 0 && application == 0 && version == 0) {
        code = execute(database, PRAGMAS, error);
        return code ? code : execute(database, schema, error);
    }
    if (application != APPLICATION_ID || version != SCHEMA_VERSION)
        return error_set(error, ERROR_CORRUPT, "catalogue: not a catalogue of this version");
    code =
        get_number(database, "SELECT quick_check='ok' FROM pragma_quick_check(1)", &sound, error);
    if (!code && !sound)
        return error_set(error, ERROR_CORRUPT, "catalogue: damaged");
    return code ? code : execute(database, PRAGMAS, error);
}

static enum error_code open_database(const char *path, sqlite3 **database, struct error *error)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    int result = sqlite3_open_v2(path ? path : ":memory:", database, flags, NULL);
    enum error_code code;

    if (result != SQLITE_OK) {
        code = fail(*database, result, error);
    } else {
        sqlite3_busy_timeout(*database, 1000);
        /* A pool of 120 KiB for each connection; ours is rarely busy. */
        sqlite3_db_config(*database, SQLITE_DBCONFIG_LOOKASIDE, NULL, 0, 0);
        code = check_or_make(*database, error);
    }
    if (code) {
        sqlite3_close(*database);
        *database = NULL;
    }
    return code;
}

/* With the companions of the write-ahead log, which would be taken for the new one's. */
static void move_aside(const char *path)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};

    for (size_t i = 0; i < ARRAY_LENGTH(suffixes); i++) {
        auto_free char *from = memory_format("%s%s", path, suffixes[i]);
        auto_free char *to = memory_format("%s.bad%s", path, suffixes[i]);
        rename(from, to); /* what is not there need not move; should it stay, opening fails again */
    }
}

enum error_code store_open(const char *path, struct store **store, bool *aside, struct error *error)
{
    sqlite3 *database = NULL;
    enum error_code code = open_database(path, &database, error);

    *aside = code == ERROR_CORRUPT && path;
    if (*aside) {
        move_aside(path);
        code = open_database(path, &database, error);
    }
    if (code)
        return code;
    *store = memory_new(1, sizeof **store);
    (*store)->database = database;
    pthread_mutex_init(&(*store)->lock, NULL);
    return ERROR_NONE;
}

void store_close(struct store *store)
{
    if (!store)
        return;
    for (size_t i = 0; i < STATEMENT_COUNT; i++)
        sqlite3_finalize(store->statements[i]);
    sqlite3_close(store->database);
    pthread_mutex_destroy(&store->lock);
    free(store);
}

static enum error_code get_statement(struct store *store, enum statement which,
                                     sqlite3_stmt **statement, struct error *error)
{
    int result = SQLITE_OK;

    if (!store->statements[which])
        result = sqlite3_prepare_v3(store->database, statement_sql[which], -1,
                                    SQLITE_PREPARE_PERSISTENT, &store->statements[which], NULL);
    *statement = store->statements[which];
    return result == SQLITE_OK ? ERROR_NONE : fail(store->database, result, error);
}

/* Runs a statement that gives no rows. */
static enum error_code run(struct store *store, sqlite3_stmt *statement, struct error *error)
{
    int result = sqlite3_step(statement);
    enum error_code code =
        result == SQLITE_DONE ? ERROR_NONE : fail(store->database, result, error);

    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return code;
}

static void bind_identity(sqlite3_stmt *statement, const struct share_identity *identity)
{
    sqlite3_bind_int64(statement, 1, (int64_t)identity->inode);
    sqlite3_bind_int64(statement, 2, (int64_t)identity->device);
    sqlite3_bind_int64(statement, 3, identity->size_bytes);
    sqlite3_bind_int64(statement, 4, identity->modified_ns);
    sqlite3_bind_int64(statement, 5, identity->changed_ns);
}

static void read_row(sqlite3_stmt *statement, struct store_row *row)
{
    const void *content = sqlite3_column_blob(statement, 2);
    const char *name = (const char *)sqlite3_column_text(statement, 1);

    *row = (struct store_row){.number = sqlite3_column_int64(statement, 0),
                              .exact = sqlite3_column_int(statement, 3)};
    snprintf(row->name.text, sizeof row->name.text, "%s", name ? name : "");
    memcpy(row->content.bytes, content, sizeof row->content.bytes);
}

static enum error_code find(struct store *store, const struct share_identity *identity,
                            struct store_row *row, struct error *error)
{
    sqlite3_stmt *statement;
    enum error_code code = get_statement(store, FIND, &statement, error);

    if (code)
        return code;
    bind_identity(statement, identity);
    int result = sqlite3_step(statement);
    if (result == SQLITE_ROW)
        read_row(statement, row);
    else if (result == SQLITE_DONE)
        code = error_set(error, ERROR_NOT_FOUND, "catalogue: not there");
    else
        code = fail(store->database, result, error);
    sqlite3_reset(statement);
    return code;
}

enum error_code store_find(struct store *store, const struct share_identity *identity,
                           struct store_row *row, struct error *error)
{
    pthread_mutex_lock(&store->lock);
    enum error_code code = find(store, identity, row, error);
    pthread_mutex_unlock(&store->lock);
    return code;
}

enum error_code store_add(struct store *store, const struct store_file *file,
                          const struct manifest *manifest, int64_t *number, struct error *error)
{
    sqlite3_stmt *statement;

    pthread_mutex_lock(&store->lock);
    enum error_code code = get_statement(store, ADD, &statement, error);
    if (!code) {
        bind_identity(statement, file->identity);
        sqlite3_bind_text(statement, 6, file->name->text, -1, SQLITE_STATIC);
        sqlite3_bind_blob(statement, 7, manifest->id.bytes, HASH_BYTES, SQLITE_STATIC);
        /* At most 32 MiB, which an int holds; a NULL pointer would be a NULL. */
        sqlite3_bind_blob(statement, 8, manifest->piece_count ? (const void *)manifest->hashes : "",
                          (int)(manifest->piece_count * HASH_BYTES), SQLITE_STATIC);
        code = run(store, statement, error);
    }
    if (!code)
        *number = sqlite3_last_insert_rowid(store->database);
    pthread_mutex_unlock(&store->lock);
    return code;
}

enum error_code store_move(struct store *store, int64_t number, const struct store_file *file,
                           struct error *error)
{
    sqlite3_stmt *statement;

    pthread_mutex_lock(&store->lock);
    enum error_code code = get_statement(store, MOVE, &statement, error);
    if (!code) {
        bind_identity(statement, file->identity);
        sqlite3_bind_text(statement, 6, file->name->text, -1, SQLITE_STATIC);
        sqlite3_bind_int64(statement, 9, number);
        code = run(store, statement, error);
    }
    pthread_mutex_unlock(&store->lock);
    return code;
}

/* Only the part that is wanted is read, by the blob's own interface: a file of 1 TiB has 32 MiB. */
static enum error_code read_hashes(struct store *store, int64_t number, size_t first, size_t count,
                                   uint8_t (*hashes)[HASH_BYTES], struct error *error)
{
    sqlite3_blob *blob = NULL;
    int result = sqlite3_blob_open(store->database, "main", "files", "hashes", number, 0, &blob);
    enum error_code code = ERROR_NONE;

    if (result == SQLITE_OK && (first + count) * HASH_BYTES <= (size_t)sqlite3_blob_bytes(blob))
        result =
            sqlite3_blob_read(blob, hashes, (int)(count * HASH_BYTES), (int)(first * HASH_BYTES));
    else if (result == SQLITE_OK)
        result = SQLITE_ERROR;
    if ((result & 0xff) == SQLITE_ERROR)
        code = error_set(error, ERROR_CHANGED, "El archivo ya no es el mismo");
    else if (result != SQLITE_OK)
        code = fail(store->database, result, error);
    sqlite3_blob_close(blob);
    return code;
}

enum error_code store_read_hashes(struct store *store, int64_t number, size_t first, size_t count,
                                  uint8_t (*hashes)[HASH_BYTES], struct error *error)
{
    assert(first + count <= MANIFEST_PIECES_MAX);
    if (count == 0)
        return ERROR_NONE;
    pthread_mutex_lock(&store->lock);
    enum error_code code = read_hashes(store, number, first, count, hashes, error);
    pthread_mutex_unlock(&store->lock);
    return code;
}

static enum error_code keep(struct store *store, const int64_t *numbers, size_t count,
                            int64_t now_s, struct error *error)
{
    sqlite3_stmt *seen, *forget;
    enum error_code code = get_statement(store, SEEN, &seen, error);

    if (!code)
        code = get_statement(store, FORGET, &forget, error);
    for (size_t i = 0; i < count && !code; i++) {
        sqlite3_bind_int64(seen, 1, numbers[i]);
        sqlite3_bind_int64(seen, 2, now_s);
        code = run(store, seen, error);
    }
    if (code)
        return code;
    sqlite3_bind_int64(forget, 1, now_s - STORE_KEEP_S);
    return run(store, forget, error);
}

enum error_code store_keep(struct store *store, const int64_t *numbers, size_t count, int64_t now_s,
                           struct error *error)
{
    pthread_mutex_lock(&store->lock);
    enum error_code code = execute(store->database, "BEGIN IMMEDIATE", error);
    if (!code) {
        code = keep(store, numbers, count, now_s, error);
        (void)execute(store->database, code ? "ROLLBACK" : "COMMIT", code ? NULL : error);
    }
    pthread_mutex_unlock(&store->lock);
    return code;
}

void store_rest(struct store *store)
{
    pthread_mutex_lock(&store->lock);
    sqlite3_db_release_memory(store->database);
    pthread_mutex_unlock(&store->lock);
}
