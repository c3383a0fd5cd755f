#include "peer/catalogue/store.h"

#include "common/database.h"
#include "common/memory.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const upgrades[] = {
    "ALTER TABLE files ADD COLUMN checked_s INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE files ADD COLUMN bad BLOB;",
    /* Pieces are hashed in another way, so that ids are other ones, too: all is hashed anew. */
    "DELETE FROM files;",
};

/* Rows are found by one look into an index: little cache is enough. */
static const struct database_form form = {
    .name = "catalogue",
    .owner = "catalogue",
    .application_id = 0x50325043, /* "P2PC" */
    .version = 3,
    .schema = "CREATE TABLE files(number INTEGER PRIMARY KEY AUTOINCREMENT, inode INTEGER NOT NULL,"
              " device INTEGER NOT NULL, size INTEGER NOT NULL, modified_ns INTEGER NOT NULL,"
              " changed_ns INTEGER NOT NULL, name TEXT NOT NULL, seen_s INTEGER NOT NULL,"
              " content BLOB NOT NULL, hashes BLOB NOT NULL, checked_s INTEGER NOT NULL DEFAULT 0,"
              " bad BLOB);"
              "CREATE UNIQUE INDEX files_by_inode ON files(inode, device);",
    .upgrades = upgrades,
    .pragmas = "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
               "PRAGMA journal_size_limit=4194304; PRAGMA cache_size=-256;"
               "PRAGMA temp_store=MEMORY;",
    .is_frugal = true, /* ours is rarely busy */
    .denied = ERROR_DENIED,
};

enum statement {
    FIND,
    ADD,
    MOVE,
    SEEN,
    FORGET,
    NOTE_CHECK,
    NOTE_REPAIR,
    READ_DAMAGE,
    STATEMENT_COUNT
};

static const char *const statement_sql[STATEMENT_COUNT] = {
    [FIND] = "SELECT number, name, content, changed_ns=?5, checked_s,"
             " bad IS NOT NULL FROM files WHERE inode=?1"
             " AND size=?3 AND modified_ns=?4 AND (device=?2 OR changed_ns=?5)"
             " AND length(content)=32 AND length(hashes)=32*((size+1048575)/1048576)"
             " ORDER BY device=?2 DESC LIMIT 1",
    [ADD] = "INSERT OR REPLACE INTO files(inode, device, size, modified_ns, changed_ns, name,"
            " seen_s, content, hashes, checked_s) VALUES(?1, ?2, ?3, ?4, ?5, ?6,"
            " CAST(strftime('%s','now') AS INTEGER), ?7, ?8,"
            " CAST(strftime('%s','now') AS INTEGER))",
    [MOVE] = "UPDATE OR REPLACE files SET device=?2, changed_ns=?5, name=?6 WHERE number=?9"
             " AND inode=?1 AND size=?3 AND modified_ns=?4",
    [SEEN] = "UPDATE files SET seen_s=?2 WHERE number=?1",
    [FORGET] = "DELETE FROM files WHERE seen_s<?1",
    [NOTE_CHECK] = "UPDATE files SET checked_s=?2, bad=?3 WHERE number=?1",
    [NOTE_REPAIR] = "UPDATE OR REPLACE files SET device=?2, modified_ns=?4, changed_ns=?5, bad=?6"
                    " WHERE number=?7 AND inode=?1 AND size=?3",
    [READ_DAMAGE] = "SELECT name, bad FROM files WHERE number=?1",
};

struct store {
    pthread_mutex_t lock; /* guards what follows */
    struct database *database;
    struct database_statement *statements[STATEMENT_COUNT]; /* prepared when first used */
};

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

static bool is_useless(enum error_code code)
{
    return code == ERROR_CORRUPT || code == ERROR_INVALID; /* damaged, or not ours */
}

enum error_code store_open(const char *path, struct store **store, bool *aside, struct error *error)
{
    struct database *database = NULL;
    enum error_code code = database_open(&form, path, &database, error);

    *aside = is_useless(code) && path;
    if (*aside) {
        move_aside(path);
        code = database_open(&form, path, &database, error);
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
        database_statement_free(store->statements[i]);
    database_close(store->database);
    pthread_mutex_destroy(&store->lock);
    free(store);
}

static enum error_code get_statement(struct store *store, enum statement which,
                                     struct database_statement **statement, struct error *error)
{
    enum error_code code = ERROR_NONE;

    if (!store->statements[which])
        code = database_prepare(store->database, statement_sql[which], &store->statements[which],
                                error);
    *statement = store->statements[which];
    return code;
}

static void bind_identity(struct database_statement *statement,
                          const struct share_identity *identity)
{
    database_bind_number(statement, 1, (int64_t)identity->inode);
    database_bind_number(statement, 2, (int64_t)identity->device);
    database_bind_number(statement, 3, identity->size_bytes);
    database_bind_number(statement, 4, identity->modified_ns);
    database_bind_number(statement, 5, identity->changed_ns);
}

static void read_row(struct database_statement *statement, struct store_row *row)
{
    size_t content_bytes; /* the query sees to it */
    const void *content = database_bytes(statement, 2, &content_bytes);
    const char *name = database_text(statement, 1);

    *row = (struct store_row){.number = database_number(statement, 0),
                              .exact = database_number(statement, 3) != 0,
                              .checked_s = database_number(statement, 4),
                              .damaged = database_number(statement, 5) != 0};
    snprintf(row->name.text, sizeof row->name.text, "%s", name ? name : "");
    memcpy(row->content.bytes, content, sizeof row->content.bytes);
}

static enum error_code find(struct store *store, const struct share_identity *identity,
                            struct store_row *row, struct error *error)
{
    struct database_statement *statement;
    enum error_code code = get_statement(store, FIND, &statement, error);

    if (code)
        return code;
    bind_identity(statement, identity);
    bool found = database_next(statement);
    if (found)
        read_row(statement, row);
    code = database_finish(statement, error);
    if (!code && !found)
        code = error_set(error, ERROR_NOT_FOUND, "catalogue: not there");
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

static enum error_code add(struct store *store, struct store_new *item, struct error *error)
{
    const struct manifest *manifest = item->manifest;
    struct database_statement *statement;
    enum error_code code = get_statement(store, ADD, &statement, error);

    if (code)
        return code;
    bind_identity(statement, item->file.identity);
    database_bind_text(statement, 6, item->file.name->text);
    database_bind_bytes(statement, 7, manifest->id.bytes, HASH_BYTES);
    /* At most 32 MiB; a NULL pointer would be a NULL. */
    database_bind_bytes(statement, 8, manifest->piece_count ? (const void *)manifest->hashes : "",
                        manifest->piece_count * HASH_BYTES);
    code = database_run(statement, error);
    if (!code)
        item->number = database_last_row(store->database);
    return code;
}

enum error_code store_add(struct store *store, const struct store_file *file,
                          const struct manifest *manifest, int64_t *number, struct error *error)
{
    struct store_new item = {.file = *file, .manifest = manifest};

    pthread_mutex_lock(&store->lock);
    enum error_code code = add(store, &item, error);
    pthread_mutex_unlock(&store->lock);
    *number = item.number;
    return code;
}

/* Else all that comes later would be part of it, and be lost. Some failures have ended it. */
static enum error_code end_transaction(struct store *store, enum error_code code,
                                       struct error *error)
{
    if (!code)
        code = database_execute(store->database, "COMMIT", error);
    if (code)
        (void)!database_execute(store->database, "ROLLBACK", NULL);
    return code;
}

enum error_code store_add_all(struct store *store, struct store_new *items, size_t count,
                              struct error *error)
{
    pthread_mutex_lock(&store->lock);
    enum error_code code = database_execute(store->database, "BEGIN IMMEDIATE", error);
    for (size_t i = 0; i < count && !code; i++)
        code = add(store, &items[i], error);
    code = end_transaction(store, code, error);
    pthread_mutex_unlock(&store->lock);
    return code;
}

enum error_code store_move(struct store *store, int64_t number, const struct store_file *file,
                           struct error *error)
{
    struct database_statement *statement;

    pthread_mutex_lock(&store->lock);
    enum error_code code = get_statement(store, MOVE, &statement, error);
    if (!code) {
        bind_identity(statement, file->identity);
        database_bind_text(statement, 6, file->name->text);
        database_bind_number(statement, 9, number);
        code = database_run(statement, error);
    }
    pthread_mutex_unlock(&store->lock);
    return code;
}

/* An empty list is a NULL. */
static void bind_pieces(struct database_statement *statement, int place,
                        const struct piece_list *list)
{
    if (list->count == 0)
        database_bind_null(statement, place);
    else
        database_bind_bytes(statement, place, list->items, list->count * sizeof *list->items);
}

enum error_code store_note_check(struct store *store, int64_t number, int64_t checked_s,
                                 const struct piece_list *bad, struct error *error)
{
    struct database_statement *statement;

    pthread_mutex_lock(&store->lock);
    enum error_code code = get_statement(store, NOTE_CHECK, &statement, error);
    if (!code) {
        database_bind_number(statement, 1, number);
        database_bind_number(statement, 2, checked_s);
        bind_pieces(statement, 3, bad);
        code = database_run(statement, error);
    }
    pthread_mutex_unlock(&store->lock);
    return code;
}

enum error_code store_note_repair(struct store *store, int64_t number,
                                  const struct share_identity *identity,
                                  const struct piece_list *bad, struct error *error)
{
    struct database_statement *statement;

    pthread_mutex_lock(&store->lock);
    enum error_code code = get_statement(store, NOTE_REPAIR, &statement, error);
    if (!code) {
        bind_identity(statement, identity);
        bind_pieces(statement, 6, bad);
        database_bind_number(statement, 7, number);
        code = database_run(statement, error);
    }
    pthread_mutex_unlock(&store->lock);
    return code;
}

static void read_damage(struct database_statement *statement, struct file_name *name,
                        struct piece_list *bad)
{
    const char *text = database_text(statement, 0);
    size_t length = 0;
    const void *items = database_bytes(statement, 1, &length);

    snprintf(name->text, sizeof name->text, "%s", text ? text : "");
    for (size_t i = 0; items && i < length / sizeof(uint32_t) && i < MANIFEST_PIECES_MAX; i++) {
        uint32_t piece;
        memcpy(&piece, (const char *)items + i * sizeof piece, sizeof piece);
        if (piece < MANIFEST_PIECES_MAX)
            piece_list_add(bad, piece);
    }
}

enum error_code store_read_damage(struct store *store, int64_t number, struct file_name *name,
                                  struct piece_list *bad, struct error *error)
{
    struct database_statement *statement;
    bool found = false;

    *bad = (struct piece_list){0};
    pthread_mutex_lock(&store->lock);
    enum error_code code = get_statement(store, READ_DAMAGE, &statement, error);
    if (!code) {
        database_bind_number(statement, 1, number);
        found = database_next(statement);
        if (found)
            read_damage(statement, name, bad);
        code = database_finish(statement, error);
    }
    pthread_mutex_unlock(&store->lock);
    if (!code && !found)
        code = error_set(error, ERROR_NOT_FOUND, "catalogue: not there");
    if (code)
        piece_list_done(bad);
    return code;
}

/* Only the part that is wanted: a file of 1 TiB has 32 MiB of them. */
static enum error_code read_hashes(struct store *store, int64_t number, size_t first, size_t count,
                                   uint8_t (*hashes)[HASH_BYTES], struct error *error)
{
    struct database_part part = {.table = "files",
                                 .column = "hashes",
                                 .row = number,
                                 .first_bytes = first * HASH_BYTES,
                                 .length_bytes = count * HASH_BYTES};
    enum error_code code = database_read_part(store->database, &part, hashes, error);

    if (code == ERROR_NOT_FOUND)
        code = error_set(error, ERROR_CHANGED, "El archivo ya no es el mismo");
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
    struct database_statement *seen, *forget;
    enum error_code code = get_statement(store, SEEN, &seen, error);

    if (!code)
        code = get_statement(store, FORGET, &forget, error);
    for (size_t i = 0; i < count && !code; i++) {
        database_bind_number(seen, 1, numbers[i]);
        database_bind_number(seen, 2, now_s);
        code = database_run(seen, error);
    }
    if (code)
        return code;
    database_bind_number(forget, 1, now_s - STORE_KEEP_S);
    return database_run(forget, error);
}

enum error_code store_keep(struct store *store, const int64_t *numbers, size_t count, int64_t now_s,
                           struct error *error)
{
    pthread_mutex_lock(&store->lock);
    enum error_code code = database_execute(store->database, "BEGIN IMMEDIATE", error);
    if (!code)
        code = keep(store, numbers, count, now_s, error);
    code = end_transaction(store, code, error);
    pthread_mutex_unlock(&store->lock);
    return code;
}

void store_rest(struct store *store)
{
    pthread_mutex_lock(&store->lock);
    database_rest(store->database);
    pthread_mutex_unlock(&store->lock);
}
