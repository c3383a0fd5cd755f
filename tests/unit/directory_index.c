#include "unit.h"

#include "common/buffer.h"
#include "common/clock.h"
#include "common/memory.h"
#include "directory/index.h"
#include "directory/index_reader.h"
#include "directory/index_writer.h"
#include "directory/listing.h"
#include "directory/name_ids.h"
#include "directory/names.h"
#include "directory/secrets.h"
#include "directory/trigrams.h"

#include <sqlite3.h>
#include <sys/stat.h>

#define ID "0b3fd030637ec63bd6313b9915a1b02c9e8176ea69d1cfb0bb0fa830dbc6802f"

struct fixture {
    char folder[UNIT_PATH_BYTES];
    char path[UNIT_PATH_BYTES];
    struct index *index;
    struct index_reader *reader;
};

static int start(void **state)
{
    struct fixture *fixture = memory_new(1, sizeof *fixture);

    unit_folder_make(fixture->folder);
    unit_path(fixture->folder, "index.db", fixture->path);
    *state = fixture;
    if (secrets_init(NULL) || index_open(fixture->path, &fixture->index, NULL))
        return -1;
    return index_reader_open(fixture->path, NULL, &fixture->reader, NULL) ? -1 : 0;
}

static int stop(void **state)
{
    struct fixture *fixture = *state;

    index_reader_close(fixture->reader);
    index_close(fixture->index);
    unit_folder_remove(fixture->folder);
    free(fixture);
    return 0;
}

static struct files_index *make_list(const char *text)
{
    struct files_index *files = NULL;

    assert_int_equal(files_index_parse(text, strlen(text), "h", &files, NULL), ERROR_NONE);
    return files;
}

static struct registry_record make_record(int64_t id, const char *name)
{
    return (struct registry_record){.id = id,
                                    .name = name,
                                    .urls = "[]",
                                    .host = "",
                                    .token = "token",
                                    .seen_ms = 100,
                                    .sequence = (uint64_t)id};
}

static void count_added(void *context, const char *name)
{
    (void)name;
    ++*(size_t *)context;
}

/* Stores the list as a login does; returns how many names were new. */
static size_t store(struct fixture *fixture, int64_t id, const char *name, const char *text)
{
    struct files_index *files = make_list(text);
    struct registry_record record = make_record(id, name);
    size_t added = 0;

    assert_int_equal(index_begin(fixture->index, NULL), ERROR_NONE);
    assert_int_equal(index_peers_store(index_peers(fixture->index), &record, NULL), ERROR_NONE);
    assert_int_equal(index_replace_files(fixture->index, id, files, count_added, &added, NULL),
                     ERROR_NONE);
    assert_int_equal(index_commit(fixture->index, NULL), ERROR_NONE);
    files_index_free(files);
    return added;
}

/* As the writer does it once a second. */
static void settle(struct fixture *fixture)
{
    assert_int_equal(index_begin(fixture->index, NULL), ERROR_NONE);
    assert_int_equal(index_settle(fixture->index, NULL), ERROR_NONE);
    assert_int_equal(index_commit(fixture->index, NULL), ERROR_NONE);
}

static bool describe(void *context, const struct index_file *file)
{
    char id[CONTENT_ID_DIGITS + 1];

    buffer_printf(context, "%d %s %s", (int)file->peer_id, file->name,
                  file->urls ? file->urls : "-");
    if (file->content.size_bytes != FILE_SIZE_UNKNOWN)
        buffer_printf(context, " %lld", (long long)file->content.size_bytes);
    if (file->content.id)
        buffer_printf(context, " %s", content_id_format(file->content.id, id));
    if (file->content.partial)
        buffer_printf(context, " partial");
    buffer_append_char(context, '|');
    return true;
}

static void check_all(struct fixture *fixture, const char *expected)
{
    struct index_place beginning = {0};
    auto_buffer text;

    buffer_init(&text, 1 << 16);
    buffer_append(&text, "", 0);
    assert_int_equal(index_list(fixture->reader, &beginning, 1000, describe, &text, NULL),
                     ERROR_NONE);
    assert_string_equal(text.data, expected);
}

static void check_search(struct fixture *fixture, const char *name, const char *expected)
{
    struct file_name checked;
    auto_buffer text;

    buffer_init(&text, 1 << 16);
    buffer_append(&text, "", 0);
    assert_int_equal(file_name_parse(name, strlen(name), &checked, NULL), ERROR_NONE);
    assert_int_equal(index_search(fixture->reader, &checked, describe, &text, NULL), ERROR_NONE);
    assert_string_equal(text.data, expected);
}

static void a_list_replaces_the_last_one(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(
        store(fixture, 1, "A", "[{\"filename\":\"a\"},{\"filename\":\"b\"},{\"filename\":\"ñ\"}]"),
        3);
    assert_int_equal(store(fixture, 2, "B", "[{\"filename\":\"b\",\"url\":[\"h:1\"]}]"), 1);
    check_all(fixture, "1 a -|1 b -|1 ñ -|2 b -|");
    assert_int_equal(
        store(fixture, 1, "A", "[{\"filename\":\"c\"},{\"filename\":\"b\",\"url\":[\"h:7\"]}]"), 1);
    check_all(fixture, "1 b [\"h:7\"]|1 c -|2 b -|");
    assert_int_equal(store(fixture, 1, "A", "[{\"filename\":\"c\"},{\"filename\":\"b\"}]"), 0);
    check_all(fixture, "1 b -|1 c -|2 b -|");
    assert_int_equal(store(fixture, 1, "A", "[]"), 0);
    check_all(fixture, "2 b -|");
}

static void sizes_and_ids_come_back(void **state)
{
    struct fixture *fixture = *state;

    store(fixture, 1, "A", "[{\"filename\":\"a\"},{\"filename\":\"b\",\"size\":0}]");
    check_all(fixture, "1 a -|1 b - 0|");
    assert_int_equal(store(fixture, 1, "A",
                           "[{\"filename\":\"a\",\"size\":9007199254740992,\"content\":\"" ID
                           "\"},{\"filename\":\"b\",\"size\":0}]"),
                     0);
    check_all(fixture, "1 a - 9007199254740992 " ID "|1 b - 0|");
    check_search(fixture, "a", "1 a - 9007199254740992 " ID "|");
    store(fixture, 1, "A", "[{\"filename\":\"a\",\"content\":\"" ID "\"},{\"filename\":\"b\"}]");
    check_all(fixture, "1 a - " ID "|1 b -|");
    check_search(fixture, "b", "1 b -|");
}

static void searches(void **state)
{
    struct fixture *fixture = *state;

    store(fixture, 2, "B",
          "[{\"filename\":\"x\",\"url\":[]},{\"filename\":\"X\",\"url\":[\"h:1\"]}]");
    store(fixture, 1, "A", "[{\"filename\":\"x\"}]");
    check_search(fixture, "x", "1 x -|2 x -|");
    check_search(fixture, "X", "2 X [\"h:1\"]|");
    check_search(fixture, "y", "");
}

static void pages_of_the_list(void **state)
{
    struct fixture *fixture = *state;
    struct index_place place = {.peer_id = 1, .name_id = 2};
    auto_buffer text;

    buffer_init(&text, 4096);
    store(fixture, 1, "A", "[{\"filename\":\"a\"},{\"filename\":\"b\"},{\"filename\":\"c\"}]");
    store(fixture, 2, "B", "[{\"filename\":\"a\"},{\"filename\":\"b\"}]");
    assert_int_equal(index_list(fixture->reader, &place, 2, describe, &text, NULL), ERROR_NONE);
    assert_string_equal(text.data, "1 c -|2 a -|");
}

static void a_rollback_leaves_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct files_index *files = make_list("[{\"filename\":\"new\"}]");
    size_t added = 0;

    store(fixture, 1, "A", "[{\"filename\":\"old\"}]");
    assert_int_equal(index_begin(fixture->index, NULL), ERROR_NONE);
    assert_int_equal(index_replace_files(fixture->index, 1, files, count_added, &added, NULL),
                     ERROR_NONE);
    check_all(fixture, "1 old -|"); /* a reader does not wait, and sees what is committed */
    index_rollback(fixture->index);
    check_all(fixture, "1 old -|");
    files_index_free(files);
}

/* The last one's; strings are copied. */
/* One who follows the news sees each commit, and keeps no state of before it when it rests. */
static void a_state_is_kept_until_something_is_committed(void **state)
{
    struct fixture *fixture = *state;
    struct file_name missing;

    assert_int_equal(file_name_parse("y", 1, &missing, NULL), ERROR_NONE);
    index_reader_close(fixture->reader);
    assert_int_equal(
        index_reader_open(fixture->path, index_news(fixture->index), &fixture->reader, NULL),
        ERROR_NONE);
    for (int i = 0; i < 3; i++) {
        store(fixture, 1, "A", "[{\"filename\":\"x\"}]");
        check_search(fixture, "x", "1 x -|");
        check_search(fixture, "y", "");
        store(fixture, 1, "A", "[{\"filename\":\"y\"}]");
        check_all(fixture, "1 y -|");
        check_search(fixture, "x", "");
        assert_int_equal(index_reader_begin(fixture->reader, NULL), ERROR_NONE);
        check_search(fixture, "y", "1 y -|");
        store(fixture, 1, "A", "[{\"filename\":\"z\"}]");
        check_search(fixture, "y", "1 y -|"); /* one state */
        index_reader_end(fixture->reader);
        check_search(fixture, "y", "");
        if (i == 1)
            index_reader_rest(fixture->reader);
    }
    assert_true(atomic_load(&index_news(fixture->index)->commits) == 9);
}

/* What is held does not keep the log from beginning anew for ever. */
static void the_log_stays_short(void **state)
{
    struct fixture *fixture = *state;
    auto_free char *log = memory_format("%s-wal", fixture->path);
    auto_buffer text;
    struct stat status;
    char name[16];

    index_reader_close(fixture->reader);
    assert_int_equal(
        index_reader_open(fixture->path, index_news(fixture->index), &fixture->reader, NULL),
        ERROR_NONE);
    for (int i = 0; i < 200; i++) {
        buffer_init(&text, 1 << 20);
        for (int j = 0; j < 200; j++)
            buffer_printf(&text, "%c{\"filename\":\"%d %d\"}", j ? ',' : '[', i, j * 7919 % 200);
        buffer_append_char(&text, ']');
        snprintf(name, sizeof name, "P%d", i % 50);
        store(fixture, i % 50 + 1, name, text.data);
        buffer_done(&text);
        check_search(fixture, "none", "");
    }
    assert_int_equal(stat(log, &status), 0);
    assert_true(status.st_size < 32 << 20);
}

struct loaded {
    struct registry_record record;
    char name[32], urls[32];
    int count;
};

static void take_peer(void *context, const struct registry_record *record)
{
    struct loaded *loaded = context;

    loaded->record = *record;
    snprintf(loaded->name, sizeof loaded->name, "%s", record->name);
    snprintf(loaded->urls, sizeof loaded->urls, "%s", record->urls);
    loaded->count++;
}

static struct loaded load(struct fixture *fixture)
{
    struct loaded loaded = {0};

    assert_int_equal(index_peers_load(index_peers(fixture->index), take_peer, &loaded, NULL),
                     ERROR_NONE);
    return loaded;
}

static void reopen(struct fixture *fixture)
{
    index_reader_close(fixture->reader);
    index_close(fixture->index);
    fixture->reader = NULL;
    assert_int_equal(index_open(fixture->path, &fixture->index, NULL), ERROR_NONE);
}

static void begin_epoch(struct fixture *fixture)
{
    assert_int_equal(index_peers_begin_epoch(index_peers(fixture->index), NULL), ERROR_NONE);
}

static void what_is_stored_is_loaded(void **state)
{
    const struct index_clocks stored = {.written_ms = 12345, .run_ms = 77};
    struct fixture *fixture = *state;
    struct index_clocks clocks;

    begin_epoch(fixture);
    store(fixture, 7, "ñandú", "[{\"filename\":\"a\",\"url\":[\"h:1\"]}]");
    assert_int_equal(index_peers_store_clocks(index_peers(fixture->index), &stored, NULL),
                     ERROR_NONE);
    reopen(fixture);
    assert_int_equal(index_peers_clocks(index_peers(fixture->index), &clocks, NULL), ERROR_NONE);
    assert_int_equal(clocks.written_ms, 12345);
    assert_int_equal(clocks.run_ms, 77);
    struct loaded loaded = load(fixture);
    assert_int_equal(loaded.count, 1);
    assert_int_equal(loaded.record.id, 7);
    assert_int_equal(loaded.record.sequence, 7);
    assert_int_equal(loaded.record.seen_ms, 100);
    assert_string_equal(loaded.name, "ñandú");
    assert_string_equal(loaded.record.token, "token");
    assert_string_equal(loaded.urls, "[\"h:1\"]");
    assert_true(loaded.record.has_etag);
}

/* A row's time counts when it is newer than its block, and in its own epoch only. */
static void which_time_counts(void **state)
{
    static const struct {
        int64_t row_ms;
        int64_t block_ms; /* 0: none is stored */
        uint32_t age_ms;
        bool later_epoch;
        int64_t expected; /* -1: long ago */
    } rows[] = {
        {100, 0, 0, false, 100},
        {100, 90, 20, false, 100},
        {100, 100, REGISTRY_AGE_AWAY, false, 100},
        {100, 500, 20, false, 480},
        {100, 500, REGISTRY_AGE_AWAY, false, -1},
        {100, 0, 0, true, -1},
        {100, 50, 20, true, 30},
    };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct registry_record record = make_record(1030, "A");
        struct registry_seen seen = {.block = 1, .now_ms = rows[i].block_ms};
        begin_epoch(fixture);
        record.seen_ms = rows[i].row_ms;
        check_row(i, !index_peers_store(index_peers(fixture->index), &record, NULL));
        if (rows[i].later_epoch) {
            reopen(fixture);
            begin_epoch(fixture);
        }
        memset(seen.ages_ms, 0xff, sizeof seen.ages_ms);
        seen.ages_ms[5] = rows[i].age_ms;
        if (rows[i].block_ms)
            check_row(i, !index_peers_store_seen(index_peers(fixture->index), &seen, NULL));
        reopen(fixture);
        struct loaded loaded = load(fixture);
        check_row(i, rows[i].expected == -1 ? loaded.record.seen_ms < -1000000000000
                                            : loaded.record.seen_ms == rows[i].expected);
    }
}

static void a_second_directory_is_kept_away(void **state)
{
    struct fixture *fixture = *state;
    struct index *second = NULL;

    assert_int_equal(index_open(fixture->path, &second, NULL), ERROR_BUSY);
    assert_null(second);
}

static void other_files_are_refused_unchanged(void **state)
{
    static const struct {
        const char *content;
        size_t length;
    } rows[] = {
        {"this is no database, but it is longer than the header of one, so that it is read whole "
         "and then refused",
         100},
        {"x", 1},
        {"SQLite format 3\0garbage garbage garbage garbage garbage garbage garbage garbage garbage "
         "garbage garbage",
         100},
    };
    struct fixture *fixture = *state;
    char path[UNIT_PATH_BYTES];
    struct index *index = NULL;

    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char after[128] = "";
        struct error error = {0};
        unit_path(fixture->folder, "other", path);
        unit_file_write(path, rows[i].content, rows[i].length);
        check_row(i, index_open(path, &index, &error) != ERROR_NONE);
        check_row(i, index == NULL && strstr(error.text, path) != NULL);
        FILE *file = fopen(path, "rb");
        check_row(i, fread(after, 1, sizeof after, file) == rows[i].length);
        fclose(file);
        check_row(i, memcmp(after, rows[i].content, rows[i].length) == 0);
    }
}

/* ---- versions ---- */

/* As the first version made it. */
static const char version_1[] =
    "PRAGMA journal_mode=WAL; BEGIN;"
    "CREATE TABLE peers(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, token TEXT NOT NULL,"
    " seen_ms INTEGER NOT NULL, sequence INTEGER NOT NULL, urls TEXT NOT NULL DEFAULT '[]',"
    " digest BLOB);"
    "CREATE TABLE files(name TEXT NOT NULL, peer_id INTEGER NOT NULL, urls TEXT,"
    " PRIMARY KEY(name, peer_id)) WITHOUT ROWID;"
    "CREATE INDEX files_by_peer ON files(peer_id, name, urls);"
    "CREATE TABLE state(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "PRAGMA application_id=1345474628; PRAGMA user_version=1;"
    "INSERT INTO peers VALUES(1, 'A', 'token', 100, 1, '[\"h:1\"]', zeroblob(32));"
    "INSERT INTO files VALUES('a', 1, NULL), ('b', 1, '[\"h:2\"]'), ('a', 2, NULL);"
    "COMMIT;";

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *database = NULL;

    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    assert_int_equal(sqlite3_exec(database, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(database);
}

static int read_number(const char *path, const char *sql)
{
    sqlite3 *database = NULL;
    sqlite3_stmt *statement = NULL;

    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(database, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int number = sqlite3_column_int(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(database);
    return number;
}

/* Instead of the fixture's new database, one that the statements make. */
static void start_with(struct fixture *fixture, const char *sql, const char *more)
{
    index_reader_close(fixture->reader);
    index_close(fixture->index);
    fixture->reader = NULL;
    fixture->index = NULL;
    unit_path(fixture->folder, "old.db", fixture->path);
    run_sql(fixture->path, sql);
    run_sql(fixture->path, more);
}

static void a_name_lives_as_long_as_its_files(void **state)
{
    static const char *const names = "SELECT count(*) FROM names";
    struct fixture *fixture = *state;

    store(fixture, 1, "A", "[{\"filename\":\"a\"},{\"filename\":\"b\"}]");
    store(fixture, 2, "B", "[{\"filename\":\"b\"},{\"filename\":\"c\"}]");
    assert_int_equal(read_number(fixture->path, names), 3);
    store(fixture, 1, "A", "[]");
    settle(fixture);
    assert_int_equal(read_number(fixture->path, names), 2);
    store(fixture, 2, "B", "[]");
    settle(fixture);
    assert_int_equal(read_number(fixture->path, names), 0);
    store(fixture, 2, "B", "[{\"filename\":\"b\"}]"); /* another id: old places stay behind it */
    assert_int_equal(read_number(fixture->path, "SELECT id FROM names"), 4);
    assert_int_equal(read_number(fixture->path, "SELECT name_id FROM files"), 4);
    check_search(fixture, "b", "2 b -|");
}

static bool append_name(void *context, int64_t id, const char *name)
{
    (void)id;
    buffer_printf(context, "%s|", name);
    return true;
}

/* Which names a search for "foto" would compare. */
static void check_candidates(struct fixture *fixture, const char *expected)
{
    static const struct trigrams_choice choice = {.tokens = {{"fot", 3, 0}, {"oto", 3, 0}},
                                                  .count = 2};
    struct index_names_query query = {.last = (1 << TRIGRAMS_LARGE_BLOCK) - 1};
    auto_buffer text;
    auto_buffer names;

    buffer_init(&text, 4096);
    buffer_init(&names, 4096);
    buffer_append(&names, "", 0);
    trigrams_write_query(&text, 1, TRIGRAMS_LARGE_BLOCK, &choice);
    query.query = text.data;
    assert_int_equal(index_names_with(fixture->reader, &query, append_name, &names, NULL),
                     ERROR_NONE);
    assert_string_equal(names.data, expected);
}

static void connect_with_news(struct fixture *fixture)
{
    index_reader_close(fixture->reader);
    assert_int_equal(
        index_reader_open(fixture->path, index_news(fixture->index), &fixture->reader, NULL),
        ERROR_NONE);
}

static void check_id(struct fixture *fixture, const char *name, enum name_ids_answer expected,
                     int64_t expected_id)
{
    int64_t id = 0;

    assert_int_equal(name_ids_find(index_news(fixture->index)->ids, name, &id), expected);
    assert_int_equal(id, expected_id);
}

static void ids_in_memory_are_those_that_are_committed(void **state)
{
    struct fixture *fixture = *state;
    struct files_index *files = make_list("[{\"filename\":\"b\"}]");
    size_t added = 0;

    connect_with_news(fixture);
    store(fixture, 1, "A", "[{\"filename\":\"a\"}]");
    check_id(fixture, "a", NAME_IDS_FOUND, 1);
    check_id(fixture, "b", NAME_IDS_UNKNOWN, 0);
    assert_false(index_load_some(fixture->index));
    check_id(fixture, "b", NAME_IDS_NONE, 0);
    assert_int_equal(index_begin(fixture->index, NULL), ERROR_NONE);
    assert_int_equal(index_replace_files(fixture->index, 1, files, count_added, &added, NULL),
                     ERROR_NONE);
    assert_int_equal(index_settle(fixture->index, NULL), ERROR_NONE);
    check_id(fixture, "a", NAME_IDS_FOUND, 1);
    check_id(fixture, "b", NAME_IDS_NONE, 0);
    check_search(fixture, "a", "1 a -|");
    check_search(fixture, "b", "");
    index_rollback(fixture->index);
    store(fixture, 1, "A", "[{\"filename\":\"c\"},{\"filename\":\"a\"}]");
    check_id(fixture, "b", NAME_IDS_NONE, 0); /* its id is another one's now */
    check_id(fixture, "c", NAME_IDS_FOUND, 2);
    check_search(fixture, "b", "");
    check_search(fixture, "c", "1 c -|");
    store(fixture, 1, "A", "[]");
    check_id(fixture, "a", NAME_IDS_FOUND, 1); /* it goes later */
    check_search(fixture, "a", "");
    settle(fixture);
    check_id(fixture, "a", NAME_IDS_NONE, 0);
    files_index_free(files);
}

static void who_reads_an_older_state_finds_what_it_has(void **state)
{
    struct fixture *fixture = *state;

    connect_with_news(fixture);
    store(fixture, 1, "A", "[{\"filename\":\"a\"}]");
    assert_int_equal(index_reader_begin(fixture->reader, NULL), ERROR_NONE);
    check_search(fixture, "a", "1 a -|");
    store(fixture, 1, "A", "[]");
    settle(fixture);
    store(fixture, 2, "B", "[{\"filename\":\"a\"}]");
    check_id(fixture, "a", NAME_IDS_FOUND, 2);
    check_search(fixture, "a", "1 a -|");
    index_reader_end(fixture->reader);
    check_search(fixture, "a", "2 a -|");
}

/* What has gone in a transaction is not taken for there by what comes after it. */
static void a_name_comes_back_within_a_transaction(void **state)
{
    struct fixture *fixture = *state;
    struct files_index *none = make_list("[]");
    struct files_index *files = make_list("[{\"filename\":\"a\"}]");
    size_t added = 0;

    connect_with_news(fixture);
    store(fixture, 1, "A", "[{\"filename\":\"a\"}]");
    assert_int_equal(index_begin(fixture->index, NULL), ERROR_NONE);
    assert_int_equal(index_replace_files(fixture->index, 1, none, count_added, &added, NULL),
                     ERROR_NONE);
    assert_int_equal(index_settle(fixture->index, NULL), ERROR_NONE);
    assert_int_equal(index_replace_files(fixture->index, 1, files, count_added, &added, NULL),
                     ERROR_NONE);
    assert_int_equal(index_commit(fixture->index, NULL), ERROR_NONE);
    check_id(fixture, "a", NAME_IDS_FOUND, 2);
    check_search(fixture, "a", "1 a -|");
    check_all(fixture, "1 a -|");
    files_index_free(none);
    files_index_free(files);
}

/* The names that were there at the start come into memory while others come and go. */
static void names_are_loaded_by_and_by(void **state)
{
    enum { NAMES = 10000 };
    struct fixture *fixture = *state;
    auto_buffer list;
    int steps = 1;

    buffer_init(&list, 1 << 20);
    for (int i = 0; i < NAMES; i++)
        buffer_printf(&list, "%c{\"filename\":\"%d\"}", i ? ',' : '[', i);
    buffer_append_char(&list, ']');
    store(fixture, 1, "A", list.data);
    reopen(fixture);
    connect_with_news(fixture);
    check_id(fixture, "5", NAME_IDS_UNKNOWN, 0);
    check_search(fixture, "5", "1 5 -|");
    check_search(fixture, "none", "");
    assert_true(index_load_some(fixture->index));
    store(fixture, 1, "A", "[{\"filename\":\"9999\"},{\"filename\":\"new\"}]");
    check_search(fixture, "9999", "1 9999 -|");
    check_search(fixture, "new", "1 new -|");
    for (; index_load_some(fixture->index); steps++)
        settle(fixture);
    assert_in_range(steps, 1, 4);
    check_id(fixture, "new", NAME_IDS_FOUND, NAMES + 1);
    check_id(fixture, "9999", NAME_IDS_FOUND, NAMES);
    check_id(fixture, "5", NAME_IDS_NONE, 0);
    check_search(fixture, "9999", "1 9999 -|");
    check_search(fixture, "5", "");
}

#define WAITING "SELECT count(*) FROM names WHERE id>(SELECT value FROM state WHERE key='worded')"

static void names_are_found_before_they_are_indexed_and_after(void **state)
{
    struct fixture *fixture = *state;

    store(fixture, 1, "A", "[{\"filename\":\"fotos\"},{\"filename\":\"other\"}]");
    check_candidates(fixture, "fotos|other|"); /* in the order of their ids */
    settle(fixture);
    check_candidates(fixture, "fotos|");
    store(fixture, 1, "A", "[{\"filename\":\"una foto\"},{\"filename\":\"other\"}]");
    check_candidates(fixture, "fotos|una foto|"); /* the first one has no files */
    assert_int_equal(read_number(fixture->path, "SELECT count(*) FROM names"), 3);
    assert_int_equal(index_begin(fixture->index, NULL), ERROR_NONE);
    assert_int_equal(index_settle(fixture->index, NULL), ERROR_NONE);
    index_rollback(fixture->index);
    check_candidates(fixture, "fotos|una foto|");
    index_close(fixture->index); /* what waits lasts */
    assert_int_equal(index_open(fixture->path, &fixture->index, NULL), ERROR_NONE);
    check_candidates(fixture, "fotos|una foto|");
    settle(fixture);
    check_candidates(fixture, "una foto|");
    assert_int_equal(read_number(fixture->path, "SELECT count(*) FROM names"), 2);
}

static void a_name_that_comes_back_in_time_stays(void **state)
{
    struct fixture *fixture = *state;

    store(fixture, 1, "A", "[{\"filename\":\"fotos\"}]");
    settle(fixture);
    store(fixture, 1, "A", "[]");
    assert_int_equal(read_number(fixture->path, "SELECT count(*) FROM unused"), 1);
    store(fixture, 2, "B", "[{\"filename\":\"fotos\"}]");
    settle(fixture);
    assert_int_equal(read_number(fixture->path, "SELECT count(*) FROM unused"), 0);
    check_candidates(fixture, "fotos|");
    check_search(fixture, "fotos", "2 fotos -|");
}

static void no_more_than_some_names_wait(void **state)
{
    struct fixture *fixture = *state;
    auto_buffer list;

    buffer_init(&list, 1 << 20);
    for (int count = NAMES_WAITING_MAX; count <= NAMES_WAITING_MAX + 1; count++) {
        buffer_clear(&list);
        for (int i = 0; i < count; i++)
            buffer_printf(&list, "%s{\"filename\":\"%d\"}", i == 0 ? "[" : ",", i);
        buffer_append_string(&list, "]");
        store(fixture, 1, "A", list.data);
        assert_int_equal(read_number(fixture->path, WAITING),
                         count > NAMES_WAITING_MAX ? 0 : count);
    }
    store(fixture, 1, "A", "[]");
    assert_int_equal(read_number(fixture->path, "SELECT count(*) FROM names"), 0);
}

static void a_database_of_version_6_keeps_its_words(void **state)
{
    struct fixture *fixture = *state;

    store(fixture, 1, "A", "[{\"filename\":\"fotos\"},{\"filename\":\"other\"}]");
    settle(fixture);
    index_close(fixture->index);
    run_sql(fixture->path, "DROP TABLE unused; DELETE FROM state WHERE key='worded';"
                           "PRAGMA user_version=6;");
    assert_int_equal(index_open(fixture->path, &fixture->index, NULL), ERROR_NONE);
    check_candidates(fixture, "fotos|");
    store(fixture, 1, "A", "[]");
    settle(fixture);
    check_candidates(fixture, "");
}

static void a_database_of_version_1_is_brought_up_to_date(void **state)
{
    struct fixture *fixture = *state;

    start_with(fixture, version_1, "");
    for (int i = 0; i < 2; i++) { /* the second time nothing is left to do */
        index_close(fixture->index);
        assert_int_equal(index_open(fixture->path, &fixture->index, NULL), ERROR_NONE);
        assert_int_equal(read_number(fixture->path, "PRAGMA user_version"), 7);
    }
    assert_int_equal(index_reader_open(fixture->path, NULL, &fixture->reader, NULL), ERROR_NONE);
    check_all(fixture, "1 a -|1 b [\"h:2\"]|2 a -|");
    check_search(fixture, "a", "1 a -|2 a -|");
    struct loaded loaded = load(fixture);
    assert_string_equal(loaded.urls, "[\"h:1\"]");
    assert_int_equal(loaded.record.seen_ms, 100);
    assert_false(loaded.record.has_etag); /* it was another digest */
    assert_int_equal(store(fixture, 1, "A",
                           "[{\"filename\":\"a\",\"size\":7,\"content\":\"" ID
                           "\"},{\"filename\":\"b\"}]"),
                     0);
    check_all(fixture, "1 a - 7 " ID "|1 b -|2 a -|");
}

static void what_is_partial_becomes_whole(void **state)
{
    static const char before[] = "[{\"filename\":\"a\",\"size\":7,\"content\":\"" ID
                                 "\",\"partial\":true},{\"filename\":\"b\"}]";
    static const char after[] =
        "[{\"filename\":\"a\",\"size\":7,\"content\":\"" ID "\"},{\"filename\":\"b\"}]";
    struct fixture *fixture = *state;

    store(fixture, 1, "A", before);
    check_search(fixture, "a", "1 a - 7 " ID " partial|");
    check_all(fixture, "1 a - 7 " ID " partial|1 b -|");
    store(fixture, 1, "A", after);
    check_search(fixture, "a", "1 a - 7 " ID "|");
    store(fixture, 1, "A", before);
    check_search(fixture, "a", "1 a - 7 " ID " partial|");
}

static void a_migration_that_fails_changes_nothing(void **state)
{
    struct fixture *fixture = *state;

    /* The second ALTER fails, after the first one has worked. */
    start_with(fixture, version_1, "ALTER TABLE files ADD COLUMN content BLOB;");
    assert_int_not_equal(index_open(fixture->path, &fixture->index, NULL), ERROR_NONE);
    assert_null(fixture->index);
    assert_int_equal(read_number(fixture->path, "PRAGMA user_version"), 1);
    assert_int_equal(read_number(fixture->path, "SELECT count(*) FROM pragma_table_info('files')"),
                     4);
    assert_int_equal(read_number(fixture->path, "SELECT count(*) FROM files"), 3);
}

static void other_versions_are_refused_unchanged(void **state)
{
    static const int rows[] = {-1, 0, 8, 99};
    struct fixture *fixture = *state;

    start_with(fixture, version_1, "");
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct error error = {0};
        char sql[64];
        char expected[64];
        snprintf(sql, sizeof sql, "PRAGMA user_version=%d", rows[i]);
        snprintf(expected, sizeof expected, "has version %d, this program knows 1 to 7", rows[i]);
        run_sql(fixture->path, sql);
        check_row(i, index_open(fixture->path, &fixture->index, &error) == ERROR_INVALID);
        check_row(i, strstr(error.text, expected) != NULL);
        check_row(i, read_number(fixture->path, "PRAGMA user_version") == rows[i]);
    }
}

/* What happens to the file below a running directory is nothing that a user did wrong. */
static void damage_is_no_fault_of_the_request(void **state)
{
    static const char content[] =
        "this is no database, but it is longer than the header of one, so "
        "that it is read whole and then refused";
    struct fixture *fixture = *state;
    char path[UNIT_PATH_BYTES];
    struct index_reader *reader = NULL;

    unit_path(fixture->folder, "other", path);
    unit_file_write(path, content, sizeof content);
    assert_int_equal(index_reader_open(path, NULL, &reader, NULL), ERROR_CORRUPT);
    assert_null(reader);
}

/* ---- the writer ---- */

struct counted_job {
    struct index_job job;
    struct files_index *files;
    int *done;
    enum error_code code;
};

static void count_done(struct index_job *job, enum error_code code, const struct error *error)
{
    struct counted_job *counted = (struct counted_job *)(void *)job;

    (void)error;
    counted->code = code;
    __atomic_add_fetch(counted->done, 1, __ATOMIC_SEQ_CST);
}

/* P0 to P9 with the ids 1 to 10. */
static struct registry *ten_peers(void)
{
    const struct registry_claim claim = {.host = "h"};
    struct registry *registry = registry_new(1000000000000);
    struct registry_login login;
    char name[8];

    assert_int_equal(secrets_init(NULL), ERROR_NONE);
    for (int i = 0; i < 10; i++) {
        snprintf(name, sizeof name, "P%d", i);
        registry_log_in(registry, name, &claim, clock_boot_ms(), &login);
    }
    return registry;
}

static void jobs_are_committed_in_order(void **state)
{
    enum { COUNT = 1000 };
    struct fixture *fixture = *state;
    struct registry *registry = ten_peers();
    struct index_writer *writer = index_writer_start(fixture->index, registry, 0);
    struct counted_job *jobs = memory_new(COUNT, sizeof *jobs);
    int done = 0;
    char text[64];

    for (int i = 0; i < COUNT; i++) {
        snprintf(text, sizeof text, "[{\"filename\":\"f%d\"},{\"filename\":\"z\"}]", i);
        jobs[i].files = make_list(text);
        jobs[i].done = &done;
        jobs[i].job = (struct index_job){.peer_id = i % 10 + 1,
                                         .with_record = i < 10,
                                         .files = jobs[i].files,
                                         .done = count_done};
        assert_int_equal(index_writer_submit(writer, &jobs[i].job), ERROR_NONE);
    }
    index_writer_stop(writer, 60000);
    assert_int_equal(done, COUNT);
    assert_int_equal(index_writer_submit(writer, &jobs[0].job), ERROR_CANCELLED);
    index_writer_free(writer);
    registry_free(registry);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(jobs[i].code, ERROR_NONE);
        index_job_done(&jobs[i].job);
        files_index_free(jobs[i].files);
    }
    free(jobs);
    check_search(fixture, "f999", "10 f999 -|");
    check_search(fixture, "f989", "");
    check_search(fixture, "z", "1 z -|2 z -|3 z -|4 z -|5 z -|6 z -|7 z -|8 z -|9 z -|10 z -|");
}

/* Its record may come later, by another job, or not at all. */
static void a_list_brings_its_peer(void **state)
{
    struct fixture *fixture = *state;
    struct registry *registry = ten_peers();
    struct index_writer *writer = index_writer_start(fixture->index, registry, 0);
    struct files_index *files = make_list("[{\"filename\":\"a\",\"url\":[\"h:1\"]}]");
    struct counted_job last = {.done = &(int){0},
                               .job = {.peer_id = 10, .files = files, .done = count_done}};

    assert_int_equal(index_writer_submit(writer, &last.job), ERROR_NONE);
    index_writer_stop(writer, 60000);
    index_writer_free(writer);
    registry_free(registry);
    assert_int_equal(last.code, ERROR_NONE);
    index_job_done(&last.job);
    files_index_free(files);
    check_search(fixture, "a", "10 a -|");
    struct loaded loaded = load(fixture);
    assert_string_equal(loaded.name, "P9");
    assert_int_equal(read_number(fixture->path, "SELECT count(*) FROM peers"
                                                " WHERE etag IS NOT NULL AND urls='[\"h:1\"]'"),
                     1);
}

/* The first write brings all times, and what is collected is stored once. */
static void the_registry_is_stored(void **state)
{
    struct fixture *fixture = *state;
    struct registry *registry = ten_peers();
    struct index_writer *writer = index_writer_start(fixture->index, registry, 0);
    struct counted_job jobs[2] = {{.done = &(int){0}}, {.done = &(int){0}}};

    for (int64_t id = 1; id <= 10; id++)
        registry_collect_again(registry, id);
    for (size_t i = 0; i < ARRAY_LENGTH(jobs); i++) {
        jobs[i].job = (struct index_job){.behind = true, .done = count_done};
        assert_int_equal(index_writer_submit(writer, &jobs[i].job), ERROR_NONE);
    }
    index_writer_stop(writer, 60000);
    index_writer_free(writer);
    for (size_t i = 0; i < ARRAY_LENGTH(jobs); i++) {
        assert_int_equal(jobs[i].code, ERROR_NONE);
        index_job_done(&jobs[i].job);
    }
    assert_false(registry_has_changed(registry));
    registry_free(registry);
    assert_int_equal(read_number(fixture->path, "SELECT count(*) FROM peers"), 10);
    assert_int_equal(read_number(fixture->path, "SELECT count(*) FROM seen"), 1);
    assert_int_equal(read_number(fixture->path, "SELECT value FROM state WHERE key='epoch'"), 1);
    struct loaded loaded = load(fixture);
    assert_string_equal(loaded.name, "P9");
}

static void too_many_jobs_are_refused(void **state)
{
    enum { COUNT = INDEX_WRITER_JOBS_MAX * 2 };
    struct fixture *fixture = *state;
    struct registry *registry = ten_peers();
    struct index_writer *writer = index_writer_start(fixture->index, registry, 0);
    struct counted_job *jobs = memory_new(COUNT, sizeof *jobs);
    int done = 0;
    int accepted = 0;

    for (int i = 0; i < COUNT; i++) {
        jobs[i].done = &done;
        jobs[i].job =
            (struct index_job){.peer_id = i % 10 + 1, .with_record = true, .done = count_done};
        accepted += index_writer_submit(writer, &jobs[i].job) == ERROR_NONE;
    }
    assert_in_range(accepted, INDEX_WRITER_JOBS_MAX, COUNT);
    struct counted_job last = {.done = &done, .job = {.behind = true, .done = count_done}};
    assert_int_equal(index_writer_submit(writer, &last.job), ERROR_NONE);
    index_writer_stop(writer, 60000);
    assert_int_equal(done, accepted + 1);
    index_writer_free(writer);
    registry_free(registry);
    for (int i = 0; i < COUNT; i++)
        index_job_done(&jobs[i].job);
    index_job_done(&last.job);
    free(jobs);
}

/* ---- cursors ---- */

static void cursors_come_back(void **state)
{
    static const struct index_place rows[] = {
        {0, 0},
        {1, 2},
        {123456, 0},
        {INT64_MAX, INT64_MAX},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char cursor[LISTING_CURSOR_BYTES];
        struct index_place place;
        listing_format_cursor(&rows[i], cursor);
        check_row(i, listing_parse_cursor(cursor, &place, NULL) == ERROR_NONE);
        check_row(i, place.peer_id == rows[i].peer_id && place.name_id == rows[i].name_id);
    }
}

static void foreign_cursors_are_refused(void **state)
{
    static const char *const rows[] = {
        "",
        "1",
        ".",
        "1.",
        ".1",
        "x.61",
        "1.6g",
        "1.61 ",
        " 1.61",
        "-1.61",
        "1.-61",
        "1.61.62",
        "99999999999999999999.61",
        "1.99999999999999999999",
        "000000000000000000000001.61",
    };
    struct index_place place;

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
        check_row(i, listing_parse_cursor(rows[i], &place, NULL) == ERROR_INVALID);
}

#define test(function) cmocka_unit_test_setup_teardown(function, start, stop)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        test(a_list_replaces_the_last_one),
        test(sizes_and_ids_come_back),
        test(searches),
        test(pages_of_the_list),
        test(a_rollback_leaves_nothing),
        test(a_state_is_kept_until_something_is_committed),
        test(the_log_stays_short),
        test(what_is_stored_is_loaded),
        test(which_time_counts),
        test(a_second_directory_is_kept_away),
        test(other_files_are_refused_unchanged),
        test(what_is_partial_becomes_whole),
        test(a_name_lives_as_long_as_its_files),
        test(names_are_found_before_they_are_indexed_and_after),
        test(a_name_that_comes_back_in_time_stays),
        test(ids_in_memory_are_those_that_are_committed),
        test(who_reads_an_older_state_finds_what_it_has),
        test(a_name_comes_back_within_a_transaction),
        test(names_are_loaded_by_and_by),
        test(no_more_than_some_names_wait),
        test(a_database_of_version_6_keeps_its_words),
        test(a_database_of_version_1_is_brought_up_to_date),
        test(a_migration_that_fails_changes_nothing),
        test(other_versions_are_refused_unchanged),
        test(damage_is_no_fault_of_the_request),
        test(jobs_are_committed_in_order),
        test(a_list_brings_its_peer),
        test(the_registry_is_stored),
        test(too_many_jobs_are_refused),
        cmocka_unit_test(cursors_come_back),
        cmocka_unit_test(foreign_cursors_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
