#include "directory/names.h"

#include "common/buffer.h"
#include "common/file_name.h"
#include "common/fold.h"
#include "common/memory.h"
#include "directory/name_ids.h"
#include "directory/trigrams.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A folded name, and lines for blocks. */
enum { DOCUMENT_MAX_BYTES = FOLD_GROWTH * FILE_PATH_MAX_BYTES + 128 };

enum {
    LOAD_AT_ONCE = 4096, /* some 5 ms */
    GONE = 0,            /* no name's id */
};

enum statement {
    FIND,
    ADD,
    ADD_WORDS,
    IS_USED,
    NOTE_UNUSED,
    COUNT_WAITING,
    WORDED,
    UNUSED,
    NAME_OF,
    REMOVE,
    REMOVE_WORDS,
    FORGET_UNUSED,
    NEW_NAMES,
    STORE_WORDED,
    STATEMENT_COUNT
};

#define WORDED_SQL "ifnull((SELECT value FROM state WHERE key='worded'), 0)"
/* Up to the last name; never back, since the last ones may have gone. */
#define STORE_WORDED_SQL                                                     \
    "INSERT INTO state SELECT 'worded', ifnull(max(id), 0) FROM names WHERE" \
    " true ON CONFLICT(key) DO UPDATE SET value=max(value, excluded.value)"

static const char *const statement_sql[STATEMENT_COUNT] = {
    [FIND] = "SELECT id FROM names WHERE name=?1",
    [ADD] = "INSERT INTO names(name) VALUES(?1)",
    [ADD_WORDS] = "INSERT INTO words(rowid, text) VALUES(?1, ?2)",
    [IS_USED] = "SELECT 1 FROM files WHERE name_id=?1 LIMIT 1",
    [NOTE_UNUSED] = "INSERT OR IGNORE INTO unused VALUES(?1)",
    [COUNT_WAITING] = "SELECT (SELECT count(*) FROM unused)"
                      " + max(0, ifnull((SELECT max(id) FROM names), 0) - " WORDED_SQL ")",
    [WORDED] = "SELECT " WORDED_SQL,
    [UNUSED] = "SELECT id FROM unused ORDER BY id",
    [NAME_OF] = "SELECT name FROM names WHERE id=?1",
    [REMOVE] = "DELETE FROM names WHERE id=?1",
    [REMOVE_WORDS] = "INSERT INTO words(words, rowid, text) VALUES('delete', ?1, ?2)",
    [FORGET_UNUSED] = "DELETE FROM unused",
    [NEW_NAMES] = "SELECT id, name FROM names WHERE id>?1 ORDER BY id",
    [STORE_WORDED] = STORE_WORDED_SQL,
};

struct names {
    struct database *database;
    struct database_statement *statements[STATEMENT_COUNT];
    struct buffer document;
    struct name_ids *ids;
    int64_t loaded_to;     /* id */
    struct buffer changes; /* in this transaction: an id, or GONE, and the name with its NUL */
    bool has_removed;      /* in this transaction, so that ids know of too many */
};

/* ---- words ---- */

/* By ADD_WORDS, or by REMOVE_WORDS, which must be given what was added. */
static enum error_code change_words(struct names *names, enum statement which, int64_t id,
                                    const char *name, struct error *error)
{
    struct database_statement *statement = names->statements[which];
    char folded[FOLD_GROWTH * FILE_PATH_MAX_BYTES + 1];

    fold_text(name, strnlen(name, FILE_PATH_MAX_BYTES), folded);
    buffer_clear(&names->document);
    trigrams_write_document(&names->document, folded, id);
    database_bind_number(statement, 1, id);
    database_bind_text(statement, 2, names->document.data);
    return database_run(statement, error);
}

/* Of all names after the id, by rising id. */
static enum error_code add_words_after(struct names *names, int64_t id, struct error *error)
{
    struct database_statement *fresh = names->statements[NEW_NAMES];
    enum error_code code = ERROR_NONE;
    struct error ignored;

    database_bind_number(fresh, 1, id);
    while (!code && database_next(fresh))
        code = change_words(names, ADD_WORDS, database_number(fresh, 0), database_text(fresh, 1),
                            error);
    enum error_code other = database_finish(fresh, code ? &ignored : error);
    code = code ? code : other;
    return code ? code : database_run(names->statements[STORE_WORDED], error);
}

/* What fails leaves a transaction open; the connection is closed then. */
static enum error_code make_words_anew(struct names *names, struct error *error)
{
    auto_free char *stamp = memory_format("INSERT INTO state VALUES('folding', %ld)"
                                          " ON CONFLICT(key) DO UPDATE SET value=excluded.value;"
                                          "COMMIT;",
                                          fold_version());
    enum error_code code = database_execute(
        names->database, "BEGIN IMMEDIATE; INSERT INTO words(words) VALUES('delete-all');", error);

    if (!code)
        code = add_words_after(names, 0, error);
    return code ? code : database_execute(names->database, stamp, error);
}

static enum error_code get_folding(struct database *database, int64_t *version, struct error *error)
{
    return database_get_number(database, "SELECT value FROM state WHERE key='folding'", version,
                               error);
}

static enum error_code check_words(struct names *names, struct error *error)
{
    int64_t version = 0;
    enum error_code code = get_folding(names->database, &version, error);

    return code || version == fold_version() ? code : make_words_anew(names, error);
}

enum error_code names_check(struct database *database, struct error *error)
{
    int64_t version = 0;
    enum error_code code = get_folding(database, &version, error);

    if (!code && version != fold_version())
        code = error_set(error, ERROR_INVALID, "names must be indexed anew first");
    return code;
}

/* ---- names ---- */

enum error_code names_open(struct database *database, struct name_ids *ids, struct names **names,
                           struct error *error)
{
    struct names *made = memory_new(1, sizeof *made);
    enum error_code code = ERROR_NONE;

    made->database = database;
    made->ids = ids;
    buffer_init(&made->document, DOCUMENT_MAX_BYTES);
    buffer_init(&made->changes, SIZE_MAX / 2);
    for (size_t i = 0; i < STATEMENT_COUNT && !code; i++)
        code = database_prepare(database, statement_sql[i], &made->statements[i], error);
    if (!code)
        code = check_words(made, error);
    if (code) {
        names_close(made);
        return code;
    }
    *names = made;
    return ERROR_NONE;
}

void names_close(struct names *names)
{
    if (!names)
        return;
    for (size_t i = 0; i < STATEMENT_COUNT; i++)
        database_statement_free(names->statements[i]);
    buffer_done(&names->document);
    buffer_done(&names->changes);
    free(names);
}

static void note_change(struct names *names, int64_t id, const char *name)
{
    buffer_append(&names->changes, &id, sizeof id);
    buffer_append(&names->changes, name, strlen(name) + 1);
    names->has_removed |= id == GONE;
}

/* *id is 0 when there is no such name. */
static enum error_code find(struct names *names, const char *name, int64_t *id, struct error *error)
{
    struct database_statement *statement = names->statements[FIND];

    if (!names->has_removed && name_ids_find(names->ids, name, id) == NAME_IDS_FOUND)
        return ERROR_NONE;
    database_bind_text(statement, 1, name);
    *id = database_next(statement) ? database_number(statement, 0) : 0;
    return database_finish(statement, error);
}

enum error_code names_get(struct names *names, const char *name, bool make, int64_t *id,
                          struct error *error)
{
    enum error_code code = find(names, name, id, error);

    if (code || *id)
        return code;
    if (!make)
        return error_set(error, ERROR_CORRUPT, "database: a file has a name that is not there");
    database_bind_text(names->statements[ADD], 1, name);
    code = database_run(names->statements[ADD], error);
    if (code)
        return code;
    *id = database_last_row(names->database);
    note_change(names, *id, name);
    return ERROR_NONE;
}

static enum error_code look_for_files(struct names *names, int64_t id, bool *used,
                                      struct error *error)
{
    struct database_statement *is_used = names->statements[IS_USED];

    database_bind_number(is_used, 1, id);
    *used = database_next(is_used);
    return database_finish(is_used, error);
}

enum error_code names_forget_unused(struct names *names, int64_t id, struct error *error)
{
    bool used;
    enum error_code code = look_for_files(names, id, &used, error);

    if (code || used)
        return code;
    database_bind_number(names->statements[NOTE_UNUSED], 1, id);
    return database_run(names->statements[NOTE_UNUSED], error);
}

/* ---- what waits ---- */

static enum error_code get_number(struct names *names, enum statement which, int64_t *number,
                                  struct error *error)
{
    struct database_statement *statement = names->statements[which];

    *number = database_next(statement) ? database_number(statement, 0) : 0;
    return database_finish(statement, error);
}

static enum error_code remove_name(struct names *names, int64_t id, bool has_words,
                                   struct error *error)
{
    struct database_statement *name_of = names->statements[NAME_OF];
    char name[FILE_PATH_MAX_BYTES + 1] = "";

    database_bind_number(name_of, 1, id);
    bool found = database_next(name_of);
    if (found)
        snprintf(name, sizeof name, "%s", database_text(name_of, 0));
    enum error_code code = database_finish(name_of, error);
    if (code || !found)
        return code;
    database_bind_number(names->statements[REMOVE], 1, id);
    code = database_run(names->statements[REMOVE], error);
    note_change(names, GONE, name);
    return code || !has_words ? code : change_words(names, REMOVE_WORDS, id, name, error);
}

/* By rising id, for the sake of the index. */
static enum error_code remove_unused(struct names *names, int64_t worded, struct error *error)
{
    struct database_statement *unused = names->statements[UNUSED];
    auto_buffer ids;

    buffer_init(&ids, SIZE_MAX / 2);
    while (database_next(unused)) {
        int64_t id = database_number(unused, 0);
        buffer_append(&ids, &id, sizeof id);
    }
    enum error_code code = database_finish(unused, error);
    for (size_t i = 0; i < ids.length && !code; i += sizeof(int64_t)) {
        int64_t id;
        bool used;
        memcpy(&id, ids.data + i, sizeof id);
        code = look_for_files(names, id, &used, error);
        if (!code && !used)
            code = remove_name(names, id, id <= worded, error);
    }
    return code ? code : database_run(names->statements[FORGET_UNUSED], error);
}

enum error_code names_settle(struct names *names, int64_t max, struct error *error)
{
    int64_t waiting = 0;
    int64_t worded = 0;
    enum error_code code = get_number(names, COUNT_WAITING, &waiting, error);

    if (code || waiting <= max)
        return code;
    code = get_number(names, WORDED, &worded, error);
    if (!code)
        code = remove_unused(names, worded, error);
    return code ? code : add_words_after(names, worded, error);
}

/* ---- ids ---- */

static void forget_changes(struct names *names)
{
    buffer_clear(&names->changes);
    names->has_removed = false;
}

void names_committed(struct names *names)
{
    const struct buffer *changes = &names->changes;

    for (size_t i = 0; i < changes->length;) {
        const char *name = changes->data + i + sizeof(int64_t);
        int64_t id;
        memcpy(&id, changes->data + i, sizeof id);
        if (id == GONE)
            name_ids_remove(names->ids, name);
        else
            name_ids_put(names->ids, name, id);
        i += sizeof id + strlen(name) + 1;
    }
    forget_changes(names);
}

void names_rolled_back(struct names *names)
{
    forget_changes(names);
}

bool names_load_some(struct names *names)
{
    struct database_statement *some = names->statements[NEW_NAMES];
    size_t count = 0;

    if (name_ids_is_complete(names->ids))
        return false;
    database_bind_number(some, 1, names->loaded_to);
    for (; count < LOAD_AT_ONCE && database_next(some); count++) {
        names->loaded_to = database_number(some, 0);
        name_ids_put(names->ids, database_text(some, 1), names->loaded_to);
    }
    if (database_finish(some, NULL))
        return false;
    if (count < LOAD_AT_ONCE)
        name_ids_complete(names->ids);
    return count == LOAD_AT_ONCE;
}
