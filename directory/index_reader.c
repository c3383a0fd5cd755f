#include "directory/index_reader.h"

#include "common/memory.h"
#include "directory/index_private.h"

#include <stdlib.h>

/* Searches read the file through a mapping: no copy, no system call a page. Our own process is the
 * only one that changes the file, so it is never cut under the mapping. */
#define PRAGMAS "PRAGMA mmap_size=1073741824; PRAGMA cache_size=-512; PRAGMA query_only=1;"

enum statement {
    BEGIN,
    END,
    SEARCH,
    LIST,
    LAST_NAME,
    NAMES,
    NAMES_WITH,
    FILES_OF,
    STATEMENT_COUNT
};

/* Those of files give the columns that read_file takes. */
#define FILE_COLUMNS "peer_id, name_id, urls, size, content, partial"

/* CROSS JOIN: in this order, whatever SQLite would think better. */
static const char *const statement_sql[STATEMENT_COUNT] = {
    [BEGIN] = "BEGIN",
    [END] = "ROLLBACK",
    [SEARCH] = "SELECT " FILE_COLUMNS " FROM files"
               " WHERE name_id=(SELECT id FROM names WHERE name=?1) ORDER BY peer_id",
    [LIST] = "SELECT " FILE_COLUMNS ", name FROM files CROSS JOIN names ON id=name_id"
             " WHERE (peer_id, name_id) > (?1, ?2) ORDER BY peer_id, name_id LIMIT ?3",
    [LAST_NAME] = "SELECT max(id) FROM names",
    [NAMES] = "SELECT id, name FROM names WHERE id>?1 ORDER BY id",
    [NAMES_WITH] = "SELECT words.rowid, name FROM words CROSS JOIN names ON id=words.rowid"
                   " WHERE words MATCH ?2 AND words.rowid>?1 ORDER BY words.rowid",
    [FILES_OF] = "SELECT " FILE_COLUMNS " FROM files WHERE name_id=?1 ORDER BY peer_id",
};

struct index_reader {
    struct database *database;
    struct database_statement *statements[STATEMENT_COUNT];
};

enum error_code index_reader_open(const char *path, struct index_reader **reader,
                                  struct error *error)
{
    struct index_reader *made = memory_new(1, sizeof *made);
    enum error_code code = database_connect(&index_form, path, PRAGMAS, &made->database, error);

    for (size_t i = 0; i < STATEMENT_COUNT && !code; i++)
        code = database_prepare(made->database, statement_sql[i], &made->statements[i], error);
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
    for (size_t i = 0; i < STATEMENT_COUNT; i++)
        database_statement_free(reader->statements[i]);
    database_close(reader->database);
    free(reader);
}

enum error_code index_reader_begin(struct index_reader *reader, struct error *error)
{
    return database_run(reader->statements[BEGIN], error);
}

void index_reader_end(struct index_reader *reader)
{
    database_roll_back(reader->statements[END]);
}

/* ---- files ---- */

static struct index_file read_file(const struct database_statement *statement, const char *name)
{
    return (struct index_file){
        .peer_id = database_number(statement, 0),
        .name_id = database_number(statement, 1),
        .name = name,
        .urls = database_text(statement, 2),
        .content = index_read_content(statement, 3),
    };
}

enum error_code index_search(struct index_reader *reader, const struct file_name *name,
                             index_file_fn *visit, void *context, struct error *error)
{
    struct database_statement *search = reader->statements[SEARCH];
    bool go_on = true;

    database_bind_text(search, 1, name->text);
    while (go_on && database_next(search)) {
        struct index_file file = read_file(search, name->text);
        go_on = visit(context, &file);
    }
    return database_finish(search, error);
}

enum error_code index_list(struct index_reader *reader, const struct index_place *after, size_t max,
                           index_file_fn *visit, void *context, struct error *error)
{
    struct database_statement *list = reader->statements[LIST];
    bool go_on = true;

    database_bind_number(list, 1, after->peer_id);
    database_bind_number(list, 2, after->name_id);
    database_bind_number(list, 3, (int64_t)max);
    while (go_on && database_next(list)) {
        struct index_file file = read_file(list, database_text(list, 6));
        go_on = visit(context, &file);
    }
    return database_finish(list, error);
}

enum error_code index_files_of(struct index_reader *reader, int64_t name_id, const char *name,
                               index_file_fn *visit, void *context, struct error *error)
{
    struct database_statement *files = reader->statements[FILES_OF];
    bool go_on = true;

    database_bind_number(files, 1, name_id);
    while (go_on && database_next(files)) {
        struct index_file file = read_file(files, name);
        go_on = visit(context, &file);
    }
    return database_finish(files, error);
}

/* ---- names ---- */

enum error_code index_last_name(struct index_reader *reader, int64_t *id, struct error *error)
{
    struct database_statement *last = reader->statements[LAST_NAME];

    *id = database_next(last) ? database_number(last, 0) : 0;
    return database_finish(last, error);
}

static enum error_code visit_names(struct database_statement *names, index_name_fn *visit,
                                   void *context, struct error *error)
{
    bool go_on = true;

    while (go_on && database_next(names))
        go_on = visit(context, database_number(names, 0), database_text(names, 1));
    return database_finish(names, error);
}

enum error_code index_names(struct index_reader *reader, int64_t after, index_name_fn *visit,
                            void *context, struct error *error)
{
    struct database_statement *names = reader->statements[NAMES];

    database_bind_number(names, 1, after);
    return visit_names(names, visit, context, error);
}

enum error_code index_names_with(struct index_reader *reader, const char *query, int64_t after,
                                 index_name_fn *visit, void *context, struct error *error)
{
    struct database_statement *names = reader->statements[NAMES_WITH];

    database_bind_number(names, 1, after);
    database_bind_text(names, 2, query);
    return visit_names(names, visit, context, error);
}
