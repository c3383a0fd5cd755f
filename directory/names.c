#include "directory/names.h"

#include "common/buffer.h"
#include "common/file_name.h"
#include "common/fold.h"
#include "common/memory.h"
#include "directory/trigrams.h"

#include <stdlib.h>
#include <string.h>

/* A folded name, and lines for blocks. */
enum { DOCUMENT_MAX_BYTES = FOLD_GROWTH * FILE_PATH_MAX_BYTES + 128 };

enum statement { FIND, ADD, ADD_WORDS, IS_USED, REMOVE, REMOVE_WORDS, STATEMENT_COUNT };

static const char *const statement_sql[STATEMENT_COUNT] = {
    [FIND] = "SELECT id FROM names WHERE name=?1",
    [ADD] = "INSERT INTO names(name) VALUES(?1)",
    [ADD_WORDS] = "INSERT INTO words(rowid, text) VALUES(?1, ?2)",
    [IS_USED] = "SELECT 1 FROM files WHERE name_id=?1 LIMIT 1",
    [REMOVE] = "DELETE FROM names WHERE id=?1",
    [REMOVE_WORDS] = "INSERT INTO words(words, rowid, text) VALUES('delete', ?1, ?2)",
};

struct names {
    struct database *database;
    struct database_statement *statements[STATEMENT_COUNT];
    struct buffer document;
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

static enum error_code add_all_words(struct names *names, struct error *error)
{
    struct database_statement *all = NULL;
    enum error_code code =
        database_prepare(names->database, "SELECT id, name FROM names ORDER BY id", &all, error);

    while (!code && database_next(all))
        code =
            change_words(names, ADD_WORDS, database_number(all, 0), database_text(all, 1), error);
    if (all && !code)
        code = database_finish(all, error);
    database_statement_free(all);
    return code;
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
        code = add_all_words(names, error);
    return code ? code : database_execute(names->database, stamp, error);
}

static enum error_code check_words(struct names *names, struct error *error)
{
    int64_t version = 0;
    enum error_code code = database_get_number(
        names->database, "SELECT value FROM state WHERE key='folding'", &version, error);

    return code || version == fold_version() ? code : make_words_anew(names, error);
}

/* ---- names ---- */

enum error_code names_open(struct database *database, struct names **names, struct error *error)
{
    struct names *made = memory_new(1, sizeof *made);
    enum error_code code = ERROR_NONE;

    made->database = database;
    buffer_init(&made->document, DOCUMENT_MAX_BYTES);
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
    free(names);
}

/* *id is 0 when there is no such name. */
static enum error_code find(struct names *names, const char *name, int64_t *id, struct error *error)
{
    struct database_statement *statement = names->statements[FIND];

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
    return change_words(names, ADD_WORDS, *id, name, error);
}

enum error_code names_forget_unused(struct names *names, int64_t id, const char *name,
                                    struct error *error)
{
    struct database_statement *is_used = names->statements[IS_USED];

    database_bind_number(is_used, 1, id);
    bool used = database_next(is_used);
    enum error_code code = database_finish(is_used, error);
    if (code || used)
        return code;
    database_bind_number(names->statements[REMOVE], 1, id);
    code = database_run(names->statements[REMOVE], error);
    return code ? code : change_words(names, REMOVE_WORDS, id, name, error);
}
