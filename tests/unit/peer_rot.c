/* Files that rot: what a check finds and the catalogue then knows; the rules of who checks.
 *
 * A write would change the file's times. So the file is left as it is, and its row gets the hashes
 * of another content while the catalogue is closed: that looks the same. */
#include "manifest_of.h"

#include "common/clock.h"
#include "common/database.h"
#include "peer/catalogue/catalogue_check.h"
#include "peer/catalogue/store.h"
#include "peer/scrub/repairer.h"
#include "peer/scrub/scrub.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>

#define SOON_MS 30000
#define SIZE    (7 * PIECE_BYTES / 2) /* four pieces */

struct world {
    char folder[UNIT_PATH_BYTES];
    char state[UNIT_PATH_BYTES];
    char database[UNIT_PATH_BYTES];
    struct share *share;
    struct catalogue *catalogue;
    atomic_int told, damaged;
    uint8_t *data; /* as it should be */
    struct file_name name;
};

static void count_known(void *context)
{
    atomic_fetch_add(&((struct world *)context)->told, 1);
}

static void count_damaged(void *context)
{
    atomic_fetch_add(&((struct world *)context)->damaged, 1);
}

static void start(struct world *world)
{
    struct catalogue_options options = {.share = world->share,
                                        .path = world->database,
                                        .threads = 1,
                                        .known = count_known,
                                        .damaged = count_damaged,
                                        .context = world};

    assert_int_equal(catalogue_start(&options, &world->catalogue, NULL), ERROR_NONE);
}

static void stop(struct world *world)
{
    catalogue_free(world->catalogue);
    world->catalogue = NULL;
}

static struct catalogue_entry wait_known(struct world *world)
{
    int64_t end_ms = clock_boot_ms() + SOON_MS;
    struct catalogue_entry entry;
    struct error error;

    while (catalogue_look_up(world->catalogue, &world->name, &entry, &error)) {
        if (clock_boot_ms() > end_ms)
            fail_msg("%s", error.text);
        usleep(10000);
    }
    return entry;
}

static struct share_identity identity_of(const struct world *world)
{
    struct share_identity identity;

    assert_int_equal(share_identify(world->share, &world->name, &identity, NULL), ERROR_NONE);
    return identity;
}

static const char *path_of(const struct world *world)
{
    static char path[UNIT_PATH_BYTES];

    return unit_path(world->folder, world->name.text, path);
}

/* The file's bytes are those of `data`, but for a bit in each of these pieces. */
static void rot(struct world *world, const size_t *pieces, size_t count)
{
    struct store *store;
    int64_t number;
    bool aside;

    stop(world);
    for (size_t i = 0; i < count; i++)
        world->data[pieces[i] * PIECE_BYTES + 77] ^= 1;
    unit_file_write(path_of(world), world->data, SIZE);
    for (size_t i = 0; i < count; i++)
        world->data[pieces[i] * PIECE_BYTES + 77] ^= 1;
    struct manifest manifest = manifest_of(world->data, SIZE);
    struct share_identity identity = identity_of(world);
    struct store_file file = {.identity = &identity, .name = &world->name};
    assert_int_equal(store_open(world->database, &store, &aside, NULL), ERROR_NONE);
    assert_int_equal(store_add(store, &file, &manifest, &number, NULL), ERROR_NONE);
    store_close(store);
    manifest_done(&manifest);
    start(world);
    (void)wait_known(world);
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);

    assert_non_null(world);
    unit_folder_make(world->folder);
    unit_folder_make(world->state);
    unit_path(world->state, "catalogue.db", world->database);
    assert_int_equal(share_open(world->folder, &world->share, NULL), ERROR_NONE);
    assert_int_equal(file_name_parse("f", 1, &world->name, NULL), ERROR_NONE);
    world->data = malloc(SIZE);
    assert_non_null(world->data);
    for (size_t i = 0; i < SIZE; i++)
        world->data[i] = (uint8_t)(i * 2654435761U >> 13);
    start(world);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    stop(world);
    share_close(world->share);
    unit_folder_remove(world->folder);
    unit_folder_remove(world->state);
    free(world->data);
    free(world);
    return 0;
}

static bool go_on(void *context, size_t bytes)
{
    *(int64_t *)context += (int64_t)bytes;
    return true;
}

static bool break_off(void *context, size_t bytes)
{
    *(int64_t *)context += (int64_t)bytes;
    return false;
}

/* Writes to the file in the middle of its check. */
static bool change(void *context, size_t bytes)
{
    (void)bytes;
    unit_file_write(path_of(context), "changed", 7);
    return true;
}

static enum error_code check(struct world *world, struct piece_list *bad)
{
    int64_t bytes = 0;
    struct catalogue_check check = {.name = &world->name, .step = go_on, .context = &bytes};
    struct catalogue_verdict verdict;
    enum error_code code = catalogue_check(world->catalogue, &check, &verdict, NULL);

    *bad = verdict.bad;
    return code;
}

static void assert_bad(struct world *world, const uint32_t *pieces, size_t count)
{
    auto_pieces bad = {0};

    assert_int_equal(check(world, &bad), ERROR_NONE);
    assert_int_equal(bad.count, count);
    if (count > 0)
        assert_memory_equal(bad.items, pieces, count * sizeof *pieces);
}

static enum error_code part(struct world *world, int64_t offset, int64_t length)
{
    struct share_identity identity = identity_of(world);

    return catalogue_check_part(world->catalogue, &identity, offset, length, NULL);
}

static size_t listed(struct world *world)
{
    struct share_list list;

    assert_int_equal(share_list_files(world->share, &list, NULL), ERROR_NONE);
    catalogue_leave_out_withdrawn(world->catalogue, &list);
    size_t count = list.count;
    share_list_done(&list);
    return count;
}

static void a_good_file_is_good(void **state)
{
    struct world *world = *state;

    rot(world, NULL, 0);
    assert_bad(world, NULL, 0);
    assert_int_equal(part(world, 0, SIZE), ERROR_NONE);
    assert_int_equal(catalogue_count_damaged(world->catalogue), 0);
    assert_int_equal(atomic_load(&world->damaged), 0);
}

static void bad_pieces_are_found_and_refused(void **state)
{
    static const struct {
        int64_t offset, length;
        bool bad;
    } rows[] = {
        {0, SIZE, true},
        {0, PIECE_BYTES, false},
        {0, PIECE_BYTES + 1, true},
        {PIECE_BYTES, 1, true},
        {2 * PIECE_BYTES - 1, 1, true},
        {2 * PIECE_BYTES, PIECE_BYTES, false},
        {3 * PIECE_BYTES, 1, true},
        {SIZE - 1, 1, true},
        {SIZE, 0, false},
    };
    struct world *world = *state;

    rot(world, (const size_t[]){1, 3}, 2);
    assert_int_equal(part(world, 0, SIZE), ERROR_NONE); /* nobody knows yet */
    assert_bad(world, (const uint32_t[]){1, 3}, 2);
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
        check_row(i, part(world, rows[i].offset, rows[i].length) ==
                         (rows[i].bad ? ERROR_CORRUPT : ERROR_NONE));
    assert_int_equal(catalogue_count_damaged(world->catalogue), 1);
    assert_int_equal(atomic_load(&world->damaged), 1);
    assert_int_equal(listed(world), 1); /* not withdrawn by this alone */
}

static void damage_outlives_a_restart_and_a_rename(void **state)
{
    struct world *world = *state;
    char from[UNIT_PATH_BYTES];

    rot(world, (const size_t[]){2}, 1);
    assert_bad(world, (const uint32_t[]){2}, 1);
    stop(world);
    start(world);
    (void)wait_known(world);
    assert_int_equal(part(world, 0, SIZE), ERROR_CORRUPT);
    assert_int_equal(listed(world), 0);
    unit_path(world->folder, "f", from);
    assert_int_equal(file_name_parse("g", 1, &world->name, NULL), ERROR_NONE);
    assert_int_equal(rename(from, path_of(world)), 0);
    (void)wait_known(world);
    assert_int_equal(part(world, 0, SIZE), ERROR_CORRUPT);
    struct damage damage;
    assert_true(catalogue_next_damage(world->catalogue, 0, &damage));
    assert_string_equal(damage.name.text, "g");
    damage_done(&damage);
}

static void a_withdrawn_file_is_nobodys_until_it_is_good(void **state)
{
    struct world *world = *state;
    struct damage damage;

    rot(world, (const size_t[]){0}, 1);
    assert_bad(world, (const uint32_t[]){0}, 1);
    assert_true(catalogue_next_damage(world->catalogue, 0, &damage));
    assert_true(catalogue_withdraw(world->catalogue, &damage));
    assert_false(catalogue_withdraw(world->catalogue, &damage));
    assert_int_equal(listed(world), 0);
    /* Written by its owner: another file. */
    unit_file_write(path_of(world), world->data, SIZE);
    (void)wait_known(world);
    assert_int_equal(listed(world), 1);
    assert_int_equal(part(world, 0, SIZE), ERROR_NONE);
    damage_done(&damage);
    assert_false(catalogue_next_damage(world->catalogue, 0, &damage));
}

static void a_repair_is_learned_without_hashing(void **state)
{
    struct world *world = *state;
    struct damage damage;
    struct piece_list left;

    rot(world, (const size_t[]){1, 2}, 2);
    int64_t number = wait_known(world).number;
    assert_bad(world, (const uint32_t[]){1, 2}, 2);
    for (size_t round = 0; round < 2; round++) {
        assert_true(catalogue_next_damage(world->catalogue, 0, &damage));
        size_t piece = damage.bad.items[0];
        int file;
        assert_int_equal(
            share_open_repair(world->share, &world->name, &damage.identity, &file, NULL),
            ERROR_NONE);
        assert_int_equal(pwrite(file, world->data + piece * PIECE_BYTES, PIECE_BYTES,
                                (off_t)(piece * PIECE_BYTES)),
                         PIECE_BYTES);
        close(file);
        struct share_identity now = identity_of(world);
        left = piece_list_copy(&damage.bad);
        piece_list_remove(&left, piece);
        assert_int_equal(catalogue_note_repair(world->catalogue, &damage, &now, &left, NULL),
                         ERROR_NONE);
        /* The state of before is gone. */
        assert_int_equal(
            share_open_repair(world->share, &world->name, &damage.identity, &file, NULL),
            ERROR_CHANGED);
        assert_int_equal(catalogue_note_repair(world->catalogue, &damage, &now, &left, NULL),
                         ERROR_CHANGED);
        piece_list_done(&left);
        damage_done(&damage);
        assert_int_equal(part(world, 0, SIZE), round == 0 ? ERROR_CORRUPT : ERROR_NONE);
    }
    assert_bad(world, NULL, 0);
    assert_int_equal(wait_known(world).number, number);
    stop(world);
    start(world);
    assert_int_equal(wait_known(world).number, number);
    assert_int_equal(catalogue_count_damaged(world->catalogue), 0);
}

/* Its time of change alone is another one: by its mode, or since we were killed in a repair. */
static void damage_does_not_pass_for_new_content(void **state)
{
    struct world *world = *state;

    rot(world, (const size_t[]){1, 3}, 2);
    struct catalogue_entry entry = wait_known(world);
    assert_bad(world, (const uint32_t[]){1, 3}, 2);
    struct share_identity identity = identity_of(world);
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
                                {.tv_sec = identity.modified_ns / 1000000000,
                                 .tv_nsec = identity.modified_ns % 1000000000}};
    stop(world);
    int file = open(path_of(world), O_WRONLY);
    assert_true(file >= 0);
    assert_int_equal(pwrite(file, world->data + PIECE_BYTES, PIECE_BYTES, PIECE_BYTES),
                     PIECE_BYTES);
    assert_int_equal(futimens(file, times), 0);
    start(world);
    struct catalogue_entry now = wait_known(world);
    assert_true(content_id_equal(&now.id, &entry.id));
    assert_int_equal(now.number, entry.number);
    assert_int_equal(part(world, PIECE_BYTES, PIECE_BYTES), ERROR_NONE);
    assert_int_equal(part(world, 3 * PIECE_BYTES, 1), ERROR_CORRUPT);
    assert_bad(world, (const uint32_t[]){3}, 1);
    /* But bytes that were good are not changed by rot and a mode: somebody wrote them. */
    assert_int_equal(pwrite(file, "other", 5, 0), 5);
    assert_int_equal(futimens(file, times), 0);
    close(file);
    now = wait_known(world);
    assert_false(content_id_equal(&now.id, &entry.id));
    assert_int_equal(part(world, 0, SIZE), ERROR_NONE);
}

static void a_check_that_is_broken_off_says_nothing(void **state)
{
    struct world *world = *state;
    int64_t bytes = 0;
    struct catalogue_check wanted = {.name = &world->name, .step = break_off, .context = &bytes};
    struct catalogue_verdict verdict;

    rot(world, (const size_t[]){0}, 1);
    assert_int_equal(catalogue_check(world->catalogue, &wanted, &verdict, NULL), ERROR_CANCELLED);
    assert_int_equal(verdict.bad.count, 0);
    assert_true(bytes < (int64_t)PIECE_BYTES);
    wanted.step = change;
    wanted.context = world;
    assert_int_equal(catalogue_check(world->catalogue, &wanted, &verdict, NULL), ERROR_CHANGED);
    assert_int_equal(verdict.bad.count, 0);
    assert_int_equal(catalogue_count_damaged(world->catalogue), 0);
    struct piece_list bad;
    assert_int_equal(unlink(path_of(world)), 0);
    assert_int_equal(check(world, &bad), ERROR_NOT_FOUND);
}

static void the_oldest_is_due_first(void **state)
{
    struct world *world = *state;
    struct catalogue_oldest oldest;

    rot(world, NULL, 0);
    assert_true(catalogue_find_oldest(world->catalogue, &oldest));
    assert_string_equal(oldest.name.text, "f");
    assert_int_equal(oldest.shared_bytes, SIZE);
    catalogue_put_off(world->catalogue, &oldest.identity, 12345);
    assert_true(catalogue_find_oldest(world->catalogue, &oldest));
    assert_int_equal(oldest.checked_s, 12345);
    assert_bad(world, NULL, 0);
    assert_true(catalogue_find_oldest(world->catalogue, &oldest));
    assert_in_range(oldest.checked_s, clock_wall_ms() / 1000 - 10, clock_wall_ms() / 1000);
    /* Kept, that a restart begins nothing anew. */
    int64_t checked_s = oldest.checked_s;
    stop(world);
    start(world);
    (void)wait_known(world);
    assert_true(catalogue_find_oldest(world->catalogue, &oldest));
    assert_int_equal(oldest.checked_s, checked_s);
}

/* A database of before there were checks, with hashes that were made in another way: all is hashed
 * anew. */
static void a_database_of_version_1_is_brought_up_to_date(void **state)
{
    static const struct database_form old = {
        .name = "catalogue",
        .owner = "catalogue",
        .application_id = 0x50325043,
        .version = 1,
        .schema = "CREATE TABLE files(number INTEGER PRIMARY KEY AUTOINCREMENT,"
                  " inode INTEGER NOT NULL, device INTEGER NOT NULL, size INTEGER NOT NULL,"
                  " modified_ns INTEGER NOT NULL, changed_ns INTEGER NOT NULL, name TEXT NOT NULL,"
                  " seen_s INTEGER NOT NULL, content BLOB NOT NULL, hashes BLOB NOT NULL);"
                  "CREATE UNIQUE INDEX files_by_inode ON files(inode, device);",
        .pragmas = "PRAGMA journal_mode=WAL;",
        .denied = ERROR_DENIED,
    };
    struct world *world = *state;
    struct catalogue_oldest oldest;
    struct database *database;
    char sql[512];

    stop(world);
    unit_path(world->state, "old.db", world->database);
    unit_file_write(path_of(world), "", 0);
    struct share_identity identity = identity_of(world);
    struct manifest manifest = manifest_of(world->data, 0);
    snprintf(sql, sizeof sql,
             "INSERT INTO files VALUES(7, %llu, %llu, 0, %lld, %lld, 'f', %lld, zeroblob(32), X'')",
             (unsigned long long)identity.inode, (unsigned long long)identity.device,
             (long long)identity.modified_ns, (long long)identity.changed_ns,
             (long long)(clock_wall_ms() / 1000));
    assert_int_equal(database_open(&old, world->database, &database, NULL), ERROR_NONE);
    assert_int_equal(database_execute(database, sql, NULL), ERROR_NONE);
    database_close(database);
    start(world);
    struct catalogue_entry entry = wait_known(world);
    assert_int_not_equal(entry.number, 7);
    assert_true(content_id_equal(&entry.id, &manifest.id));
    manifest_done(&manifest);
    assert_true(catalogue_find_oldest(world->catalogue, &oldest));
    assert_true(oldest.checked_s > 0);
    assert_bad(world, NULL, 0);
    assert_true(catalogue_find_oldest(world->catalogue, &oldest));
    assert_true(oldest.checked_s > 0);
}

/* What a damaged database holds may be anything. */
static void lists_of_pieces(void **state)
{
    struct piece_list list = {0};

    (void)state;
    for (size_t i = 0; i < 100; i += 3)
        piece_list_add(&list, i);
    struct piece_list copy = piece_list_copy(&list);
    assert_int_equal(copy.count, 34);
    assert_true(piece_list_fits(&copy, 100 * PIECE_BYTES));
    assert_false(piece_list_fits(&copy, 99 * PIECE_BYTES));
    piece_list_remove(&copy, 99);
    piece_list_remove(&copy, 1);
    assert_true(piece_list_fits(&copy, 99 * PIECE_BYTES));
    copy.items[0] = 5;
    assert_false(piece_list_fits(&copy, 100 * PIECE_BYTES));
    piece_list_done(&copy);
    piece_list_done(&list);
}

static void rates_and_times_of_the_slow_check(void **state)
{
    static const struct {
        int64_t bytes, days, rate;
    } rates[] = {
        {0, 30, SCRUB_MIN_BYTES_PER_SECOND},
        {(int64_t)1 << 40, 30, SCRUB_MIN_BYTES_PER_SECOND},
        {(int64_t)10 << 40, 30, ((int64_t)10 << 40) / (30 * SCRUB_DAY_S) * 2},
        {(int64_t)1 << 60, 30, SCRUB_MAX_BYTES_PER_SECOND},
    };
    static const struct {
        int64_t checked_s, now_s, due_in_s;
    } times[] = {
        {0, 1000000000, 0},
        {1000000000, 1000000000, 30 * SCRUB_DAY_S},
        {1000000000, 1000000000 + 30 * SCRUB_DAY_S - 1, 1},
        {1000000000, 1000000000 + 30 * SCRUB_DAY_S, 0},
        {1000000001, 1000000000, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rates); i++)
        check_row(i, scrub_rate(rates[i].bytes, rates[i].days) == rates[i].rate);
    for (size_t i = 0; i < ARRAY_LENGTH(times); i++)
        check_row(i, scrub_due_in_s(times[i].checked_s, times[i].now_s, 30) == times[i].due_in_s);
}

static void repairs_are_tried_ever_less_often(void **state)
{
    int64_t most_ms = REPAIRER_FIRST_MS;

    (void)state;
    for (unsigned failures = 1; failures < 100; failures++) {
        check_row(failures, repairer_delay_ms(failures, 0) == most_ms);
        check_row(failures, repairer_delay_ms(failures, UINT32_MAX) > most_ms / 2);
        most_ms = 2 * most_ms < REPAIRER_MOST_MS ? 2 * most_ms : REPAIRER_MOST_MS;
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_good_file_is_good),
        TEST(bad_pieces_are_found_and_refused),
        TEST(damage_outlives_a_restart_and_a_rename),
        TEST(a_withdrawn_file_is_nobodys_until_it_is_good),
        TEST(a_repair_is_learned_without_hashing),
        TEST(damage_does_not_pass_for_new_content),
        TEST(a_check_that_is_broken_off_says_nothing),
        TEST(the_oldest_is_due_first),
        TEST(a_database_of_version_1_is_brought_up_to_date),
        cmocka_unit_test(lists_of_pieces),
        cmocka_unit_test(rates_and_times_of_the_slow_check),
        cmocka_unit_test(repairs_are_tried_ever_less_often),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
