#include "directory/index_reader.h"

#include "common/memory.h"
#include "directory/index_private.h"

#include <stdlib.h>

/* Searches read the file through a mapping: no copy, no system call a page. Our own process is the
 * only one that changes the file, so it is never cut under the mapping. */
#define PRAGMAS "PRAGMA mmap_size=1073741824; PRAGMA cache_size=-512; PRAGMA query_only=1;"

struct index_reader {
    struct database *database;
    struct database_statement *search;
    struct database_statement *list;
    struct database_statement *begin;
    struct database_statement *end;
};

enum error_code index_reader_open(const char *path, struct index_reader **reader,
                                  struct error *error)
{
    struct index_reader *made = memory_new(1, sizeof *made);
    enum error_code code = database_connect(&index_form, path, PRAGMAS, &made->database, error);

    if (!code)
        code = database_prepare(made->database,
                                "SELECT peer_id, urls, size, content, partial, name_id FROM files"
                                " WHERE name_id=(SELECT id FROM names WHERE name=?1)"
                                " ORDER BY peer_id",
                                &made->search, error);
    if (!code)
        code = database_prepare(made->database,
                                "SELECT peer_id, name, urls, size, content, partial, name_id"
                                " FROM files CROSS JOIN names ON id=name_id"
                                " WHERE (peer_id, name_id) > (?1, ?2)"
                                " ORDER BY peer_id, name_id LIMIT ?3",
                                &made->list, error);
    if (!code)
        code = database_prepare(made->database, "BEGIN", &made->begin, error);
    if (!code)
        code = database_prepare(made->database, "ROLLBACK", &made->end, error);
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
    database_statement_free(reader->search);
    database_statement_free(reader->list);
    database_statement_free(reader->begin);
    database_statement_free(reader->end);
    database_close(reader->database);
    free(reader);
}

enum error_code index_reader_begin(struct index_reader *reader, struct error *error)
{
    return database_run(reader->begin, error);
}

void index_reader_end(struct index_reader *reader)
{
    database_roll_back(reader->end);
}

enum error_code index_search(struct index_reader *reader, const struct file_name *name,
                             index_file_fn *visit, void *context, struct error *error)
{
    struct database_statement *search = reader->search;

    database_bind_text(search, 1, name->text);
    while (database_next(search)) {
        struct index_file file = {
            .peer_id = database_number(search, 0),
            .name = name->text,
            .urls = database_text(search, 1),
            .content = index_read_content(search, 2),
            .name_id = database_number(search, 5),
        };
        if (!visit(context, &file))
            break;
    }
    return database_finish(search, error);
}

enum error_code index_list(struct index_reader *reader, const struct index_place *after, size_t max,
                           index_file_fn *visit, void *context, struct error *error)
{
    struct database_statement *list = reader->list;

    database_bind_number(list, 1, after->peer_id);
    database_bind_number(list, 2, after->name_id);
    database_bind_number(list, 3, (int64_t)max);
    while (database_next(list)) {
        struct index_file file = {
            .peer_id = database_number(list, 0),
            .name = database_text(list, 1),
            .urls = database_text(list, 2),
            .content = index_read_content(list, 3),
            .name_id = database_number(list, 6),
        };
        if (!visit(context, &file))
            break;
    }
    return database_finish(list, error);
}
