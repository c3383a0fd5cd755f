#include "directory/index_reader.h"

#include "common/file_name.h"
#include "common/fold.h"
#include "common/memory.h"
#include "directory/index_private.h"
#include "directory/name_ids.h"

#include <stdlib.h>
#include <string.h>

/* Pages that searches ask for most are kept for all readers together: of a million peers' database
 * more than half of what exact searches ask for, so that the directory stays below 1 GiB. What is
 * in the log is in each reader's own cache. */
#define PRAGMAS "PRAGMA mmap_size=419430400; PRAGMA cache_size=-8192; PRAGMA query_only=1;"

/* What cannot be written is mapped by SQLite, for each reader. */
#define READ_PRAGMAS "PRAGMA mmap_size=268435456; PRAGMA cache_size=-8192; PRAGMA query_only=1;"

/* Who lists everything reads each page once: those that searches ask for are not to go for that. */
#define LIST_PRAGMAS "PRAGMA cache_size=-1024; PRAGMA query_only=1;"

/* While a reader follows the news it nearly always has some state of the log in use, which keeps
 * the log from beginning anew; it grows to this and, while readers let go after each call, begins
 * anew then: 16 MiB. */
enum { LOG_PAGES_MAX = 4096 };

/* Names that came together are much alike: many parts, of a few names each. */
enum { SAMPLE_PARTS = 256 };

enum statement {
    BEGIN,
    END,
    SEARCH,
    LIST,
    LAST_NAME,
    NAMES,
    NAMES_WITH,
    NEW_NAMES,
    FILES_OF,
    LAST_OF,
    STATEMENT_COUNT
};

/* Those of files give the columns that read_file takes. */
#define FILE_COLUMNS "peer_id, name_id, urls, size, content, partial"

/* CROSS JOIN: in this order, whatever SQLite would think better. */
static const char *const statement_sql[STATEMENT_COUNT] = {
    [BEGIN] = "BEGIN",
    [END] = "ROLLBACK",
    [SEARCH] = "SELECT " FILE_COLUMNS " FROM names CROSS JOIN files ON name_id=id"
               " WHERE name=?1 ORDER BY peer_id",
    [LIST] = "SELECT " FILE_COLUMNS ", name FROM files CROSS JOIN names ON id=name_id"
             " WHERE (peer_id, name_id) > (?1, ?2) ORDER BY peer_id, name_id LIMIT ?3",
    [LAST_NAME] = "SELECT max(id) FROM names",
    [NAMES] = "SELECT id, name FROM names WHERE id>?1 ORDER BY id",
    [NAMES_WITH] = "SELECT words.rowid, name FROM words CROSS JOIN names ON id=words.rowid"
                   " WHERE words MATCH ?2 AND words.rowid>?1 ORDER BY words.rowid",
    [NEW_NAMES] = "SELECT id, name FROM names WHERE"
                  " id>max(?1, ifnull((SELECT value FROM state WHERE key='worded'), 0))"
                  " AND id<=?2 ORDER BY id",
    [FILES_OF] = "SELECT " FILE_COLUMNS " FROM files WHERE name_id=?1 AND peer_id>?2"
                 " ORDER BY peer_id",
    [LAST_OF] = "SELECT max(peer_id) FROM files WHERE name_id=?1",
};

struct index_reader {
    struct database *database;
    struct database *lists; /* LIST's own; it holds no state beyond a call */
    struct database_statement *statements[STATEMENT_COUNT];
    const char *path;
    struct index_news *news;    /* NULL: each call is for itself */
    bool only_reads;            /* one of those that the news count */
    bool is_held;               /* a state is in use beyond the call */
    bool is_begun;              /* by index_reader_begin */
    uint_least64_t commits;     /* before the state that is held */
    struct name_sample *sample; /* NULL: none yet */
    int64_t sampled_to;         /* id */
};

static enum error_code connect_one(const struct index_reader *reader, const char *pragmas,
                                   struct database **database, struct error *error)
{
    return reader->only_reads
               ? database_connect_to_read(&index_form, reader->path, pragmas, database, error)
               : database_connect(&index_form, reader->path, pragmas, database, error);
}

static enum error_code connect_reader(struct index_reader *reader, struct error *error)
{
    struct index_news *news = reader->news;

    /* Counted before the look, or the writer could miss it. */
    if (news)
        atomic_fetch_add(&news->still_reading, 1);
    reader->only_reads = news && atomic_load(&news->only_reads);
    if (news && !reader->only_reads)
        atomic_fetch_sub(&news->still_reading, 1);
    enum error_code code =
        connect_one(reader, reader->only_reads ? READ_PRAGMAS : PRAGMAS, &reader->database, error);
    return code ? code : connect_one(reader, LIST_PRAGMAS, &reader->lists, error);
}

enum error_code index_reader_open(const char *path, struct index_news *news,
                                  struct index_reader **reader, struct error *error)
{
    struct index_reader *made = memory_new(1, sizeof *made);

    made->path = path;
    made->news = news;
    enum error_code code = connect_reader(made, error);
    for (size_t i = 0; i < STATEMENT_COUNT && !code; i++)
        code = database_prepare(i == LIST ? made->lists : made->database, statement_sql[i],
                                &made->statements[i], error);
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
    name_sample_free(reader->sample);
    database_close(reader->lists);
    database_close(reader->database);
    if (reader->only_reads)
        atomic_fetch_sub(&reader->news->still_reading, 1);
    free(reader);
}

/* ---- states ---- */

static void let_go(struct index_reader *reader)
{
    if (reader->is_held)
        database_roll_back(reader->statements[END]);
    reader->is_held = false;
}

/* The old connection serves until there is a new one. */
static void connect_anew(struct index_reader *reader)
{
    struct index_reader *fresh = NULL;

    if (index_reader_open(reader->path, reader->news, &fresh, NULL))
        return;
    struct index_reader old = *reader;
    *reader = *fresh;
    reader->sample = old.sample;
    reader->sampled_to = old.sampled_to;
    *fresh = old;
    fresh->sample = NULL;
    index_reader_close(fresh);
}

static bool must_connect_anew(const struct index_reader *reader)
{
    return reader->only_reads && !atomic_load(&reader->news->only_reads);
}

bool index_reader_must_rest(const struct index_reader *reader)
{
    return reader->is_held || must_connect_anew(reader);
}

void index_reader_rest(struct index_reader *reader)
{
    let_go(reader);
    if (must_connect_anew(reader))
        connect_anew(reader);
}

/* Before each call. The commits are read before the state is taken: it may be newer, never older.
 */
static enum error_code look_at_news(struct index_reader *reader, struct error *error)
{
    if (!reader->news || reader->is_begun)
        return ERROR_NONE;
    uint_least64_t commits = atomic_load_explicit(&reader->news->commits, memory_order_acquire);
    bool may_hold =
        atomic_load_explicit(&reader->news->log_pages, memory_order_relaxed) < LOG_PAGES_MAX;
    if (!may_hold || commits != reader->commits)
        let_go(reader);
    if (!may_hold || reader->is_held)
        return ERROR_NONE;
    enum error_code code = database_run(reader->statements[BEGIN], error);
    reader->is_held = !code;
    reader->commits = commits;
    return code;
}

/* After each call: what has failed may have ended the transaction. */
static enum error_code finish(struct index_reader *reader, struct database_statement *statement,
                              struct error *error)
{
    enum error_code code = database_finish(statement, error);

    if (code)
        let_go(reader);
    return code;
}

enum error_code index_reader_begin(struct index_reader *reader, struct error *error)
{
    enum error_code code = look_at_news(reader, error);

    if (!code && !reader->is_held)
        code = database_run(reader->statements[BEGIN], error);
    reader->is_begun = true;
    return code;
}

void index_reader_end(struct index_reader *reader)
{
    reader->is_begun = false;
    if (!reader->is_held)
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

/* Whether there were any. */
static bool visit_files(struct database_statement *files, const char *name, index_file_fn *visit,
                        void *context)
{
    bool go_on = true;
    bool any = false;

    while (go_on && database_next(files)) {
        struct index_file file = read_file(files, name);
        go_on = visit(context, &file);
        any = true;
    }
    return any;
}

static bool visit_files_of(struct index_reader *reader, const struct index_place *place,
                           const char *name, index_file_fn *visit, void *context)
{
    struct database_statement *files = reader->statements[FILES_OF];

    database_bind_number(files, 1, place->name_id);
    database_bind_number(files, 2, place->peer_id);
    return visit_files(files, name, visit, context);
}

enum error_code index_search(struct index_reader *reader, const struct file_name *name,
                             index_file_fn *visit, void *context, struct error *error)
{
    struct database_statement *search = reader->statements[SEARCH];
    enum error_code code = look_at_news(reader, error);
    struct index_place place = {0};

    if (code)
        return code;
    enum name_ids_answer answer = reader->news
                                      ? name_ids_find(reader->news->ids, name->text, &place.name_id)
                                      : NAME_IDS_UNKNOWN;
    if (answer == NAME_IDS_NONE)
        return ERROR_NONE;
    if (answer == NAME_IDS_FOUND) {
        bool any = visit_files_of(reader, &place, name->text, visit, context);
        code = finish(reader, reader->statements[FILES_OF], error);
        if (code || any)
            return code;
        /* The name may have gone and come back just now, with another id, which the state that is
         * read does not know, or alone knows. */
    }
    database_bind_text(search, 1, name->text);
    visit_files(search, name->text, visit, context);
    return finish(reader, search, error);
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

enum error_code index_last_of(struct index_reader *reader, int64_t name_id, int64_t *peer_id,
                              struct error *error)
{
    struct database_statement *last = reader->statements[LAST_OF];

    enum error_code code = look_at_news(reader, error);
    if (code)
        return code;
    database_bind_number(last, 1, name_id);
    *peer_id = database_next(last) ? database_number(last, 0) : 0;
    return finish(reader, last, error);
}

enum error_code index_files_of(struct index_reader *reader, const struct index_place *place,
                               const char *name, index_file_fn *visit, void *context,
                               struct error *error)
{
    enum error_code code = look_at_news(reader, error);

    if (code)
        return code;
    visit_files_of(reader, place, name, visit, context);
    return finish(reader, reader->statements[FILES_OF], error);
}

/* ---- names ---- */

enum error_code index_last_name(struct index_reader *reader, int64_t *id, struct error *error)
{
    struct database_statement *last = reader->statements[LAST_NAME];

    enum error_code code = look_at_news(reader, error);
    if (code)
        return code;
    *id = database_next(last) ? database_number(last, 0) : 0;
    return finish(reader, last, error);
}

static enum error_code visit_names(struct index_reader *reader, struct database_statement *names,
                                   index_name_fn *visit, void *context, bool *go_on,
                                   struct error *error)
{
    *go_on = true;
    while (*go_on && database_next(names))
        *go_on = visit(context, database_number(names, 0), database_text(names, 1));
    return finish(reader, names, error);
}

enum error_code index_names(struct index_reader *reader, int64_t after, index_name_fn *visit,
                            void *context, struct error *error)
{
    struct database_statement *names = reader->statements[NAMES];
    enum error_code code = look_at_news(reader, error);
    bool go_on;

    database_bind_number(names, 1, after);
    return code ? code : visit_names(reader, names, visit, context, &go_on, error);
}

/* What the query itself finds. */
static enum error_code visit_found(struct index_reader *reader, struct index_names_query *query,
                                   index_name_fn *visit, void *context, bool *go_on,
                                   struct error *error)
{
    struct database_statement *with = reader->statements[NAMES_WITH];

    database_bind_number(with, 1, query->after);
    database_bind_text(with, 2, query->query);
    *go_on = true;
    while (*go_on &&
           (query->effort ? database_next_within(with, query->effort) : database_next(with)))
        *go_on = visit(context, database_number(with, 0), database_text(with, 1));
    enum error_code code = database_finish(with, error);
    query->gave_up = code == ERROR_CANCELLED;
    if (query->gave_up)
        return ERROR_NONE; /* the state is as it was */
    if (code)
        let_go(reader);
    return code;
}

enum error_code index_names_with(struct index_reader *reader, struct index_names_query *query,
                                 index_name_fn *visit, void *context, struct error *error)
{
    struct database_statement *fresh = reader->statements[NEW_NAMES];
    /* Both are to see one state: in between, what was new may be found by the query. */
    bool begins = !reader->is_begun;
    bool go_on = true;
    enum error_code code = begins ? index_reader_begin(reader, error) : ERROR_NONE;

    if (!code)
        code = visit_found(reader, query, visit, context, &go_on, error);
    database_bind_number(fresh, 1, query->after);
    database_bind_number(fresh, 2, query->last);
    if (!code && go_on && !query->gave_up)
        code = visit_names(reader, fresh, visit, context, &go_on, error);
    if (begins)
        index_reader_end(reader);
    return code;
}

/* ---- a sample of them ---- */

struct sampling {
    struct name_sample *sample;
    int64_t last_id; /* that is in it */
    int left;        /* of the part */
};

static bool add_to_sample(void *context, int64_t id, const char *name)
{
    struct sampling *sampling = context;
    char folded[FOLD_GROWTH * FILE_PATH_MAX_BYTES + 1];
    size_t length = fold_text(name, strnlen(name, FILE_PATH_MAX_BYTES), folded);

    name_sample_add(sampling->sample, folded, length);
    sampling->last_id = id;
    return --sampling->left > 0;
}

enum error_code index_sample(struct index_reader *reader, int64_t last_id,
                             const struct name_sample **sample, struct error *error)
{
    struct sampling sampling = {0};
    enum error_code code = ERROR_NONE;

    *sample = reader->sample;
    if (reader->sample && last_id / 2 < reader->sampled_to)
        return ERROR_NONE;
    sampling.sample = name_sample_new();
    for (int part = 0; part < SAMPLE_PARTS && !code; part++) {
        int64_t after = last_id / SAMPLE_PARTS * part;
        sampling.left = NAME_SAMPLE_MAX / SAMPLE_PARTS;
        code = index_names(reader, after > sampling.last_id ? after : sampling.last_id,
                           add_to_sample, &sampling, error);
    }
    if (code) {
        name_sample_free(sampling.sample);
        return code;
    }
    name_sample_free(reader->sample);
    *sample = reader->sample = sampling.sample;
    reader->sampled_to = last_id;
    return ERROR_NONE;
}
