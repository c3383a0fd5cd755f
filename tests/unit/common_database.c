/* What a file becomes when it is opened, what stays as it was, and what failures are called. */
#include "unit.h"

#include "common/database.h"
#include "common/memory.h"

#include <fcntl.h>
#include <pthread.h>

static const char to_2[] = "ALTER TABLE things ADD COLUMN colour TEXT;";
static const char to_3[] = "CREATE INDEX things_by_colour ON things(colour);";
static const char *const upgrades[] = {to_2, to_3};

/* The same program's database, newer from one to the next. */
static const struct database_form first = {
    .name = "store",
    .owner = "test",
    .application_id = 0x54455354,
    .version = 1,
    .schema = "CREATE TABLE things(number INTEGER PRIMARY KEY, name TEXT, bytes BLOB);",
    .pragmas = "PRAGMA journal_mode=WAL;",
    .denied = ERROR_DENIED,
};
static const struct database_form third = {
    .name = "store",
    .owner = "test",
    .application_id = 0x54455354,
    .version = 3,
    .schema = "CREATE TABLE things(number INTEGER PRIMARY KEY, name TEXT, bytes BLOB, colour TEXT);"
              "CREATE INDEX things_by_colour ON things(colour);",
    .upgrades = upgrades,
    .pragmas = "PRAGMA journal_mode=WAL;",
    .is_frugal = true,
    .denied = ERROR_IO,
};
static const struct database_form sharing = {
    .name = "store",
    .owner = "test",
    .application_id = 0x54455354,
    .version = 1,
    .schema = "CREATE TABLE things(number INTEGER PRIMARY KEY, name TEXT, bytes BLOB);",
    .pragmas = "PRAGMA journal_mode=WAL;",
    .shares_pages = true,
    .denied = ERROR_DENIED,
};
static const struct database_form others = {
    .name = "store",
    .owner = "neighbour",
    .application_id = 0x4f544852,
    .version = 1,
    .schema = "CREATE TABLE others(number INTEGER PRIMARY KEY);",
    .pragmas = "",
    .denied = ERROR_IO,
};

struct fixture {
    char folder[UNIT_PATH_BYTES];
    char path[UNIT_PATH_BYTES];
    struct database *database;
};

static void open_as(struct fixture *fixture, const struct database_form *form)
{
    database_close(fixture->database);
    fixture->database = NULL;
    assert_int_equal(database_open(form, fixture->path, &fixture->database, NULL), ERROR_NONE);
}

static int start(void **state)
{
    struct fixture *fixture = memory_new(1, sizeof *fixture);

    unit_folder_make(fixture->folder);
    unit_path(fixture->folder, "store.db", fixture->path);
    *state = fixture;
    open_as(fixture, &first);
    return 0;
}

static int stop(void **state)
{
    struct fixture *fixture = *state;

    database_close(fixture->database);
    unit_folder_remove(fixture->folder);
    free(fixture);
    return 0;
}

static void execute(struct fixture *fixture, const char *sql)
{
    assert_int_equal(database_execute(fixture->database, sql, NULL), ERROR_NONE);
}

static int64_t number(struct fixture *fixture, const char *sql)
{
    int64_t got = -1;

    assert_int_equal(database_get_number(fixture->database, sql, &got, NULL), ERROR_NONE);
    return got;
}

/* ---- opening ---- */

static void an_empty_file_gets_the_schema(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(number(fixture, "PRAGMA application_id"), 0x54455354);
    assert_int_equal(number(fixture, "PRAGMA user_version"), 1);
    execute(fixture, "INSERT INTO things VALUES(7, 'a', NULL)");
    open_as(fixture, &first); /* and keeps what is in it */
    assert_int_equal(number(fixture, "SELECT number FROM things"), 7);
}

static void without_a_path_it_is_in_memory(void **state)
{
    struct fixture *fixture = *state;
    struct database *database = NULL;

    (void)fixture;
    assert_int_equal(database_open(&third, NULL, &database, NULL), ERROR_NONE);
    assert_int_equal(database_execute(database, "INSERT INTO things(name) VALUES('a')", NULL),
                     ERROR_NONE);
    assert_int_equal(database_last_row(database), 1);
    database_close(database);
}

static void an_older_one_is_brought_up_to_date_step_by_step(void **state)
{
    struct fixture *fixture = *state;

    execute(fixture, "INSERT INTO things VALUES(7, 'a', NULL)");
    for (int i = 0; i < 2; i++) { /* the second time nothing is left to do */
        open_as(fixture, &third);
        assert_int_equal(number(fixture, "PRAGMA user_version"), 3);
        assert_int_equal(number(fixture, "SELECT number FROM things WHERE colour IS NULL"), 7);
        assert_int_equal(
            number(fixture, "SELECT count(*) FROM sqlite_schema WHERE name='things_by_colour'"), 1);
    }
}

static void a_step_that_fails_leaves_the_one_before(void **state)
{
    struct fixture *fixture = *state;
    struct database *none = NULL;

    execute(fixture, "CREATE TABLE things_by_colour(x)"); /* the second step's name is taken */
    assert_int_equal(database_open(&third, fixture->path, &none, NULL), ERROR_IO);
    assert_null(none);
    assert_int_equal(number(fixture, "PRAGMA user_version"), 2);
    execute(fixture, "DROP TABLE things_by_colour");
    open_as(fixture, &third);
    assert_int_equal(number(fixture, "PRAGMA user_version"), 3);
}

static void what_is_not_ours_is_refused_unchanged(void **state)
{
    static const struct {
        const struct database_form *form;
        const char *before;
        const char *expected;
    } rows[] = {
        {&others, "", "store: a SQLite file of another program, not a neighbour's"},
        {&first, "PRAGMA user_version=2", "store: has version 2, this program knows 1 to 1"},
        {&third, "PRAGMA user_version=0", "store: has version 0, this program knows 1 to 3"},
        {&third, "PRAGMA user_version=-1", "store: has version -1, this program knows 1 to 3"},
        {&third, "PRAGMA user_version=4", "store: has version 4, this program knows 1 to 3"},
        {&first, "PRAGMA application_id=0",
         "store: a SQLite file of another program, not a test's"},
    };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct database *none = NULL;
        struct error error = {0};
        execute(fixture, rows[i].before);
        int64_t version = number(fixture, "PRAGMA user_version");
        check_row(i, database_open(rows[i].form, fixture->path, &none, &error) == ERROR_INVALID);
        check_row(i, !none);
        check_row(i, strcmp(error.text, rows[i].expected) == 0);
        check_row(i, number(fixture, "PRAGMA user_version") == version);
        check_row(i, number(fixture, "SELECT count(*) FROM sqlite_schema") == 1);
    }
}

static void damage_is_found_when_it_is_opened(void **state)
{
    static const char junk[4096] = "no page of a database";
    struct fixture *fixture = *state;
    struct database *none = NULL;

    execute(fixture, "INSERT INTO things VALUES(7, 'a', NULL)");
    database_close(fixture->database);
    fixture->database = NULL;
    auto_close int file = open(fixture->path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(file, junk, sizeof junk, 4096), sizeof junk); /* the second page */
    assert_int_equal(database_open(&first, fixture->path, &none, NULL), ERROR_CORRUPT);
    assert_int_equal(pwrite(file, junk, sizeof junk, 0), sizeof junk);
    assert_int_equal(database_open(&first, fixture->path, &none, NULL), ERROR_CORRUPT);
    assert_null(none);
}

static void a_large_one_is_opened_unchecked(void **state)
{
    static const char junk[4096] = "no page of a database";
    struct database_form form = first;
    struct fixture *fixture = *state;

    form.check_max_bytes = 16384;
    open_as(fixture, &form);
    assert_true(database_is_checked(fixture->database));
    for (int i = 0; i < 5; i++)
        execute(fixture, "INSERT INTO things VALUES(abs(random()), hex(zeroblob(9000)), NULL)");
    open_as(fixture, &form);
    assert_false(database_is_checked(fixture->database));
    assert_int_equal(database_check(fixture->database, NULL), ERROR_NONE);
    database_close(fixture->database);
    fixture->database = NULL;
    auto_close int file = open(fixture->path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(file, junk, sizeof junk, 4 * 4096), sizeof junk);
    open_as(fixture, &form);
    assert_false(database_is_checked(fixture->database));
    struct error error = {0};
    assert_int_equal(database_check(fixture->database, &error), ERROR_CORRUPT);
    assert_string_equal(error.text, "store: damaged (try sqlite3's .recover)");
}

/* ---- what cannot be written ---- */

static void check_things(struct fixture *fixture, int64_t expected)
{
    struct database *reader = NULL;
    int64_t count = -1;

    assert_int_equal(database_open_to_read(&first, fixture->path, &reader, NULL), ERROR_NONE);
    assert_int_equal(database_get_number(reader, "SELECT count(*) FROM things", &count, NULL),
                     ERROR_NONE);
    assert_int_equal(count, expected);
    assert_int_equal(database_execute(reader, "DELETE FROM things", NULL), ERROR_DENIED);
    database_close(reader);
}

/* The log is read as it is, with its index or without, and left where it is. */
static void what_is_only_read_is_as_of_the_last_commit(void **state)
{
    struct fixture *fixture = *state;
    auto_free char *log = memory_format("%s-wal", fixture->path);
    auto_free char *log_index = memory_format("%s-shm", fixture->path);

    execute(fixture, "INSERT INTO things(name) VALUES('a'); PRAGMA wal_checkpoint;");
    execute(fixture, "INSERT INTO things(name) VALUES('b')");
    assert_int_equal(unlink(log_index), 0);
    check_things(fixture, 2);
    assert_int_equal(access(log, F_OK), 0);
    assert_int_equal(access(log_index, F_OK), -1);
    execute(fixture, "INSERT INTO things(name) VALUES('c')");
    check_things(fixture, 3);
    open_as(fixture, &first);
    database_close(fixture->database);
    fixture->database = NULL;
    assert_int_equal(access(log, F_OK), -1);
    check_things(fixture, 3);
    assert_int_equal(access(log, F_OK), -1);
}

static void what_has_to_be_changed_is_not_only_read(void **state)
{
    struct fixture *fixture = *state;
    auto_free char *journal = memory_format("%s-journal", fixture->path);
    struct database *reader = NULL;
    struct error error;

    assert_int_equal(database_open_to_read(&third, fixture->path, &reader, &error), ERROR_INVALID);
    assert_string_equal(error.text,
                        "store: has version 1, and must be brought up to version 3 first");
    assert_int_equal(database_open_to_read(&others, fixture->path, &reader, NULL), ERROR_INVALID);
    unit_file_write(journal, "x", 1);
    assert_int_equal(database_open_to_read(&first, fixture->path, &reader, &error), ERROR_IO);
    assert_string_equal(error.text, "store: an unfinished change has to be undone first");
    assert_null(reader);
}

/* ---- what failures are called ---- */

static void no_permission_is_what_the_form_says(void **state)
{
    static const struct database_form *const rows[] = {&first, &third};
    struct fixture *fixture = *state;

    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct database *reader = NULL;
        struct error error = {0};
        assert_int_equal(
            database_connect(rows[i], fixture->path, "PRAGMA query_only=1", &reader, NULL),
            ERROR_NONE);
        check_row(i, database_execute(reader, "DELETE FROM things", &error) == rows[i]->denied);
        check_row(i, strcmp(error.text, "store: attempt to write a readonly database") == 0);
        database_close(reader);
    }
}

static void connecting_makes_no_file(void **state)
{
    struct fixture *fixture = *state;
    struct database *none = NULL;
    char path[UNIT_PATH_BYTES];

    unit_path(fixture->folder, "missing.db", path);
    assert_int_equal(database_connect(&first, path, "", &none, NULL), ERROR_IO);
    assert_null(none);
    assert_int_equal(access(path, F_OK), -1);
}

static void a_full_file_has_no_space(void **state)
{
    struct fixture *fixture = *state;

    execute(fixture, "PRAGMA max_page_count=4");
    assert_int_equal(database_execute(fixture->database,
                                      "INSERT INTO things VALUES(1, 'a', zeroblob(65536))", NULL),
                     ERROR_NO_SPACE);
}

static void who_comes_second_is_told_that_it_is_busy(void **state)
{
    struct fixture *fixture = *state;
    struct database *second = NULL;

    assert_int_equal(database_connect(&first, fixture->path, "", &second, NULL), ERROR_NONE);
    execute(fixture, "BEGIN IMMEDIATE");
    assert_int_equal(database_execute(second, "BEGIN IMMEDIATE", NULL), ERROR_BUSY);
    execute(fixture, "COMMIT");
    database_close(second);
}

static void what_is_long_can_be_cancelled_but_not_the_rollback(void **state)
{
    static const char endless[] = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM n)"
                                  " SELECT count(*) FROM n";
    struct fixture *fixture = *state;
    atomic_bool cancelled = false;
    struct database_statement *rollback = NULL;
    int64_t count;

    assert_int_equal(database_prepare(fixture->database, "ROLLBACK", &rollback, NULL), ERROR_NONE);
    database_watch(fixture->database, &cancelled);
    execute(fixture, "BEGIN IMMEDIATE; INSERT INTO things(name) VALUES('a')");
    atomic_store(&cancelled, true);
    assert_int_equal(database_get_number(fixture->database, endless, &count, NULL),
                     ERROR_CANCELLED);
    database_roll_back(rollback);
    database_roll_back(rollback); /* nothing is open any more */
    assert_int_equal(number(fixture, "SELECT count(*) FROM things"), 0);
    assert_int_equal(database_get_number(fixture->database, endless, &count, NULL),
                     ERROR_CANCELLED);
    database_statement_free(rollback);
}

/* ---- statements ---- */

static void what_is_bound_comes_back(void **state)
{
    static const struct {
        const char *text;
        const void *bytes;
        size_t length;
    } rows[] = {
        {"a", "\0\1\2", 3},
        {"", "x", 1},
        {NULL, NULL, 0},
    };
    struct fixture *fixture = *state;
    struct database_statement *add = NULL;
    struct database_statement *find = NULL;

    assert_int_equal(
        database_prepare(fixture->database, "INSERT INTO things VALUES(?1, ?2, ?3)", &add, NULL),
        ERROR_NONE);
    assert_int_equal(database_prepare(fixture->database,
                                      "SELECT number, name, bytes FROM things WHERE number=?1",
                                      &find, NULL),
                     ERROR_NONE);
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        size_t length = 99;
        database_bind_number(add, 1, (int64_t)i + 1);
        database_bind_text(add, 2, rows[i].text);
        database_bind_bytes(add, 3, rows[i].bytes, rows[i].length);
        check_row(i, database_run(add, NULL) == ERROR_NONE);
        database_bind_number(find, 1, (int64_t)i + 1);
        check_row(i, database_next(find));
        check_row(i, database_is_number(find, 0) && !database_is_number(find, 1));
        check_row(i, database_number(find, 0) == (int64_t)i + 1);
        const char *text = database_text(find, 1);
        check_row(i, rows[i].text ? text && strcmp(text, rows[i].text) == 0 : !text);
        const void *bytes = database_bytes(find, 2, &length);
        check_row(i, length == rows[i].length);
        check_row(i, length == 0 || memcmp(bytes, rows[i].bytes, length) == 0);
        check_row(i, !database_next(find));
        check_row(i, database_finish(find, NULL) == ERROR_NONE);
    }
    database_statement_free(add);
    database_statement_free(find);
}

static void a_statement_that_failed_works_again(void **state)
{
    struct fixture *fixture = *state;
    struct database_statement *add = NULL;
    struct error error = {0};

    assert_int_equal(
        database_prepare(fixture->database, "INSERT INTO things(number) VALUES(?1)", &add, NULL),
        ERROR_NONE);
    database_bind_number(add, 1, 1);
    assert_int_equal(database_run(add, NULL), ERROR_NONE);
    assert_int_equal(database_run(add, &error), ERROR_IO);
    assert_string_equal(error.text, "store: UNIQUE constraint failed: things.number");
    database_bind_number(add, 1, 2);
    assert_int_equal(database_run(add, NULL), ERROR_NONE);
    database_statement_free(add);
    assert_int_equal(number(fixture, "SELECT count(*) FROM things"), 2);
    assert_int_equal(number(fixture, "SELECT number FROM things WHERE number=3"), 0);
}

static void a_part_of_a_value_is_read_or_not_there(void **state)
{
    static const struct {
        int64_t row;
        size_t first, length;
        enum error_code code;
    } rows[] = {
        {1, 0, 6, ERROR_NONE},      {1, 2, 3, ERROR_NONE},      {1, 6, 0, ERROR_NONE},
        {1, 0, 7, ERROR_NOT_FOUND}, {1, 7, 0, ERROR_NOT_FOUND}, {2, 0, 1, ERROR_NOT_FOUND},
    };
    struct fixture *fixture = *state;

    execute(fixture, "INSERT INTO things VALUES(1, 'a', CAST('abcdef' AS BLOB))");
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char out[8] = "";
        struct database_part part = {"things", "bytes", rows[i].row, rows[i].first, rows[i].length};
        check_row(i, database_read_part(fixture->database, &part, out, NULL) == rows[i].code);
        check_row(i, rows[i].code || strncmp(out, &"abcdef"[rows[i].first], rows[i].length) == 0);
    }
}

/* ---- pages that connections share ---- */

static struct database *connect_with(const struct fixture *fixture, const char *pragmas)
{
    struct database *made = NULL;

    assert_int_equal(database_connect(&sharing, fixture->path, pragmas, &made, NULL), ERROR_NONE);
    return made;
}

static int64_t number_of(struct database *database, const char *sql)
{
    int64_t got = -1;

    assert_int_equal(database_get_number(database, sql, &got, NULL), ERROR_NONE);
    return got;
}

/* Things of some 250 bytes, from 1 on: 16 of them are a page. */
static void add_things(struct fixture *fixture, int count)
{
    auto_free char *sql =
        memory_format("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT %d)"
                      " INSERT INTO things(name, bytes) SELECT 0, zeroblob(230) FROM n;"
                      "PRAGMA wal_checkpoint;",
                      count);

    execute(fixture, sql);
}

/* System calls that read, of this process; -1: it does not say. */
static long read_count(void)
{
    FILE *io = fopen("/proc/self/io", "re");
    char line[128];
    long count = -1;

    while (io && fgets(line, sizeof line, io))
        if (strncmp(line, "syscr: ", 7) == 0)
            count = strtol(line + 7, NULL, 10);
    if (io)
        fclose(io);
    return count;
}

static void what_one_has_read_the_others_need_not_read(void **state)
{
    static const char sum[] = "SELECT sum(length(name || bytes)) FROM things";
    static const char pragmas[] = "PRAGMA mmap_size=4194304; PRAGMA cache_size=1;";
    struct fixture *fixture = *state;

    open_as(fixture, &sharing);
    add_things(fixture, 4000);
    struct database *one = connect_with(fixture, pragmas);
    struct database *other = connect_with(fixture, pragmas);
    int64_t expected = number_of(one, sum);
    long before = read_count();
    assert_int_equal(number_of(other, sum), expected);
    assert_int_equal(number_of(one, sum), expected);
    assert_true(read_count() - before < 50); /* of 2 times 250 pages */
    database_close(one);
    database_close(other);
}

static void what_is_asked_for_again_finds_room(void **state)
{
    static const char some[] =
        "SELECT sum(length(bytes)) FROM things WHERE rowid BETWEEN 1 AND 400";
    struct fixture *fixture = *state;

    open_as(fixture, &sharing);
    add_things(fixture, 8000); /* 500 pages, of which 25 are asked for; room is for 128 */
    struct database *one = connect_with(fixture, "PRAGMA mmap_size=524288; PRAGMA cache_size=1;");
    number_of(one, "SELECT sum(length(bytes)) FROM things WHERE rowid>400");
    int64_t expected = number_of(one, some);
    long before = read_count();
    for (int i = 0; i < 10; i++)
        assert_int_equal(number_of(one, some), expected);
    assert_true(read_count() - before < 20); /* of 10 times 25 */
    database_close(one);
}

static void shared_pages_are_as_new_as_the_file(void **state)
{
    struct fixture *fixture = *state;

    open_as(fixture, &sharing);
    add_things(fixture, 500);
    struct database *many = connect_with(fixture, "PRAGMA mmap_size=4194304;");
    /* The room is what the first one said. */
    struct database *other = connect_with(fixture, "PRAGMA mmap_size=4096;");
    for (int i = 1; i <= 20; i++) {
        assert_int_equal(number_of(many, "SELECT count(*) FROM things WHERE name IS NOT NULL"),
                         500 * i);
        assert_int_equal(number_of(other, "SELECT sum(name) FROM things"), 1000 * i * (i - 1));
        execute(fixture, "UPDATE things SET name=name + 2;");
        assert_int_equal(number_of(many, "SELECT sum(name) FROM things"), 1000 * i * i);
        execute(fixture, "PRAGMA wal_checkpoint;");
        add_things(fixture, 500);
        execute(fixture, "UPDATE things SET name=(SELECT max(0 + name) FROM things);");
    }
    database_close(many);
    database_close(other);
}

static void each_file_has_its_own_pages(void **state)
{
    struct fixture *fixture = *state;
    char path[UNIT_PATH_BYTES];
    struct database *other = NULL;

    open_as(fixture, &sharing);
    add_things(fixture, 500);
    struct database *reader = connect_with(fixture, "PRAGMA mmap_size=1048576;");
    assert_int_equal(number_of(reader, "SELECT sum(name) FROM things"), 0);
    unit_path(fixture->folder, "other.db", path);
    assert_int_equal(database_open(&sharing, path, &other, NULL), ERROR_NONE);
    assert_int_equal(database_execute(other, "PRAGMA mmap_size=1048576;", NULL), ERROR_NONE);
    assert_int_equal(number_of(other, "SELECT count(*) FROM things"), 0);
    database_close(other);
    database_close(reader);
    /* Another one in its place, when the first one has gone. */
    database_close(fixture->database);
    fixture->database = NULL;
    assert_int_equal(rename(path, fixture->path), 0);
    open_as(fixture, &sharing);
    reader = connect_with(fixture, "PRAGMA mmap_size=1048576;");
    assert_int_equal(number_of(reader, "SELECT count(*) FROM things"), 0);
    database_close(reader);
}

struct onlooker {
    pthread_t thread;
    struct database *database;
    const atomic_bool *stop;
    long looks, differences;
};

/* All names are one, in whatever state. */
static void *look(void *context)
{
    struct onlooker *onlooker = context;

    while (!atomic_load(onlooker->stop) || onlooker->looks == 0) {
        int64_t names = number_of(onlooker->database, "SELECT count(DISTINCT name) FROM things");
        onlooker->differences += names != 1;
        onlooker->looks++;
    }
    return NULL;
}

static void readers_with_little_room_see_whole_states(void **state)
{
    struct fixture *fixture = *state;
    struct onlooker onlookers[3];
    atomic_bool stop = false;

    open_as(fixture, &sharing);
    add_things(fixture, 1600); /* a hundred pages, in room for 16 */
    for (size_t i = 0; i < ARRAY_LENGTH(onlookers); i++) {
        onlookers[i] = (struct onlooker){.stop = &stop};
        onlookers[i].database =
            connect_with(fixture, "PRAGMA mmap_size=65536; PRAGMA cache_size=10;");
        assert_int_equal(pthread_create(&onlookers[i].thread, NULL, look, &onlookers[i]), 0);
    }
    for (int i = 0; i < 100; i++)
        execute(fixture, "UPDATE things SET name=name + 1; PRAGMA wal_checkpoint;");
    atomic_store(&stop, true);
    for (size_t i = 0; i < ARRAY_LENGTH(onlookers); i++) {
        pthread_join(onlookers[i].thread, NULL);
        assert_int_equal(onlookers[i].differences, 0);
        database_close(onlookers[i].database);
    }
}

/* Folded back now and then, not at each commit, it still begins anew. */
static void the_log_begins_anew_when_its_reader_has_gone(void **state)
{
    static const char insert[] = "INSERT INTO things(bytes) VALUES(zeroblob(1000000));";
    struct fixture *fixture = *state;
    struct database *reader = NULL;
    atomic_int pages = 0;

    database_watch_log(fixture->database, &pages);
    assert_int_equal(database_connect(&first, fixture->path, "", &reader, NULL), ERROR_NONE);
    assert_int_equal(database_execute(reader, "BEGIN; SELECT * FROM things;", NULL), ERROR_NONE);
    for (int i = 0; i < 10; i++)
        execute(fixture, insert);
    int most = atomic_load(&pages);
    assert_true(most > 2400); /* each is some 245 */
    database_close(reader);
    int left = 12;
    for (; left > 0 && atomic_load(&pages) >= most; left--) {
        most = atomic_load(&pages);
        execute(fixture, insert);
    }
    assert_true(left > 0);
}

#define with_file(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_file(an_empty_file_gets_the_schema),
        with_file(without_a_path_it_is_in_memory),
        with_file(an_older_one_is_brought_up_to_date_step_by_step),
        with_file(a_step_that_fails_leaves_the_one_before),
        with_file(what_is_not_ours_is_refused_unchanged),
        with_file(damage_is_found_when_it_is_opened),
        with_file(a_large_one_is_opened_unchecked),
        with_file(what_is_only_read_is_as_of_the_last_commit),
        with_file(what_has_to_be_changed_is_not_only_read),
        with_file(no_permission_is_what_the_form_says),
        with_file(connecting_makes_no_file),
        with_file(a_full_file_has_no_space),
        with_file(who_comes_second_is_told_that_it_is_busy),
        with_file(what_is_long_can_be_cancelled_but_not_the_rollback),
        with_file(what_is_bound_comes_back),
        with_file(a_statement_that_failed_works_again),
        with_file(a_part_of_a_value_is_read_or_not_there),
        with_file(what_one_has_read_the_others_need_not_read),
        with_file(what_is_asked_for_again_finds_room),
        with_file(shared_pages_are_as_new_as_the_file),
        with_file(each_file_has_its_own_pages),
        with_file(readers_with_little_room_see_whole_states),
        with_file(the_log_begins_anew_when_its_reader_has_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
