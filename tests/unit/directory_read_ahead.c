#include "unit.h"

#include "directory/read_ahead.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/mman.h>
#include <time.h>

enum {
    PEERS = 60000,
    PATIENCE_MS = 10000,
};

struct world {
    char folder[UNIT_PATH_BYTES], path[UNIT_PATH_BYTES];
    struct index *index;
};

static void open_index(struct world *world)
{
    struct error error;

    assert_int_equal(index_open(world->path, &world->index, &error), ERROR_NONE);
}

static void add_peers(const struct world *world)
{
    sqlite3 *database = NULL;
    char sql[256];

    snprintf(sql, sizeof sql,
             "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<%d)"
             " INSERT INTO peers(id, name, token, seen_ms, sequence)"
             " SELECT i, 'p'||i, hex(randomblob(40)), 0, i FROM n",
             PEERS);
    assert_int_equal(sqlite3_open(world->path, &database), SQLITE_OK);
    assert_int_equal(sqlite3_exec(database, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(database, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(database);
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);

    assert_non_null(world);
    unit_folder_make(world->folder);
    unit_path(world->folder, "index.db", world->path);
    open_index(world);
    index_close(world->index);
    add_peers(world);
    open_index(world);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    index_close(world->index);
    unit_folder_remove(world->folder);
    free(world);
    return 0;
}

/* How much of the file the system has in its page cache. */
static unsigned percent_there(const char *path)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    off_t bytes = lseek(file, 0, SEEK_END);
    size_t pages = ((size_t)bytes + 4095) / 4096;
    unsigned char *there = calloc(pages, 1);
    void *map = mmap(NULL, (size_t)bytes, PROT_READ, MAP_SHARED, file, 0);
    size_t count = 0;

    assert_true(bytes > 0 && there && map != MAP_FAILED);
    assert_int_equal(mincore(map, (size_t)bytes, there), 0);
    for (size_t i = 0; i < pages; i++)
        count += there[i] & 1;
    munmap(map, (size_t)bytes);
    free(there);
    close(file);
    return (unsigned)(count * 100 / pages);
}

static void throw_out(const char *path)
{
    int file = open(path, O_RDWR | O_CLOEXEC);

    assert_true(file >= 0);
    fsync(file);
    posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    close(file);
}

static void reads_the_peers(void **state)
{
    const struct timespec moment = {.tv_nsec = 10000000};
    const struct world *world = *state;

    throw_out(world->path);
    if (percent_there(world->path) > 10)
        skip(); /* a file system in memory */
    struct read_ahead *ahead = read_ahead_start(world->index, world->path, PEERS);
    assert_non_null(ahead);
    for (int i = 0; i < PATIENCE_MS / 10 && percent_there(world->path) < 50; i++)
        nanosleep(&moment, NULL);
    assert_true(percent_there(world->path) >= 50);
    read_ahead_stop(ahead);
}

static void may_be_stopped_at_once(void **state)
{
    const struct world *world = *state;

    read_ahead_stop(read_ahead_start(world->index, world->path, PEERS));
    read_ahead_stop(read_ahead_start(world->index, world->path, INT64_MAX / 2));
    read_ahead_stop(read_ahead_start(world->index, "/no/such/file", PEERS));
    assert_null(read_ahead_start(world->index, world->path, 4));
    read_ahead_stop(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_the_peers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(may_be_stopped_at_once, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
