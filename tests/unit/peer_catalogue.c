/* The catalogue on a folder of the test's own: what is hashed, when, and what is kept. */
#include "manifest_of.h"

#include "common/clock.h"
#include "peer/catalogue/catalogue.h"
#include "peer/catalogue/catalogue_check.h"
#include "peer/catalogue/catalogue_private.h"
#include "peer/share/list/watch.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define SOON_MS 30000 /* for what takes a second and a half at most on an idle machine */

struct world {
    char folder[UNIT_PATH_BYTES];
    char state[UNIT_PATH_BYTES];
    char database[UNIT_PATH_BYTES];
    struct share *share;
    struct catalogue *catalogue;
    atomic_int told;
};

static void count_telling(void *context)
{
    atomic_fetch_add((atomic_int *)context, 1);
}

static void start(struct world *world)
{
    struct catalogue_options options = {.share = world->share,
                                        .path = world->database,
                                        .threads = 2,
                                        .known = count_telling,
                                        .context = &world->told};

    assert_int_equal(catalogue_start(&options, &world->catalogue, NULL), ERROR_NONE);
}

static void restart(struct world *world)
{
    catalogue_free(world->catalogue);
    start(world);
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);

    assert_non_null(world);
    unit_folder_make(world->folder);
    unit_folder_make(world->state);
    unit_path(world->state, "catalogue.db", world->database);
    assert_int_equal(share_open(world->folder, &world->share, NULL), ERROR_NONE);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    catalogue_free(world->catalogue);
    share_close(world->share);
    unit_folder_remove(world->folder);
    unit_folder_remove(world->state);
    free(world);
    return 0;
}

static struct file_name name_of(const char *text)
{
    struct file_name name;

    assert_int_equal(file_name_parse_path(text, strlen(text), &name, NULL), ERROR_NONE);
    return name;
}

static const char *path_of(const struct world *world, const char *name)
{
    static char path[UNIT_PATH_BYTES];

    return unit_path(world->folder, name, path);
}

static uint8_t *make_bytes(size_t length, unsigned seed)
{
    uint8_t *bytes = malloc(length + 1);

    assert_non_null(bytes);
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)((i * 2654435761U + seed * 40503U) >> 13);
    return bytes;
}

/* Writes a file of that length and says which content it then has. */
static struct content_id put_file(const struct world *world, const char *name, size_t length,
                                  unsigned seed)
{
    uint8_t *bytes = make_bytes(length, seed);
    auto_manifest manifest = manifest_of(bytes, length);

    unit_file_write(path_of(world, name), bytes, length);
    struct content_id id = manifest.id;
    free(bytes);
    return id;
}

/* Waits until the file is known; looks by itself, as the watch would. */
static void wait_known(struct world *world, const char *name, struct catalogue_entry *entry)
{
    struct file_name checked = name_of(name);
    int64_t end_ms = clock_boot_ms() + SOON_MS;
    struct error error;

    while (catalogue_look_up(world->catalogue, &checked, entry, &error)) {
        if (clock_boot_ms() > end_ms)
            fail_msg("%s: %s", name, error.text);
        usleep(10000);
    }
}

static void assert_known(struct world *world, const char *name, const struct content_id *id)
{
    struct catalogue_entry entry;

    wait_known(world, name, &entry);
    assert_true(content_id_equal(&entry.id, id));
}

static int64_t number_of(struct world *world, const char *name)
{
    struct catalogue_entry entry;

    wait_known(world, name, &entry);
    return entry.number;
}

static void wait_told(struct world *world, int calls)
{
    int64_t end_ms = clock_boot_ms() + SOON_MS;

    while (atomic_load(&world->told) < calls) {
        assert_true(clock_boot_ms() < end_ms);
        usleep(10000);
    }
}

static void files_of_all_lengths_become_known(void **state)
{
    static const size_t lengths[] = {
        0, 1, 4096, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 7 * PIECE_BYTES / 2};
    struct content_id ids[ARRAY_LENGTH(lengths)];
    struct world *world = *state;

    for (size_t i = 0; i < ARRAY_LENGTH(lengths); i++) {
        char name[32];
        snprintf(name, sizeof name, "file%zu", i);
        ids[i] = put_file(world, name, lengths[i], (unsigned)i);
    }
    start(world);
    for (size_t i = 0; i < ARRAY_LENGTH(lengths); i++) {
        struct catalogue_entry entry;
        auto_manifest manifest;
        char name[32];
        snprintf(name, sizeof name, "file%zu", i);
        struct file_name checked = name_of(name);
        assert_known(world, name, &ids[i]);
        assert_int_equal(catalogue_look_up(world->catalogue, &checked, &entry, NULL), ERROR_NONE);
        check_row(i, entry.size_bytes == (int64_t)lengths[i]);
        assert_int_equal(manifest_init(&manifest, entry.size_bytes, NULL), ERROR_NONE);
        manifest.id = entry.id;
        assert_int_equal(catalogue_read_hashes(world->catalogue, &entry, 0, manifest.piece_count,
                                               manifest.hashes, NULL),
                         ERROR_NONE);
        check_row(i, manifest_check(&manifest, NULL) == ERROR_NONE);
    }
    wait_told(world, 1);
}

static void a_list_gets_what_is_known(void **state)
{
    struct world *world = *state;
    struct content_id id = put_file(world, "a", 100, 1);
    struct share_list list;

    start(world);
    assert_known(world, "a", &id);
    (void)put_file(world, "b", 100, 2);
    assert_int_equal(share_list_files(world->share, &list, NULL), ERROR_NONE);
    catalogue_fill_list(world->catalogue, &list);
    assert_true(list.files[0].has_content);
    assert_true(content_id_equal(&list.files[0].content, &id));
    assert_false(list.files[1].has_content); /* nobody has looked yet */
    share_list_done(&list);
}

/* The number of a row is never used again: the same number means that nothing was hashed anew. */
static void nothing_is_hashed_twice(void **state)
{
    struct world *world = *state;
    struct content_id id = put_file(world, "a", 3 * PIECE_BYTES, 1);

    start(world);
    int64_t number = number_of(world, "a");
    restart(world);
    assert_known(world, "a", &id);
    assert_int_equal(number_of(world, "a"), number);
}

static void a_rename_is_not_hashed(void **state)
{
    struct world *world = *state;
    struct content_id id = put_file(world, "a", 3 * PIECE_BYTES, 1);
    char to[UNIT_PATH_BYTES];

    start(world);
    int64_t number = number_of(world, "a");
    assert_int_equal(rename(path_of(world, "a"), unit_path(world->folder, "b", to)), 0);
    assert_known(world, "b", &id);
    assert_int_equal(number_of(world, "b"), number);
    restart(world);
    assert_int_equal(number_of(world, "b"), number);
}

/* Under which name the next check would look for the only file. */
static bool is_checked_as(struct world *world, const char *name)
{
    struct catalogue_oldest oldest;

    return catalogue_find_oldest(world->catalogue, &oldest) && strcmp(oldest.name.text, name) == 0;
}

/* Nothing of the file itself changes with its folder's name. */
static void a_file_in_a_folder_that_is_renamed_is_not_hashed(void **state)
{
    struct world *world = *state;
    char from[UNIT_PATH_BYTES];
    char to[UNIT_PATH_BYTES];

    assert_int_equal(mkdir(unit_path(world->folder, "f", from), 0755), 0);
    struct content_id id = put_file(world, "f/a", 3 * PIECE_BYTES, 1);
    start(world);
    int64_t number = number_of(world, "f/a");
    assert_true(is_checked_as(world, "f/a"));
    assert_int_equal(rename(from, unit_path(world->folder, "g", to)), 0);
    assert_known(world, "g/a", &id);
    assert_int_equal(number_of(world, "g/a"), number);
    catalogue_share_changed(world->catalogue);
    for (int i = 0; i < 2000 && !is_checked_as(world, "g/a"); i++)
        usleep(10000);
    assert_true(is_checked_as(world, "g/a"));
    assert_int_equal(rename(to, unit_path(world->folder, "h", from)), 0);
    restart(world);
    assert_int_equal(number_of(world, "h/a"), number);
    assert_true(is_checked_as(world, "h/a"));
}

static void a_changed_file_is_hashed_again(void **state)
{
    struct world *world = *state;
    struct timespec times[2] = {{.tv_sec = 1600000000}, {.tv_sec = 1600000000}};
    struct file_name name = name_of("a");
    struct catalogue_entry entry;
    struct content_id first = put_file(world, "a", 5000, 1);

    assert_int_equal(utimensat(AT_FDCWD, path_of(world, "a"), times, 0), 0);
    start(world);
    assert_known(world, "a", &first);
    int64_t number = number_of(world, "a");
    struct content_id second = put_file(world, "a", 5000, 2);
    /* The same size and time of modification: the time of change tells. */
    assert_int_equal(utimensat(AT_FDCWD, path_of(world, "a"), times, 0), 0);
    assert_int_equal(catalogue_look_up(world->catalogue, &name, &entry, NULL), ERROR_BUSY);
    assert_known(world, "a", &second);
    assert_true(number_of(world, "a") != number);
}

static void a_hard_link_is_the_same_file(void **state)
{
    struct world *world = *state;
    struct content_id id = put_file(world, "a", 5000, 1);
    char to[UNIT_PATH_BYTES];

    assert_int_equal(link(path_of(world, "a"), unit_path(world->folder, "b", to)), 0);
    start(world);
    assert_known(world, "a", &id);
    assert_known(world, "b", &id);
    assert_int_equal(number_of(world, "a"), number_of(world, "b"));
}

static void what_we_have_stored_is_learned(void **state)
{
    struct world *world = *state;
    uint8_t *bytes = make_bytes(2 * PIECE_BYTES, 9);
    auto_manifest manifest = manifest_of(bytes, 2 * PIECE_BYTES);
    struct file_name name = name_of("a");
    struct catalogue_entry entry;
    enum error_code code;

    start(world);
    (void)put_file(world, "a", 10, 1);
    assert_int_equal(catalogue_learn(world->catalogue, &name, &manifest, NULL), ERROR_CHANGED);
    (void)put_file(world, "a", 2 * PIECE_BYTES, 9);
    while ((code = catalogue_learn(world->catalogue, &name, &manifest, NULL)) == ERROR_BUSY)
        usleep(1000); /* the database is being opened */
    assert_int_equal(code, ERROR_NONE);
    assert_int_equal(catalogue_look_up(world->catalogue, &name, &entry, NULL), ERROR_NONE);
    assert_true(content_id_equal(&entry.id, &manifest.id));
    int64_t number = entry.number;
    restart(world);
    assert_int_equal(number_of(world, "a"), number);
    free(bytes);
}

/* By what they are, not by their names: in one go, or none of them. */
static void several_are_learned(void **state)
{
    struct world *world = *state;
    uint8_t *bytes = make_bytes(5000, 9);
    auto_manifest manifest = manifest_of(bytes, 5000);
    struct file_name names[] = {name_of("a"), name_of("b")};
    struct share_identity identities[2];
    struct catalogue_learned files[2];
    struct catalogue_entry entry;
    enum error_code code;

    start(world);
    for (size_t i = 0; i < 2; i++) {
        (void)put_file(world, names[i].text, 5000, 9);
        assert_int_equal(share_identify(world->share, &names[i], &identities[i], NULL), ERROR_NONE);
        files[i] = (struct catalogue_learned){
            .name = &names[i], .identity = &identities[i], .manifest = &manifest};
    }
    identities[1].size_bytes++;
    assert_int_equal(catalogue_learn_all(world->catalogue, files, 2, NULL), ERROR_CHANGED);
    assert_int_equal(catalogue_look_up(world->catalogue, &names[0], &entry, NULL), ERROR_BUSY);
    identities[1].size_bytes--;
    assert_int_equal(catalogue_learn_all(world->catalogue, files, 0, NULL), ERROR_NONE);
    while ((code = catalogue_learn_all(world->catalogue, files, 2, NULL)) == ERROR_BUSY)
        usleep(1000); /* the database is being opened */
    assert_int_equal(code, ERROR_NONE);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(catalogue_look_up(world->catalogue, &names[i], &entry, NULL), ERROR_NONE);
        assert_true(content_id_equal(&entry.id, &manifest.id));
    }
    free(bytes);
}

/* The list is kept, and nothing tells that the file in it has become another one: who asks for it
 * has it looked at, long before the next rescan. */
static void what_changes_untold_is_found_by_who_asks(void **state)
{
    struct world *world = *state;
    struct content_id id = put_file(world, "a", 3000, 1);
    struct content_id other = put_file(world, "b", 3000, 2);
    struct watch *watch;

    assert_int_equal(watch_start(world->share, count_telling, &world->told, &watch, NULL),
                     ERROR_NONE);
    start(world);
    assert_known(world, "a", &id);
    assert_known(world, "b", &other);
    int64_t begin_ms = clock_boot_ms();
    id = put_file(world, "c", 2000, 1);
    assert_int_equal(truncate(path_of(world, "a"), 2000), 0);
    assert_known(world, "a", &id);
    assert_known(world, "b", &other);
    assert_in_range(clock_boot_ms() - begin_ms, 0, WATCH_RESCAN_MS - 1000);
    catalogue_stop(world->catalogue);
    watch_stop(watch);
}

/* Hashing itself, without the waiting for quiet. */
static void what_changes_while_it_is_hashed_is_refused(void **state)
{
    struct world *world = *state;
    struct file_name name = name_of("a");
    struct share_identity identity;
    struct hashing_job *job, *taken;
    atomic_int done = 0;
    struct hashing *hashing = hashing_new(2, count_telling, &done);
    int descriptor;

    for (int round = 0; round < 3; round++) {
        (void)put_file(world, "a", 4 * PIECE_BYTES, 1);
        assert_int_equal(share_open_file(world->share, &name, &descriptor, &identity, NULL),
                         ERROR_NONE);
        assert_int_equal(hashing_job_new(&name, &identity, descriptor, &job, NULL), ERROR_NONE);
        if (round == 0)
            (void)put_file(world, "a", 4 * PIECE_BYTES, 2);
        if (round == 1)
            assert_int_equal(unlink(path_of(world, "a")), 0);
        assert_int_equal(hashing_add(hashing, job, NULL), ERROR_NONE);
        while (!(taken = hashing_take(hashing)))
            usleep(1000);
        assert_ptr_equal(taken, job);
        assert_int_equal(taken->failure, round < 2 ? ERROR_CHANGED : ERROR_NONE);
        hashing_job_free(taken);
    }
    assert_true(atomic_load(&done) == 3);
    hashing_rest(hashing);
    hashing_free(hashing);
}

static void a_file_that_grows_is_hashed_in_the_end(void **state)
{
    struct world *world = *state;
    struct content_id id = {.bytes = {0}};

    start(world);
    for (size_t length = 1000; length < 20000; length += 1000) {
        id = put_file(world, "a", length, 1);
        catalogue_share_changed(world->catalogue);
        usleep(20000);
    }
    assert_known(world, "a", &id);
}

static void bad_databases_are_set_aside(void **state)
{
    static const char foreign[] = "this is not a database, whatever its name says it should be";
    struct world *world = *state;
    struct content_id id = put_file(world, "a", 5000, 1);
    char aside[UNIT_PATH_BYTES + 8];
    struct stat status;

    snprintf(aside, sizeof aside, "%s.bad", world->database);
    unit_file_write(world->database, foreign, sizeof foreign);
    start(world);
    assert_known(world, "a", &id);
    assert_int_equal(stat(aside, &status), 0);
    assert_int_equal(status.st_size, sizeof foreign);
    catalogue_free(world->catalogue);
    /* Damage in the middle of a good one. */
    int file = open(world->database, O_WRONLY);
    assert_true(file >= 0);
    for (off_t at = 4096; at < 5 * 4096; at += 512)
        assert_int_equal(pwrite(file, foreign, 48, at), 48);
    close(file);
    start(world);
    assert_known(world, "a", &id);
    assert_int_equal(stat(aside, &status), 0);
    assert_true(status.st_size > (off_t)sizeof foreign);
    int64_t number = number_of(world, "a");
    restart(world);
    assert_int_equal(number_of(world, "a"), number);
}

/* Until then what is written stays in memory: the disk refuses the commit. */
static enum error_code keep_without_a_disk(struct store *store, int64_t number)
{
    struct rlimit before, none;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    none = (struct rlimit){.rlim_cur = 1, .rlim_max = before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    enum error_code code = store_keep(store, &number, 1, 1, NULL);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    return code;
}

static void a_commit_that_fails_is_told_and_ended(void **state)
{
    struct world *world = *state;
    struct manifest manifest;
    struct share_identity identities[2] = {{.inode = 1, .size_bytes = 5}, {.inode = 2}};
    struct file_name name = {.text = "a"};
    struct store_row row;
    struct store *store;
    int64_t number;
    bool aside;

    identities[1].size_bytes = 5;
    assert_int_equal(manifest_init(&manifest, 5, NULL), ERROR_NONE);
    manifest_seal(&manifest);
    assert_int_equal(store_open(world->database, &store, &aside, NULL), ERROR_NONE);
    for (int i = 0; i < 2; i++) {
        struct store_file file = {.identity = &identities[i], .name = &name};
        assert_int_equal(store_add(store, &file, &manifest, &number, NULL), ERROR_NONE);
        if (i == 0)
            assert_int_not_equal(keep_without_a_disk(store, number), ERROR_NONE);
    }
    assert_int_equal(store_keep(store, &number, 1, 1, NULL), ERROR_NONE);
    store_close(store);
    assert_int_equal(store_open(world->database, &store, &aside, NULL), ERROR_NONE);
    for (int i = 0; i < 2; i++)
        assert_int_equal(store_find(store, &identities[i], &row, NULL), ERROR_NONE);
    store_close(store);
    manifest_done(&manifest);
}

static void without_a_database_ids_live_in_memory(void **state)
{
    struct world *world = *state;
    struct content_id id = put_file(world, "a", 5000, 1);

    unit_path(world->state, "no/such/folder/catalogue.db", world->database);
    start(world);
    assert_known(world, "a", &id);
}

/* A process that hashes many files and is killed: what it had recorded is there, and is right. */
static void a_kill_loses_nothing(void **state)
{
    struct world *world = *state;
    struct content_id ids[40];
    char name[32];

    for (size_t i = 0; i < ARRAY_LENGTH(ids); i++) {
        snprintf(name, sizeof name, "file%zu", i);
        ids[i] = put_file(world, name, PIECE_BYTES + i, (unsigned)i);
    }
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        start(world);
        for (;;)
            pause();
    }
    usleep(600000);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    start(world);
    for (size_t i = 0; i < ARRAY_LENGTH(ids); i++) {
        snprintf(name, sizeof name, "file%zu", i);
        assert_known(world, name, &ids[i]);
    }
}

static void stopping_is_quick_in_a_huge_file(void **state)
{
    struct world *world = *state;
    char path[UNIT_PATH_BYTES];

    int file = open(unit_path(world->folder, "huge", path), O_CREAT | O_WRONLY, 0600);
    assert_true(file >= 0);
    assert_int_equal(ftruncate(file, (off_t)64 << 30), 0); /* a hole: reading it costs no disk */
    close(file);
    start(world);
    usleep(700000);
    struct content_id small = put_file(world, "small", 5000, 1);
    assert_known(world, "small", &small); /* goes before what is left of the huge one */
    int64_t begin_ms = clock_boot_ms();
    catalogue_free(world->catalogue);
    world->catalogue = NULL;
    assert_true(clock_boot_ms() - begin_ms < 10000); /* the rest of it takes longer */
}

/* The list is asked for one moment, and the next wait begins later: what became due in between has
 * not been offered to anybody and must end the wait at once. */
static void what_becomes_due_after_the_list_was_asked_is_not_forgotten(void **state)
{
    struct waiting items[] = {{.due_ms = 50, .taken = true}, {.due_ms = 90}, {.due_ms = 101}};
    struct catalogue catalogue = {.waiting = {.items = items, .count = ARRAY_LENGTH(items)}};

    (void)state;
    assert_int_equal(catalogue_waiting_due_ms(&catalogue, 89), 90);
    assert_int_equal(catalogue_waiting_due_ms(&catalogue, 100), 101);
    assert_true(catalogue_waiting_due_ms(&catalogue, 101) == INT64_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(files_of_all_lengths_become_known),
        TEST(a_list_gets_what_is_known),
        TEST(nothing_is_hashed_twice),
        TEST(a_rename_is_not_hashed),
        TEST(a_file_in_a_folder_that_is_renamed_is_not_hashed),
        TEST(a_changed_file_is_hashed_again),
        TEST(a_hard_link_is_the_same_file),
        TEST(what_we_have_stored_is_learned),
        TEST(several_are_learned),
        TEST(what_changes_while_it_is_hashed_is_refused),
        TEST(what_changes_untold_is_found_by_who_asks),
        TEST(a_file_that_grows_is_hashed_in_the_end),
        TEST(bad_databases_are_set_aside),
        TEST(a_commit_that_fails_is_told_and_ended),
        TEST(without_a_database_ids_live_in_memory),
        TEST(a_kill_loses_nothing),
        TEST(stopping_is_quick_in_a_huge_file),
        cmocka_unit_test(what_becomes_due_after_the_list_was_asked_is_not_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
