#include "directory/names.h"

#include "common/memory.h"

#include <stdlib.h>

enum statement { FIND, ADD, IS_USED, REMOVE, STATEMENT_COUNT };

static const char *const statement_sql[STATEMENT_COUNT] = {
    [FIND] = "SELECT id FROM names WHERE name=?1",
    [ADD] = "INSERT INTO names(name) VALUES(?1)",
    [IS_USED] = "SELECT 1 FROM files WHERE name_id=?1 LIMIT 1",
    [REMOVE] = "DELETE FROM names WHERE id=?1",
};

struct names {
    struct database *database;
    struct database_statement *statements[STATEMENT_COUNT];
};

enum error_code names_open(struct database *database, struct names **names, struct error *error)
{
    struct names *made = memory_new(1, sizeof *made);
    enum error_code code = ERROR_NONE;

    made->database = database;
    for (size_t i = 0; i < STATEMENT_COUNT && !code; i++)
        code = database_prepare(database, statement_sql[i], &made->statements[i], error);
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
    *id = database_last_row(names->database);
    return code;
}

enum error_code names_forget_unused(struct names *names, int64_t id, const char *name,
                                    struct error *error)
{
    struct database_statement *is_used = names->statements[IS_USED];

    (void)name;
    database_bind_number(is_used, 1, id);
    bool used = database_next(is_used);
    enum error_code code = database_finish(is_used, error);
    if (code || used)
        return code;
    database_bind_number(names->statements[REMOVE], 1, id);
    return database_run(names->statements[REMOVE], error);
}
