#include "unit.h"

#include "common/clock.h"
#include "peer/share/list/listing.h"
#include "peer/share/list/walk.h"
#include "peer/share/list/watch.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#define TOLD_WITHIN_MS 5000 /* a rescan would take three times as long: it was an event */
#define QUIET_MS       (WATCH_SETTLE_MS * 3)

struct fixture {
    char folder[UNIT_PATH_BYTES];
    struct share *share;
    struct watch *watch;
    pthread_mutex_t lock;
    pthread_cond_t told;
    int calls; /* guarded by lock */
};

static void count_call(void *context)
{
    struct fixture *fixture = context;

    pthread_mutex_lock(&fixture->lock);
    fixture->calls++;
    pthread_cond_signal(&fixture->told);
    pthread_mutex_unlock(&fixture->lock);
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    char path[UNIT_PATH_BYTES];
    pthread_condattr_t attributes;
    struct listing *first;

    assert_non_null(fixture);
    pthread_mutex_init(&fixture->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&fixture->told, &attributes);
    unit_folder_make(fixture->folder);
    unit_file_write(unit_path(fixture->folder, "old", path), "o", 1);
    assert_int_equal(share_open(fixture->folder, &fixture->share, NULL), ERROR_NONE);
    assert_int_equal(watch_start(fixture->share, count_call, fixture, &fixture->watch, NULL),
                     ERROR_NONE);
    assert_int_equal(share_listing(fixture->share, &first, NULL), ERROR_NONE);
    listing_release(first);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    watch_stop(fixture->watch);
    share_close(fixture->share);
    unit_folder_remove(fixture->folder);
    free(fixture);
    return 0;
}

/* Waits for the next call; returns how many there were since the last time, 0 after the time. */
static int wait_for_call(struct fixture *fixture, int64_t timeout_ms)
{
    struct timespec end;
    int calls;

    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += timeout_ms / 1000;
    end.tv_nsec += timeout_ms % 1000 * 1000000;
    if (end.tv_nsec >= 1000000000) {
        end.tv_sec++;
        end.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&fixture->lock);
    while (fixture->calls == 0 && pthread_cond_timedwait(&fixture->told, &fixture->lock, &end) == 0)
        ;
    calls = fixture->calls;
    fixture->calls = 0;
    pthread_mutex_unlock(&fixture->lock);
    return calls;
}

static void check_told(struct fixture *fixture)
{
    assert_int_equal(wait_for_call(fixture, TOLD_WITHIN_MS), 1);
}

static void check_quiet(struct fixture *fixture)
{
    assert_int_equal(wait_for_call(fixture, QUIET_MS), 0);
}

static void tells_of_each_kind_of_change(void **state)
{
    struct fixture *fixture = *state;
    char old[UNIT_PATH_BYTES];
    char new[UNIT_PATH_BYTES];
    char outside[UNIT_PATH_BYTES];

    unit_path(fixture->folder, "old", old);
    unit_path(fixture->folder, "new", new);
    check_quiet(fixture);
    unit_file_write(new, "n", 1);
    check_told(fixture);
    unit_file_write(new, "longer", 6);
    check_told(fixture);
    assert_int_equal(rename(new, old), 0);
    check_told(fixture);
    assert_int_equal(link(old, new), 0);
    check_told(fixture);
    assert_int_equal(unlink(old), 0);
    check_told(fixture);
    unit_folder_make(outside);
    strcat(outside, "/away");
    assert_int_equal(rename(new, outside), 0);
    check_told(fixture);
    assert_int_equal(rename(outside, new), 0);
    check_told(fixture);
    *strrchr(outside, '/') = '\0';
    unit_folder_remove(outside);
}

static void keeps_quiet_about_the_rest(void **state)
{
    struct fixture *fixture = *state;
    char path[UNIT_PATH_BYTES];
    struct share_incoming *incoming;
    int file;

    unit_file_write(unit_path(fixture->folder, ".hidden", path), "h", 1);
    assert_int_equal(mkdir(unit_path(fixture->folder, "folder", path), 0755), 0);
    assert_int_equal(symlink("old", unit_path(fixture->folder, "link", path)), 0);
    assert_int_equal(share_incoming_begin(fixture->share, &incoming, NULL), ERROR_NONE);
    share_incoming_abort(incoming);
    check_quiet(fixture);
    file = open(unit_path(fixture->folder, "growing", path), O_WRONLY | O_CREAT, 0644);
    assert_int_equal(write(file, "part", 4), 4);
    check_quiet(fixture); /* its writer is not through */
    close(file);
    check_told(fixture);
}

static void tells_of_a_received_file_once(void **state)
{
    struct fixture *fixture = *state;
    struct share_incoming *incoming;
    char data[] = "data";
    struct iovec span = {data, 4};
    struct file_name name = {"received"};
    struct file_name stored;

    assert_int_equal(share_incoming_begin(fixture->share, &incoming, NULL), ERROR_NONE);
    assert_int_equal(share_incoming_write(incoming, &span, 1, NULL), ERROR_NONE);
    check_quiet(fixture);
    assert_int_equal(share_incoming_commit(incoming, &name, SHARE_REFUSE, &stored, NULL),
                     ERROR_NONE);
    check_told(fixture);
    check_quiet(fixture);
}

/* However long the burst takes, which is seconds on a busy machine. */
static void gathers_bursts(void **state)
{
    struct fixture *fixture = *state;
    int64_t start_ms = clock_boot_ms();
    char name[16];
    char path[UNIT_PATH_BYTES];
    int calls = 0;
    int more;

    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "file%d", i);
        unit_file_write(unit_path(fixture->folder, name, path), "x", 1);
    }
    while ((more = wait_for_call(fixture, calls ? QUIET_MS * 3 : TOLD_WITHIN_MS)) > 0)
        calls += more;
    assert_in_range(calls, 1, (clock_boot_ms() - start_ms) / WATCH_SETTLE_MS);
}

static void follows_a_folder_that_is_replaced(void **state)
{
    struct fixture *fixture = *state;
    char away[UNIT_PATH_BYTES + 8];
    char path[UNIT_PATH_BYTES];

    snprintf(away, sizeof away, "%s.away", fixture->folder);
    assert_int_equal(rename(fixture->folder, away), 0);
    check_told(fixture); /* nothing is shared now */
    assert_int_equal(mkdir(fixture->folder, 0755), 0);
    unit_file_write(unit_path(fixture->folder, "fresh", path), "f", 1);
    assert_in_range(wait_for_call(fixture, TOLD_WITHIN_MS), 1, 2);
    wait_for_call(fixture, QUIET_MS);
    unit_file_write(unit_path(fixture->folder, "another", path), "a", 1);
    check_told(fixture);
    unit_folder_remove(away);
}

/* Each change by itself: a folder that is new, moved, moved in with what is in it, or removed. */
static void follows_folders(void **state)
{
    struct fixture *fixture = *state;
    char path[UNIT_PATH_BYTES];
    char to[UNIT_PATH_BYTES];
    char outside[UNIT_PATH_BYTES];

    unit_folder_make(outside);
    assert_int_equal(mkdir(unit_path(fixture->folder, "a", path), 0755), 0);
    check_quiet(fixture); /* there is nothing in it */
    unit_file_write(unit_path(fixture->folder, "a/new", path), "n", 1);
    check_told(fixture);
    assert_int_equal(mkdir(unit_path(fixture->folder, "a/b", path), 0755), 0);
    unit_file_write(unit_path(fixture->folder, "a/b/deep", path), "n", 1); /* perhaps unseen */
    check_told(fixture);
    unit_file_write(path, "longer", 6);
    check_told(fixture);
    assert_int_equal(
        rename(unit_path(fixture->folder, "a", path), unit_path(fixture->folder, "c", to)), 0);
    check_told(fixture);
    unit_file_write(unit_path(fixture->folder, "c/b/deep", path), "other", 5);
    check_told(fixture);
    assert_int_equal(link(path, unit_path(fixture->folder, "c/linked", to)), 0);
    check_told(fixture);
    strcat(outside, "/away");
    assert_int_equal(rename(unit_path(fixture->folder, "c", path), outside), 0);
    check_told(fixture);
    unit_file_write(unit_path(outside, "new", to), "not ours", 8);
    check_quiet(fixture);
    assert_int_equal(rename(outside, path), 0);
    check_told(fixture);
    unit_file_write(unit_path(fixture->folder, "c/b/deep", path), "n", 1);
    check_told(fixture);
    unit_path(fixture->folder, "c", path);
    unit_folder_remove(path);
    assert_true(wait_for_call(fixture, TOLD_WITHIN_MS) >= 1);
    *strrchr(outside, '/') = '\0';
    unit_folder_remove(outside);
}

static void keeps_quiet_about_hidden_folders(void **state)
{
    struct fixture *fixture = *state;
    char path[UNIT_PATH_BYTES];
    char to[UNIT_PATH_BYTES];

    assert_int_equal(mkdir(unit_path(fixture->folder, ".h", path), 0755), 0);
    unit_file_write(unit_path(fixture->folder, ".h/new", path), "n", 1);
    check_quiet(fixture);
    assert_int_equal(
        rename(unit_path(fixture->folder, ".h", path), unit_path(fixture->folder, "h", to)), 0);
    check_told(fixture);
}

/* ---- the list that is kept ---- */

static void check_kept(struct fixture *fixture, size_t step)
{
    struct listing *kept, *there;

    check_row(step, share_listing(fixture->share, &kept, NULL) == ERROR_NONE);
    check_row(step, walk_share(fixture->share, NULL, NULL, &there, NULL) == ERROR_NONE);
    check_row(step, listing_equal(kept, there));
    listing_release(kept);
    listing_release(there);
}

/* Who asks does not wait for the burst to end. */
static void has_at_once_what_has_happened(void **state)
{
    struct fixture *fixture = *state;
    char path[UNIT_PATH_BYTES];
    char to[UNIT_PATH_BYTES];
    struct listing *list;
    struct listed file;

    for (size_t i = 0; i < 100; i++) {
        unit_file_write(unit_path(fixture->folder, i % 2 ? "new" : "new2", path), "12345",
                        1 + i % 5);
        check_kept(fixture, i);
    }
    assert_int_equal(share_listing(fixture->share, &list, NULL), ERROR_NONE);
    assert_true(listing_find(list, "new", &file));
    assert_int_equal(listing_count(list), 3);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(
        rename(unit_path(fixture->folder, "new2", path), unit_path(fixture->folder, "z", to)), 0);
    assert_true(listing_find(list, "new2", &file)); /* the old list stays as it was */
    listing_release(list);
    assert_int_equal(share_listing(fixture->share, &list, NULL), ERROR_NONE);
    assert_false(listing_find(list, "new", &file));
    assert_false(listing_find(list, "new2", &file));
    assert_true(listing_find(list, "z", &file));
    listing_release(list);
}

/* What nothing tells of is looked at again when somebody says so. */
static void looks_again(void **state)
{
    struct fixture *fixture = *state;
    struct file_name name = {"old"};
    char path[UNIT_PATH_BYTES];

    assert_int_equal(truncate(unit_path(fixture->folder, "old", path), 100), 0);
    share_look_again(fixture->share, &name);
    check_kept(fixture, 0);
}

static uint32_t any_of(uint32_t *random, uint32_t below)
{
    *random = *random * 1664525 + 1013904223;
    return (*random >> 8) % below;
}

/* A file, or a folder that it may be in. */
static void any_path(const struct fixture *fixture, uint32_t *random, bool file,
                     char path[UNIT_PATH_BYTES])
{
    static const char *const folders[] = {"a", "a/b", "a/b/c", "b", "a-b", "c", "c/a", "c/.h"};
    static const char *const files[] = {"f", "g", "a", ".h", "f.x", "-"};
    char name[64];
    const char *folder = folders[any_of(random, ARRAY_LENGTH(folders))];

    if (!file)
        snprintf(name, sizeof name, "%s", folder);
    else if (any_of(random, 3) == 0)
        snprintf(name, sizeof name, "%s", files[any_of(random, ARRAY_LENGTH(files))]);
    else
        snprintf(name, sizeof name, "%s/%s", folder, files[any_of(random, ARRAY_LENGTH(files))]);
    unit_path(fixture->folder, name, path);
}

static void remove_tree(const char *path)
{
    struct stat status;

    if (lstat(path, &status) == 0 && S_ISDIR(status.st_mode))
        unit_folder_remove(path);
    else
        unlink(path);
}

static void write_some(const char *path, size_t length)
{
    int file = open(path, O_WRONLY | O_CREAT | O_NONBLOCK, 0644);

    if (file < 0)
        return;
    assert_int_equal(write(file, "12345678", length), length);
    close(file);
}

static bool is_hidden(const char *path)
{
    return strstr(path, "/.") != NULL;
}

/* Most of these fail now and then: there is no such file or folder, or there is one already. */
static void do_anything(const struct fixture *fixture, uint32_t *random, const char *outside)
{
    char path[UNIT_PATH_BYTES];
    char to[UNIT_PATH_BYTES];
    bool of_file = any_of(random, 2) == 0;
    int result = 0;

    any_path(fixture, random, of_file, path);
    any_path(fixture, random, of_file, to);
    switch (any_of(random, 10)) {
    case 0:
        remove_tree(path);
        break;
    case 1:
    case 2:
        result = rename(path, to);
        break;
    case 3:
        result = symlink(path, to);
        break;
    case 4:
        result = chmod(path, any_of(random, 2) ? 0755 : 0700);
        break;
    case 5:
        result = rename(path, outside);
        break;
    case 6:
        result = rename(outside, path);
        break;
    case 7:
        result = mkdir(path, 0755);
        any_path(fixture, random, true, path);
        /* fall through */
    default:
        write_some(path, any_of(random, 9));
    }
    (void)result;
}

static void keeps_the_list_that_is_there(void **state)
{
    struct fixture *fixture = *state;
    char outside[UNIT_PATH_BYTES];
    char path[UNIT_PATH_BYTES];
    uint32_t random = 12345;

    unit_folder_make(outside);
    unit_path(outside, "away", path);
    for (size_t step = 0; step < 3000; step++) {
        do_anything(fixture, &random, path);
        if (any_of(&random, 3) == 0)
            check_kept(fixture, step);
    }
    check_kept(fixture, 3000);
    unit_folder_remove(outside);
}

/* Of links that are hidden or outside, nothing tells; nor of one that is gone again unseen. */
static void keeps_the_list_with_files_of_several_names(void **state)
{
    struct fixture *fixture = *state;
    char path[UNIT_PATH_BYTES];
    char to[UNIT_PATH_BYTES];
    uint32_t random = 54321;

    for (size_t step = 0; step < 2000; step++) {
        uint32_t what = any_of(&random, 6);
        any_path(fixture, &random, what > 0, path);
        any_path(fixture, &random, what > 0, to);
        if (is_hidden(path) || is_hidden(to))
            continue;
        if (what == 0)
            (void)!mkdir(path, 0755);
        else if (what == 1)
            remove_tree(path);
        else if (what == 2)
            (void)!rename(path, to);
        else if (what == 3)
            write_some(path, any_of(&random, 9));
        if ((what > 3 && link(path, to) == 0) || any_of(&random, 3) == 0)
            check_kept(fixture, step);
    }
}

static void bears_more_events_than_there_is_room_for(void **state)
{
    struct fixture *fixture = *state;
    char path[UNIT_PATH_BYTES];
    char name[32];

    for (size_t i = 0; i < 20000; i++) { /* max_queued_events is 16384 */
        snprintf(name, sizeof name, "%zu", i % 3000);
        unit_path(fixture->folder, name, path);
        int file = open(path, O_WRONLY | O_CREAT, 0644);
        assert_true(file >= 0);
        close(file);
    }
    check_kept(fixture, 0);
    assert_int_equal(unlink(path), 0);
    check_kept(fixture, 1);
}

static size_t count_inotify(void)
{
    char path[64];
    char target[64];
    size_t count = 0;

    for (int descriptor = 0; descriptor < 256; descriptor++) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
        ssize_t length = readlink(path, target, sizeof target - 1);
        target[length > 0 ? length : 0] = '\0';
        count += strcmp(target, "anon_inode:inotify") == 0;
    }
    return count;
}

/* The system has no more inotify: who asks looks at all, and a change is told before long. */
static void does_without_events(void **state)
{
    struct fixture *fixture = *state;
    char path[UNIT_PATH_BYTES];
    struct rlimit limit;
    enum error_code code = ERROR_IO;

    watch_stop(fixture->watch);
    fixture->watch = NULL;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    int next = dup(0);
    close(next);
    for (int more = 0; code && more < 8; more++) {
        struct rlimit little = {.rlim_cur = (rlim_t)(next + more), .rlim_max = limit.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &little), 0);
        code = watch_start(fixture->share, count_call, fixture, &fixture->watch, NULL);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    }
    assert_int_equal(code, ERROR_NONE);
    assert_int_equal(count_inotify(), 0);
    check_kept(fixture, 0);
    wait_for_call(fixture, 2 * WATCH_POLL_MS); /* the first look may have lacked descriptors */
    for (size_t i = 1; i < 3; i++) {
        unit_file_write(unit_path(fixture->folder, "new", path), "12", i);
        check_kept(fixture, i);
        check_told(fixture);
    }
}

/* Who asks while nobody keeps the list any more, looks by himself. */
static void can_be_asked_for_the_list_when_stopped(void **state)
{
    struct fixture *fixture = *state;
    char path[UNIT_PATH_BYTES];

    watch_stop(fixture->watch);
    fixture->watch = NULL;
    unit_file_write(unit_path(fixture->folder, "new", path), "n", 1);
    check_kept(fixture, 0);
}

static void stops_at_once(void **state)
{
    struct fixture *fixture = *state;
    int64_t start = clock_boot_ms();

    watch_stop(fixture->watch);
    fixture->watch = NULL;
    assert_in_range(clock_boot_ms() - start, 0, 5000);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(tells_of_each_kind_of_change),
        TEST(keeps_quiet_about_the_rest),
        TEST(tells_of_a_received_file_once),
        TEST(gathers_bursts),
        TEST(follows_a_folder_that_is_replaced),
        TEST(follows_folders),
        TEST(keeps_quiet_about_hidden_folders),
        TEST(has_at_once_what_has_happened),
        TEST(looks_again),
        TEST(keeps_the_list_that_is_there),
        TEST(keeps_the_list_with_files_of_several_names),
        TEST(bears_more_events_than_there_is_room_for),
        TEST(does_without_events),
        TEST(can_be_asked_for_the_list_when_stopped),
        TEST(stops_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
