#include "unit.h"

#include "common/file_io.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

static int make_folder(void **state)
{
    char *folder = malloc(UNIT_PATH_BYTES);

    assert_non_null(folder);
    unit_folder_make(folder);
    *state = folder;
    return 0;
}

static int remove_folder(void **state)
{
    unit_folder_remove(*state);
    free(*state);
    return 0;
}

static void reads_whole_files(void **state)
{
    char path[UNIT_PATH_BYTES];
    char *text = NULL;
    size_t length = 0;

    unit_path(*state, "file", path);
    unit_file_write(path, "a\0b", 3);
    assert_int_equal(file_read(path, 3, &text, &length, NULL), ERROR_NONE);
    assert_int_equal(length, 3);
    assert_memory_equal(text, "a\0b", 4);
    free(text);
    unit_file_write(path, "", 0);
    assert_int_equal(file_read(path, 3, &text, &length, NULL), ERROR_NONE);
    assert_int_equal(length, 0);
    assert_string_equal(text, "");
    free(text);
}

static void refuses_what_is_no_file(void **state)
{
    char path[UNIT_PATH_BYTES];
    char *text = NULL;
    size_t length = 0;
    struct error error = {0};

    unit_path(*state, "file", path);
    assert_int_equal(file_read(path, 100, &text, &length, &error), ERROR_NOT_FOUND);
    assert_non_null(strstr(error.text, path));
    assert_non_null(strstr(error.text, "No such file"));
    unit_file_write(path, "1234", 4);
    assert_int_equal(file_read(path, 3, &text, &length, &error), ERROR_TOO_LARGE);
    assert_non_null(strstr(error.text, path));
    assert_int_equal(file_read(*state, 100, &text, &length, &error), ERROR_INVALID);
    unit_path(*state, "fifo", path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(file_read(path, 100, &text, &length, &error), ERROR_INVALID);
    assert_null(text);
}

static size_t count_entries(const char *folder)
{
    size_t count = 0;
    DIR *entries = opendir(folder);

    assert_non_null(entries);
    while (readdir(entries))
        count++;
    closedir(entries);
    return count - 2;
}

static void replaces_in_one_step(void **state)
{
    char path[UNIT_PATH_BYTES];
    char *text = NULL;
    size_t length;
    struct stat before, after;

    unit_path(*state, "users", path);
    assert_int_equal(file_replace(path, "one", 3, 0600, NULL), ERROR_NONE);
    assert_int_equal(stat(path, &before), 0);
    assert_int_equal(before.st_mode & 07777, 0600);
    assert_int_equal(file_replace(path, "second", 6, 0640, NULL), ERROR_NONE);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(after.st_mode & 07777, 0640);
    assert_true(before.st_ino != after.st_ino); /* another file: readers of the old one keep it */
    assert_int_equal(file_read(path, 100, &text, &length, NULL), ERROR_NONE);
    assert_string_equal(text, "second");
    free(text);
    assert_int_equal(file_replace_cache(path, "third", 5, 0600, NULL), ERROR_NONE);
    assert_int_equal(file_read(path, 100, &text, &length, NULL), ERROR_NONE);
    assert_string_equal(text, "third");
    free(text);
    assert_int_equal(count_entries(*state), 1);
}

static void failed_replace_leaves_all_as_it_was(void **state)
{
    char path[UNIT_PATH_BYTES];
    char inside[UNIT_PATH_BYTES];
    struct error error = {0};

    unit_path(*state, "missing/users", path);
    assert_int_equal(file_replace(path, "x", 1, 0600, &error), ERROR_NOT_FOUND);
    /* A folder that is not empty stands in the way of the rename. */
    unit_path(*state, "folder", path);
    assert_int_equal(mkdir(path, 0700), 0);
    unit_path(path, "inside", inside);
    unit_file_write(inside, "x", 1);
    assert_true(file_replace(path, "x", 1, 0600, &error) != ERROR_NONE);
    assert_non_null(strstr(error.text, path));
    assert_int_equal(count_entries(*state), 1);
}

static void makes_folders(void **state)
{
    char path[UNIT_PATH_BYTES];
    struct stat status;
    struct error error = {0};

    unit_path(*state, "a/b//c/", path);
    assert_int_equal(file_make_folder(path, 0700, NULL), ERROR_NONE);
    assert_int_equal(stat(path, &status), 0);
    assert_true(S_ISDIR(status.st_mode));
    assert_int_equal(file_make_folder(path, 0700, NULL), ERROR_NONE);
    assert_int_equal(file_make_folder("/", 0700, NULL), ERROR_NONE);
    unit_path(*state, "file", path);
    unit_file_write(path, "x", 1);
    assert_int_equal(file_make_folder(path, 0700, &error), ERROR_INVALID);
    assert_non_null(strstr(error.text, "not a folder"));
    unit_path(*state, "file/below", path);
    assert_true(file_make_folder(path, 0700, &error) != ERROR_NONE);
    assert_true(file_make_folder("", 0700, &error) != ERROR_NONE);
}

#define with_folder(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_folder(reads_whole_files),    with_folder(refuses_what_is_no_file),
        with_folder(replaces_in_one_step), with_folder(failed_replace_leaves_all_as_it_was),
        with_folder(makes_folders),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
