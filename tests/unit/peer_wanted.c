/* What is wanted and has not begun: what is read back after whatever was left of the file. */
#include "unit.h"

#include "common/file_io.h"
#include "common/memory.h"
#include "peer/downloads/wanted.h"

#include <inttypes.h>
#include <sys/stat.h>

static struct wanted *open_in(const char *folder, bool aside_expected)
{
    struct wanted *wanted = NULL;
    bool aside;

    assert_int_equal(wanted_open(folder, &wanted, &aside, NULL), ERROR_NONE);
    assert_int_equal(aside, aside_expected);
    return wanted;
}

static void put(struct wanted *wanted, uint64_t id, const char *name)
{
    struct journal_job job = {.peer = memory_copy_string("Peer 2"), .address_count = 1};

    job.addresses = memory_new(1, sizeof *job.addresses);
    assert_int_equal(address_parse("[::1]:8002", false, &job.addresses[0], NULL), ERROR_NONE);
    snprintf(job.name.text, sizeof job.name.text, "%s", name);
    job.paused = id % 2;
    job.priority = DOWNLOAD_HIGH;
    assert_int_equal(wanted_put(wanted, id, &job, id == 1, NULL), ERROR_NONE);
    journal_job_done(&job);
}

/* The ids that are there, as text. */
static const char *ids_of(struct wanted *wanted, char *text, size_t capacity)
{
    struct journal_job job;
    size_t length = 0;

    text[0] = '\0';
    for (uint64_t id = 0; wanted_next(wanted, &id, &job); journal_job_done(&job))
        length += (size_t)snprintf(text + length, capacity - length, "%" PRIu64 " ", id);
    return text;
}

static int64_t size_of(const char *folder)
{
    char path[UNIT_PATH_BYTES];
    struct stat status;

    assert_int_equal(stat(unit_path(folder, WANTED_FILE, path), &status), 0);
    return status.st_size;
}

static void what_is_put_is_read(void **state)
{
    char folder[UNIT_PATH_BYTES];
    struct journal_job job;
    char text[200];
    uint64_t id = 6;

    (void)state;
    unit_folder_make(folder);
    struct wanted *wanted = open_in(folder, false);
    put(wanted, 7, "ñandú \"1\".bin");
    put(wanted, 12, "b");
    put(wanted, 9, "c");
    put(wanted, 12, "other");
    wanted_drop(wanted, 9);
    wanted_drop(wanted, 9);
    wanted_drop(wanted, 1);
    wanted_close(wanted);

    wanted = open_in(folder, false);
    assert_string_equal(ids_of(wanted, text, sizeof text), "7 12 ");
    assert_true(wanted_next(wanted, &id, &job));
    assert_string_equal(job.name.text, "ñandú \"1\".bin");
    assert_string_equal(job.peer, "Peer 2");
    assert_int_equal(job.address_count, 1);
    assert_string_equal(job.addresses[0].host, "::1");
    assert_true(job.paused);
    assert_int_equal(job.priority, DOWNLOAD_HIGH);
    assert_false(job.has_content);
    journal_job_done(&job);
    assert_true(wanted_next(wanted, &id, &job));
    assert_string_equal(job.name.text, "other");
    assert_false(job.paused);
    journal_job_done(&job);
    wanted_drop(wanted, 7);
    wanted_drop(wanted, 12);
    assert_int_equal(size_of(folder), 0);
    wanted_close(wanted);
    unit_folder_remove(folder);
}

/* By one write each; nothing of what is dropped comes back. */
static void several_at_once(void **state)
{
    char folder[UNIT_PATH_BYTES];
    char text[200];
    struct journal_job job = {.peer = memory_copy_string(""), .priority = DOWNLOAD_NORMAL};
    struct wanted_item items[10];

    (void)state;
    unit_folder_make(folder);
    snprintf(job.name.text, sizeof job.name.text, "a");
    for (size_t i = 0; i < ARRAY_LENGTH(items); i++)
        items[i] = (struct wanted_item){.id = i + 1, .job = &job};
    struct wanted *wanted = open_in(folder, false);
    assert_int_equal(wanted_put_all(wanted, items, ARRAY_LENGTH(items), NULL), ERROR_NONE);
    assert_int_equal(wanted_put_all(wanted, items, 0, NULL), ERROR_NONE);
    wanted_drop_all(wanted, (uint64_t[]){2, 3, 3, 77, 10}, 5);
    wanted_drop_all(wanted, NULL, 0);
    assert_string_equal(ids_of(wanted, text, sizeof text), "1 4 5 6 7 8 9 ");
    wanted_close(wanted);
    wanted = open_in(folder, false);
    assert_string_equal(ids_of(wanted, text, sizeof text), "1 4 5 6 7 8 9 ");
    wanted_drop_all(wanted, (uint64_t[]){9, 8, 7, 6, 5, 4, 1}, 7);
    assert_int_equal(size_of(folder), 0);
    wanted_close(wanted);
    journal_job_done(&job);
    unit_folder_remove(folder);
}

/* One stays for ever while others come and go: the file does not grow with them. */
static void the_file_stays_short(void **state)
{
    char folder[UNIT_PATH_BYTES];
    char text[200];

    (void)state;
    unit_folder_make(folder);
    struct wanted *wanted = open_in(folder, false);
    put(wanted, 1, "stays");
    for (uint64_t id = 2; id < 5000; id++) {
        put(wanted, id, "comes and goes");
        wanted_drop(wanted, id);
    }
    assert_in_range(size_of(folder), 1, 300 << 10);
    put(wanted, 20000, "last");
    wanted_close(wanted);
    wanted = open_in(folder, false);
    assert_string_equal(ids_of(wanted, text, sizeof text), "1 20000 ");
    wanted_close(wanted);
    unit_folder_remove(folder);
}

/* Killed at any byte: all lines that were whole are there, and what comes after is, too. */
static void cut_anywhere(void **state)
{
    char folder[UNIT_PATH_BYTES];
    char path[UNIT_PATH_BYTES];
    char text[200];

    (void)state;
    unit_folder_make(folder);
    unit_path(folder, WANTED_FILE, path);
    struct wanted *wanted = open_in(folder, false);
    put(wanted, 1, "a");
    int64_t first = size_of(folder);
    put(wanted, 2, "b");
    wanted_close(wanted);
    for (int64_t length = size_of(folder) - 1; length >= 0; length--) {
        assert_int_equal(truncate(path, length), 0);
        wanted = open_in(folder, false);
        assert_string_equal(ids_of(wanted, text, sizeof text), length >= first ? "1 " : "");
        put(wanted, 3, "c");
        wanted_close(wanted);
        wanted = open_in(folder, false);
        assert_string_equal(ids_of(wanted, text, sizeof text), length >= first ? "1 3 " : "3 ");
        wanted_drop(wanted, 3);
        wanted_close(wanted);
        if (length > first)
            length = first + 1; /* what was cut is gone: the rest of it need not be */
    }
    unit_folder_remove(folder);
}

static void lines_that_are_none(void **state)
{
    static const char *const lines[] = {
        "",
        "nonsense",
        "[]",
        "{}",
        "{\"id\":0,\"over\":true}",
        "{\"id\":-1,\"over\":true}",
        "{\"id\":\"1\",\"over\":true}",
        "{\"id\":3}",
        "{\"id\":3,\"name\":\"../"
        "x\",\"peer\":\"\",\"addresses\":[],\"priority\":0,\"paused\":true}",
        "{\"id\":3,\"name\":\"x\",\"peer\":\"\",\"addresses\":[7],\"priority\":0,\"paused\":true}",
        "{\"id\":3,\"name\":\"x\",\"peer\":\"\",\"addresses\":{},\"priority\":0,\"paused\":true}",
        "{\"id\":3,\"name\":\"x\",\"peer\":\"\",\"addresses\":[],\"priority\":9,\"paused\":true}",
        "{\"id\":3,\"name\":\"x\",\"peer\":\"\",\"addresses\":[],\"priority\":0,\"paused\":1}",
    };
    char folder[UNIT_PATH_BYTES];
    char path[UNIT_PATH_BYTES];
    char bad[UNIT_PATH_BYTES];
    char text[200];

    (void)state;
    unit_folder_make(folder);
    unit_path(folder, WANTED_FILE, path);
    unit_path(folder, WANTED_FILE ".bad", bad);
    for (size_t i = 0; i < ARRAY_LENGTH(lines); i++) {
        struct wanted *wanted = open_in(folder, false);
        put(wanted, 2, "b");
        wanted_close(wanted);
        FILE *file = fopen(path, "a");
        assert_non_null(file);
        fprintf(file, "%s\n", lines[i]);
        assert_int_equal(fclose(file), 0);
        wanted = open_in(folder, true);
        assert_string_equal(ids_of(wanted, text, sizeof text), "2 ");
        assert_int_equal(unlink(bad), 0);
        wanted_drop(wanted, 2);
        wanted_close(wanted);
    }
    unit_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_put_is_read),  cmocka_unit_test(several_at_once),
        cmocka_unit_test(the_file_stays_short), cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(lines_that_are_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
