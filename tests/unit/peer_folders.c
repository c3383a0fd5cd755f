/* Folders in the shared folder: what is listed, opened and stored in them. */
#include "share_fixture.h"

#include "common/memory.h"
#include "peer/share/list/listing.h"
#include "peer/share/list/walk.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

static void check_list(const struct share_list *list, const char *const *names, size_t count)
{
    assert_int_equal(list->count, count);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(list->files[i].name, names[i]);
}

static void note_visit(void *context, const char *path)
{
    char *visited = context;

    strcat(visited, path);
    strcat(visited, ";");
}

static void lists_what_is_in_folders(void **state)
{
    static const char *const all[] = {"a.txt", "a/b/c.txt", "a/d.txt", "z"};
    static const char *const top[] = {"a.txt", "z"};
    struct fixture *fixture = *state;
    struct share_list list;
    struct listing *listing;
    char path[UNIT_PATH_BYTES];
    char visited[256] = "";
    const struct walk_visitor visitor = {.visit = note_visit, .context = visited};

    fixture_make_folder(fixture, "a");
    fixture_make_folder(fixture, "a/b");
    fixture_make_folder(fixture, "a/.hidden");
    fixture_make_folder(fixture, ".hidden");
    fixture_make_folder(fixture, "bad\nname");
    fixture_make_folder(fixture, "empty");
    fixture_put(fixture, "z", "zz");
    fixture_put(fixture, "a.txt", "1");
    fixture_put(fixture, "a/d.txt", "2");
    fixture_put(fixture, "a/b/c.txt", "333");
    fixture_put(fixture, "a/.x", "h");
    fixture_put(fixture, "a/.hidden/x", "h");
    fixture_put(fixture, ".hidden/x", "h");
    fixture_put(fixture, "bad\nname/x", "b");
    unit_file_write(unit_path(fixture->outside, "secret", path), "s", 1);
    assert_int_equal(symlink(fixture->outside, unit_path(fixture->folder, "out", path)), 0);
    assert_int_equal(symlink("../a", unit_path(fixture->folder, "a/loop", path)), 0);
    assert_int_equal(symlink("d.txt", unit_path(fixture->folder, "a/link", path)), 0);
    assert_int_equal(walk_share(fixture->share, &visitor, NULL, &listing, NULL), ERROR_NONE);
    assert_int_equal(listing_left_out(listing), 0);
    assert_int_equal(listing_bytes(listing), 7);
    listing_release(listing);
    assert_int_equal(share_list_files(fixture->share, &list, NULL), ERROR_NONE);
    check_list(&list, all, ARRAY_LENGTH(all));
    assert_int_equal(list.files[1].size_bytes, 3);
    assert_true(strstr(visited, "a;a/b;") && strstr(visited, "empty;"));
    assert_null(strstr(visited, "hidden"));
    assert_null(strstr(visited, "out"));
    share_list_leave_out_folders(&list);
    check_list(&list, top, ARRAY_LENGTH(top));
    share_list_done(&list);
}

static void leaves_out_what_lies_too_deep(void **state)
{
    struct fixture *fixture = *state;
    struct share_list list;
    int folder = open(fixture->folder, O_RDONLY | O_DIRECTORY);

    for (int depth = 1; depth <= 40; depth++) {
        int file = openat(folder, "file", O_CREAT | O_WRONLY, 0644);
        assert_true(file >= 0);
        close(file);
        assert_int_equal(mkdirat(folder, "d", 0755), 0);
        int next = openat(folder, "d", O_RDONLY | O_DIRECTORY);
        close(folder);
        folder = next;
    }
    close(folder);
    assert_int_equal(share_list_files(fixture->share, &list, NULL), ERROR_NONE);
    assert_int_equal(list.count, FILE_PATH_PARTS_MAX);
    assert_int_equal(listing_left_out(list.listing), 1);
    share_list_done(&list);
}

/* Paths of other lengths than a name may have. */
static void leaves_out_what_is_too_long(void **state)
{
    struct fixture *fixture = *state;
    struct share_list list;
    char part[FILE_NAME_MAX_BYTES + 1];
    int folder = open(fixture->folder, O_RDONLY | O_DIRECTORY);

    memset(part, 'p', FILE_NAME_MAX_BYTES);
    part[FILE_NAME_MAX_BYTES] = '\0';
    assert_int_equal(mkdirat(folder, part, 0755), 0);
    int in = openat(folder, part, O_RDONLY | O_DIRECTORY);
    close(openat(in, part, O_CREAT | O_WRONLY, 0644)); /* 511 bytes */
    part[250] = '\0';
    assert_int_equal(mkdirat(in, part, 0755), 0);
    int deep = openat(in, part, O_RDONLY | O_DIRECTORY);
    close(openat(deep, "four", O_CREAT | O_WRONLY, 0644)); /* 511 */
    close(openat(deep, "fives", O_CREAT | O_WRONLY, 0644));
    close(deep);
    close(in);
    close(folder);
    assert_int_equal(share_list_files(fixture->share, &list, NULL), ERROR_NONE);
    assert_int_equal(list.count, 2);
    assert_int_equal(strlen(list.files[0].name), FILE_PATH_MAX_BYTES);
    assert_int_equal(listing_left_out(list.listing), 1);
    share_list_done(&list);
}

/* Without descriptors it is an error: files would seem to be gone. */
static void does_not_shorten_a_list_for_want_of_descriptors(void **state)
{
    struct fixture *fixture = *state;
    struct share_list list;
    struct rlimit limit;

    fixture_make_folder(fixture, "a");
    fixture_make_folder(fixture, "a/b");
    fixture_make_folder(fixture, "a/b/c");
    fixture_put(fixture, "a/b/c/file", "f");
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    int next = dup(0);
    close(next);
    struct rlimit little = limit;
    bool listed = false;
    for (int more = 0; more <= 8; more++) {
        little.rlim_cur = (rlim_t)(next + more);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &little), 0);
        listed = share_list_files(fixture->share, &list, NULL) == ERROR_NONE;
        check_row(more, list.count == listed);
        share_list_done(&list);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_true(listed);
}

static void opens_beneath_the_folder_only(void **state)
{
    static const struct {
        const char *name;
        enum error_code code;
    } rows[] = {
        {"a/file", ERROR_NONE},           {"a", ERROR_NOT_FOUND},
        {"a/nothing", ERROR_NOT_FOUND},   {"b/file", ERROR_NOT_FOUND},
        {"a/file/file", ERROR_NOT_FOUND}, {"out/secret", ERROR_NOT_FOUND},
        {"inside/file", ERROR_NOT_FOUND}, {"a/link", ERROR_NOT_FOUND},
        {"a/.hidden", ERROR_NOT_FOUND},   {".a/file", ERROR_NOT_FOUND},
        {"a/fifo", ERROR_NOT_FOUND},      {"fifo/a", ERROR_NOT_FOUND},
    };
    struct fixture *fixture = *state;
    char path[UNIT_PATH_BYTES];

    fixture_make_folder(fixture, "a");
    fixture_make_folder(fixture, ".a");
    fixture_put(fixture, "a/file", "text");
    fixture_put(fixture, "a/.hidden", "h");
    fixture_put(fixture, ".a/file", "h");
    unit_file_write(unit_path(fixture->outside, "secret", path), "s", 1);
    assert_int_equal(symlink(fixture->outside, unit_path(fixture->folder, "out", path)), 0);
    assert_int_equal(symlink("a", unit_path(fixture->folder, "inside", path)), 0);
    assert_int_equal(symlink("file", unit_path(fixture->folder, "a/link", path)), 0);
    assert_int_equal(mkfifo(unit_path(fixture->folder, "a/fifo", path), 0644), 0);
    assert_int_equal(mkfifo(unit_path(fixture->folder, "fifo", path), 0644), 0);
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct file_name name = name_of(rows[i].name);
        struct share_identity identity;
        struct share_reader *reader = NULL;
        int file = -1;
        check_row(i, share_identify(fixture->share, &name, &identity, NULL) == rows[i].code);
        check_row(i, share_reader_open(fixture->share, &name, &reader, NULL) == rows[i].code);
        check_row(i,
                  share_open_file(fixture->share, &name, &file, &identity, NULL) == rows[i].code);
        if (rows[i].code)
            continue;
        share_reader_close(reader);
        close(file);
        check_row(i,
                  share_open_repair(fixture->share, &name, &identity, &file, NULL) == ERROR_NONE);
        close(file);
    }
}

/* The path is walked anew at the end: the folder may be another one. */
static void notices_a_folder_that_is_replaced(void **state)
{
    struct fixture *fixture = *state;
    struct file_name name = name_of("a/file");
    struct share_reader *reader;
    char from[UNIT_PATH_BYTES];
    char to[UNIT_PATH_BYTES];
    char data[16];
    size_t got;

    fixture_make_folder(fixture, "a");
    fixture_put(fixture, "a/file", "text");
    assert_int_equal(share_reader_open(fixture->share, &name, &reader, NULL), ERROR_NONE);
    assert_int_equal(share_reader_read(reader, data, 4, &got, NULL), ERROR_NONE);
    assert_int_equal(
        rename(unit_path(fixture->folder, "a", from), unit_path(fixture->folder, "b", to)), 0);
    fixture_make_folder(fixture, "a");
    fixture_put(fixture, "a/file", "text");
    assert_int_equal(share_reader_read(reader, data, 4, &got, NULL), ERROR_CHANGED);
    share_reader_close(reader);
}

static void stores_in_folders(void **state)
{
    struct fixture *fixture = *state;
    struct file_name name = name_of("new/deep er/a.txt");
    struct file_name stored;
    char path[UNIT_PATH_BYTES];
    struct stat status;

    assert_int_equal(
        share_incoming_commit(fixture_receive(fixture, "one"), &name, SHARE_NUMBER, &stored, NULL),
        ERROR_NONE);
    assert_string_equal(stored.text, "new/deep er/a.txt");
    fixture_check(fixture, "new/deep er/a.txt", "one");
    assert_int_equal(stat(unit_path(fixture->folder, "new/deep er", path), &status), 0);
    assert_int_equal(status.st_mode & 0777, 0755);
    assert_int_equal(
        share_incoming_commit(fixture_receive(fixture, "two"), &name, SHARE_NUMBER, &stored, NULL),
        ERROR_NONE);
    assert_string_equal(stored.text, "new/deep er/a (1).txt");
    fixture_check(fixture, "new/deep er/a.txt", "one");
    assert_int_equal(
        share_incoming_commit(fixture_receive(fixture, "one"), &name, SHARE_NUMBER, &stored, NULL),
        ERROR_NONE);
    assert_string_equal(stored.text, "new/deep er/a.txt");
    struct share_incoming *incoming = fixture_receive(fixture, "three");
    assert_int_equal(share_incoming_commit(incoming, &name, SHARE_REFUSE, &stored, NULL),
                     ERROR_EXISTS);
    share_incoming_abort(incoming);
}

static void stores_through_nothing_else(void **state)
{
    static const struct {
        const char *name;
        enum error_code code;
    } rows[] = {
        {"out/a", ERROR_DENIED},        {"inside/a", ERROR_DENIED}, {"file/a", ERROR_DENIED},
        {"folder/out/a", ERROR_DENIED}, {".new/a", ERROR_INVALID},  {"folder/.a", ERROR_INVALID},
        {"dangling/a", ERROR_DENIED},
    };
    struct fixture *fixture = *state;
    char path[UNIT_PATH_BYTES];
    struct stat status;

    fixture_make_folder(fixture, "folder");
    fixture_put(fixture, "file", "f");
    assert_int_equal(symlink(fixture->outside, unit_path(fixture->folder, "out", path)), 0);
    assert_int_equal(symlink(fixture->outside, unit_path(fixture->folder, "folder/out", path)), 0);
    assert_int_equal(symlink("folder", unit_path(fixture->folder, "inside", path)), 0);
    assert_int_equal(symlink("nowhere", unit_path(fixture->folder, "dangling", path)), 0);
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct share_incoming *incoming = fixture_receive(fixture, "x");
        struct file_name name = name_of(rows[i].name);
        struct file_name stored;
        struct error error = {0};
        check_row(i, share_incoming_commit(incoming, &name, SHARE_NUMBER, &stored, &error) ==
                         rows[i].code);
        check_row(i, strstr(error.text, rows[i].name));
        check_row(i, rows[i].code == ERROR_INVALID ||
                         share_check_place(fixture->share, &name, NULL) == rows[i].code);
        share_incoming_abort(incoming);
    }
    assert_int_equal(stat(unit_path(fixture->outside, "a", path), &status), -1);
    assert_int_equal(stat(unit_path(fixture->folder, ".new", path), &status), -1);
    assert_int_equal(rmdir(unit_path(fixture->folder, "folder/a", path)), -1);
}

/* What is only looked at is not made. */
static void checks_a_place(void **state)
{
    static const char *const names[] = {"a", "new/a", "folder/a", "folder/new/er/a"};
    struct fixture *fixture = *state;
    struct share_list list;
    char path[UNIT_PATH_BYTES];
    struct stat status;

    fixture_make_folder(fixture, "folder");
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        struct file_name name = name_of(names[i]);
        check_row(i, share_check_place(fixture->share, &name, NULL) == ERROR_NONE);
    }
    assert_int_equal(stat(unit_path(fixture->folder, "new", path), &status), -1);
    assert_int_equal(stat(unit_path(fixture->folder, "folder/new", path), &status), -1);
    assert_int_equal(share_list_files(fixture->share, &list, NULL), ERROR_NONE);
    share_list_done(&list);
}

/* Our own files may lie there, should somebody have configured it so. */
static void keeps_out_of_an_excluded_folder(void **state)
{
    static const char *const names[] = {"b/file", "state2/file"};
    struct fixture *fixture = *state;
    struct file_name name = name_of("b/state/file");
    struct share_identity identity;
    struct file_name stored;
    struct share_list list;
    char path[UNIT_PATH_BYTES];

    fixture_make_folder(fixture, "b");
    fixture_make_folder(fixture, "b/state");
    fixture_make_folder(fixture, "state2");
    fixture_put(fixture, "b/state/file", "s");
    fixture_put(fixture, "b/file", "f");
    fixture_put(fixture, "state2/file", "f");
    share_exclude(fixture->share, unit_path(fixture->folder, "b/state", path));
    assert_int_equal(share_list_files(fixture->share, &list, NULL), ERROR_NONE);
    check_list(&list, names, ARRAY_LENGTH(names));
    share_list_done(&list);
    assert_int_equal(share_identify(fixture->share, &name, &identity, NULL), ERROR_NOT_FOUND);
    struct share_incoming *incoming = fixture_receive(fixture, "x");
    assert_int_equal(share_incoming_commit(incoming, &name, SHARE_NUMBER, &stored, NULL),
                     ERROR_DENIED);
    share_incoming_abort(incoming);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(lists_what_is_in_folders),
        TEST(leaves_out_what_lies_too_deep),
        TEST(leaves_out_what_is_too_long),
        TEST(opens_beneath_the_folder_only),
        TEST(does_not_shorten_a_list_for_want_of_descriptors),
        TEST(notices_a_folder_that_is_replaced),
        TEST(stores_in_folders),
        TEST(stores_through_nothing_else),
        TEST(checks_a_place),
        TEST(keeps_out_of_an_excluded_folder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
