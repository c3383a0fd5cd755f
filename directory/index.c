#include "directory/index.h"

#include "common/buffer.h"
#include "common/file_name.h"
#include "directory/difference.h"
#include "directory/index_open.h"
#include "directory/index_private.h"

#include <stdatomic.h>
#include <string.h>

const char *const index_statement_sql[STATEMENT_COUNT] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [STORE_LIST] = "UPDATE peers SET urls=?2, etag=?3, host=?4 WHERE id=?1",
    [STORE_ETAG] = "UPDATE peers SET etag=?2 WHERE id=?1",
    [FORGET_LIST] = "UPDATE peers SET etag=NULL WHERE id=?1 AND etag IS NOT NULL",
    [SOME_NAMES_OF] = "SELECT name FROM files JOIN names ON id=name_id WHERE peer_id=?1 LIMIT ?2",
    [ETAG_OF] = "SELECT etag FROM peers WHERE id=?1",
    [FILE_OF] = "SELECT urls, size, content, partial FROM files WHERE peer_id=?1"
                " AND name_id=(SELECT id FROM names WHERE name=?2)",
    [FILES_OF] = "SELECT name, urls, size, content, partial FROM files JOIN names ON id=name_id"
                 " WHERE peer_id=?1 ORDER BY name",
    [ADD_FILE] = "INSERT INTO files(peer_id, name_id, urls, size, content, partial)"
                 " VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
    [CHANGE_FILE] = "UPDATE files SET urls=?3, size=?4, content=?5, partial=?6"
                    " WHERE peer_id=?1 AND name_id=?2",
    [STORE_COUNT] = "INSERT OR REPLACE INTO state(key, value) VALUES('files', ?1)",
    [REMOVE_FILE] = "DELETE FROM files WHERE peer_id=?1 AND name_id=?2",
};

int64_t index_file_count(const struct index *index)
{
    return atomic_load_explicit(&index->counted, memory_order_relaxed);
}

bool index_only_reads(const struct index *index)
{
    return atomic_load(&index->news.only_reads);
}

struct index_peers *index_peers(struct index *index)
{
    return index->peers;
}

bool index_is_checked(const struct index *index)
{
    return database_is_checked(index->database);
}

/* What is written into a damaged database makes it worse, and would be told to be safe. */
enum error_code index_check(struct index *index, const char *path, const atomic_bool *cancelled,
                            struct error *error)
{
    struct database *database = NULL;
    enum error_code code =
        database_connect(&index_form, path, "PRAGMA query_only=1;", &database, error);

    if (!code) {
        database_watch(database, cancelled);
        code = database_check(database, error);
    }
    database_close(database);
    if (code == ERROR_CORRUPT)
        atomic_store(&index->damaged, true);
    return code;
}

enum error_code index_begin(struct index *index, struct error *error)
{
    if (atomic_load(&index->damaged))
        return error_set(error, ERROR_CORRUPT, "the database is damaged: nothing is stored");
    enum error_code code = index_only_reads(index) ? index_open_again(index, error) : ERROR_NONE;
    if (code)
        return code;
    /* What they read must not change under them. */
    if (atomic_load(&index->news.still_reading) > 0)
        return error_set(error, ERROR_BUSY, "it can be written again, as soon as readers know");
    return database_run(index->statements[BEGIN], error);
}

enum error_code index_commit(struct index *index, struct error *error)
{
    struct database_statement *store = index->statements[STORE_COUNT];
    enum error_code code = names_settle(index->names, NAMES_WAITING_MAX, error);

    if (!code && index->file_count != index_file_count(index)) {
        database_bind_number(store, 1, index->file_count);
        code = database_run(store, error);
    }
    if (!code)
        code = database_run(index->statements[COMMIT], error);
    if (code)
        return code;
    names_committed(index->names);
    atomic_store_explicit(&index->counted, index->file_count, memory_order_relaxed);
    atomic_fetch_add_explicit(&index->news.commits, 1, memory_order_release);
    return ERROR_NONE;
}

bool index_load_some(struct index *index)
{
    return index->names && names_load_some(index->names);
}

enum error_code index_settle(struct index *index, struct error *error)
{
    return names_settle(index->names, 0, error);
}

void index_rollback(struct index *index)
{
    if (index_only_reads(index))
        return;
    database_roll_back(index->statements[ROLLBACK]);
    names_rolled_back(index->names);
    index->file_count = index_file_count(index);
}

static void bind_content(struct database_statement *statement, int place,
                         const struct file_content *content)
{
    if (content->size_bytes != FILE_SIZE_UNKNOWN)
        database_bind_number(statement, place, content->size_bytes);
    else
        database_bind_null(statement, place);
    database_bind_bytes(statement, place + 1, content->id, sizeof *content->id);
    if (content->partial)
        database_bind_number(statement, place + 2, 1);
    else
        database_bind_null(statement, place + 2);
}

struct file_content index_read_content(const struct database_statement *statement, int column)
{
    struct file_content content = {.size_bytes = FILE_SIZE_UNKNOWN};
    size_t id_bytes;
    const void *id = database_bytes(statement, column + 1, &id_bytes);

    if (database_is_number(statement, column))
        content.size_bytes = database_number(statement, column);
    if (id_bytes == sizeof content.id->bytes)
        content.id = id;
    content.partial = database_is_number(statement, column + 2);
    return content;
}

/* Looks at the stored rows, which come in the order of the names' bytes (SQLite's BINARY), before
 * anything is changed: SQLite does not say what a query sees of rows that are changed under it. */
static enum error_code find_difference(struct index *index, int64_t peer_id,
                                       struct difference *difference, struct error *error)
{
    struct database_statement *stored = index->statements[FILES_OF];

    database_bind_number(stored, 1, peer_id);
    while (database_next(stored)) {
        struct file_content content = index_read_content(stored, 2);
        difference_see(difference, database_text(stored, 0), database_text(stored, 1), &content);
    }
    difference_finish(difference);
    return database_finish(stored, error);
}

/* By CHANGE_FILE or ADD_FILE. */
static enum error_code store_file(struct index *index, enum statement which, int64_t peer_id,
                                  const struct files_index *files, size_t item, struct error *error)
{
    struct database_statement *statement = index->statements[which];
    struct file_content content = files_index_content(files, item);
    int64_t name_id = 0;
    enum error_code code =
        names_get(index->names, files_index_name(files, item), which == ADD_FILE, &name_id, error);

    if (code)
        return code;
    database_bind_number(statement, 1, peer_id);
    database_bind_number(statement, 2, name_id);
    database_bind_text(statement, 3, files_index_urls(files, item));
    bind_content(statement, 4, &content);
    code = database_run(statement, error);
    index->file_count += !code && which == ADD_FILE;
    return code;
}

static enum error_code remove_file(struct index *index, int64_t peer_id, const char *name,
                                   struct error *error)
{
    struct database_statement *statement = index->statements[REMOVE_FILE];
    int64_t name_id = 0;
    enum error_code code = names_get(index->names, name, false, &name_id, error);

    if (code)
        return code;
    database_bind_number(statement, 1, peer_id);
    database_bind_number(statement, 2, name_id);
    code = database_run(statement, error);
    index->file_count -= !code;
    return code ? code : names_forget_unused(index->names, name_id, error);
}

static enum error_code apply_difference(struct index *index, int64_t peer_id,
                                        const struct files_index *files,
                                        const struct difference *difference, struct error *error)
{
    enum error_code code = ERROR_NONE;

    for (size_t i = 0; i < difference->removed_count && !code; i++)
        code = remove_file(index, peer_id, difference->removed[i], error);
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
    struct database_statement *store_list = index->statements[STORE_LIST];
    /* Differs: the list is replaced; the reference's index only grows. */
    enum error_code code = find_difference(index, peer_id, &difference, error);

    if (!code)
        code = apply_difference(index, peer_id, files, &difference, error);
    if (code)
        return code;
    database_bind_number(store_list, 1, peer_id);
    database_bind_text(store_list, 2, files_index_usual_urls(files));
    database_bind_bytes(store_list, 3, files_index_sum(files), sizeof(struct index_sum));
    database_bind_text(store_list, 4, files_index_host(files));
    code = database_run(store_list, error);
    for (size_t i = 0; i < difference.added_count && !code; i++)
        added(context, files_index_name(files, difference.added[i]));
    return code;
}

/* ---- changes ---- */

static enum error_code has_etag(struct index *index, int64_t peer_id, const struct index_sum *etag,
                                bool *has, struct error *error)
{
    struct database_statement *statement = index->statements[ETAG_OF];
    size_t bytes;

    database_bind_number(statement, 1, peer_id);
    if (database_next(statement)) {
        const void *stored = database_bytes(statement, 0, &bytes);
        *has = bytes == sizeof *etag && memcmp(stored, etag, sizeof *etag) == 0;
    }
    return database_finish(statement, error);
}

/* Takes the stored file out of the sum; *usual: it is there, with the usual urls. */
static enum error_code subtract_stored(struct index *index, int64_t peer_id, const char *name,
                                       struct index_sum *sum, bool *is_there, bool *usual,
                                       struct error *error)
{
    struct database_statement *statement = index->statements[FILE_OF];

    database_bind_number(statement, 1, peer_id);
    database_bind_text(statement, 2, name);
    *is_there = database_next(statement);
    *usual = *is_there && !database_text(statement, 0);
    if (*usual) {
        struct file_content content = index_read_content(statement, 1);
        const struct index_sum_file file = {.name = name,
                                            .size_bytes = content.size_bytes,
                                            .id = content.id,
                                            .partial = content.partial};
        index_sum_subtract(sum, &file);
    }
    return database_finish(statement, error);
}

static void add_new(struct index_sum *sum, const struct files_index *files, size_t item)
{
    struct file_content content = files_index_content(files, item);
    const struct index_sum_file file = {.name = files_index_name(files, item),
                                        .size_bytes = content.size_bytes,
                                        .id = content.id,
                                        .partial = content.partial};

    index_sum_add(sum, &file);
}

/* Looks at everything before anything is written: then there is nothing to undo. */
static enum error_code check_change(struct index *index, int64_t peer_id,
                                    const struct index_change *change, bool *fits,
                                    struct error *error)
{
    const struct files_index *added = list_change_added(change->files);
    struct index_sum sum = change->from;
    struct index_sum ignored = {{0}};
    bool is_there;
    bool good = false;
    bool usual;
    enum error_code code = has_etag(index, peer_id, &change->from, &good, error);

    for (size_t i = 0; i < list_change_removed_count(change->files) && !code && good; i++)
        code = subtract_stored(index, peer_id, list_change_removed(change->files, i), &sum,
                               &is_there, &good, error);
    for (size_t i = 0; i < files_index_count(added) && !code && good; i++) {
        const char *name = files_index_name(added, i);
        if (!list_change_removes(change->files, name)) {
            code = subtract_stored(index, peer_id, name, &ignored, &is_there, &usual, error);
            good = !is_there;
        }
        add_new(&sum, added, i);
    }
    *fits = good && index_sum_equal(&sum, &change->to);
    return code;
}

static enum error_code apply_change(struct index *index, int64_t peer_id,
                                    const struct list_change *change, index_added_fn *note,
                                    void *context, struct error *error)
{
    const struct files_index *added = list_change_added(change);
    enum error_code code = ERROR_NONE;

    for (size_t i = 0; i < list_change_removed_count(change) && !code; i++) {
        const char *name = list_change_removed(change, i);
        if (!list_change_adds(change, name))
            code = remove_file(index, peer_id, name, error);
    }
    for (size_t i = 0; i < files_index_count(added) && !code; i++) {
        const char *name = files_index_name(added, i);
        bool is_new = !list_change_removes(change, name);
        code = store_file(index, is_new ? ADD_FILE : CHANGE_FILE, peer_id, added, i, error);
        if (!code && is_new)
            note(context, name);
    }
    return code;
}

enum error_code index_change_files(struct index *index, int64_t peer_id,
                                   const struct index_change *change, bool *fits,
                                   index_added_fn *added, void *context, struct error *error)
{
    struct database_statement *store_etag = index->statements[STORE_ETAG];
    enum error_code code = check_change(index, peer_id, change, fits, error);

    if (code || !*fits)
        return code;
    code = apply_change(index, peer_id, change->files, added, context, error);
    if (code)
        return code;
    database_bind_number(store_etag, 1, peer_id);
    database_bind_bytes(store_etag, 2, &change->to, sizeof change->to);
    return database_run(store_etag, error);
}

struct index_news *index_news(struct index *index)
{
    return &index->news;
}

enum error_code index_drop_files(struct index *index, int64_t peer_id, size_t max, bool *all,
                                 struct error *error)
{
    struct database_statement *some = index->statements[SOME_NAMES_OF];
    auto_buffer names;
    size_t count = 0;

    /* First the names, then the changes: see find_difference. */
    buffer_init(&names, max * (FILE_PATH_MAX_BYTES + 1));
    database_bind_number(some, 1, peer_id);
    database_bind_number(some, 2, (int64_t)max);
    for (; database_next(some); count++)
        buffer_append(&names, database_text(some, 0), strlen(database_text(some, 0)) + 1);
    enum error_code code = database_finish(some, error);
    if (!code) {
        database_bind_number(index->statements[FORGET_LIST], 1, peer_id);
        code = database_run(index->statements[FORGET_LIST], error);
    }
    for (size_t i = 0; i < names.length && !code; i += strlen(names.data + i) + 1)
        code = remove_file(index, peer_id, names.data + i, error);
    *all = count < max;
    return code;
}

void index_interrupt(struct index *index)
{
    atomic_store(&index->interrupted, true);
}
