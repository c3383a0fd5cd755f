/* Where `get --output` puts files. */
#include "unit.h"

#include "peer/terminal/commands/output.h"

#include <dirent.h>
#include <sys/stat.h>

static size_t count_names(const char *folder)
{
    DIR *opened = opendir(folder);
    size_t count = 0;

    assert_non_null(opened);
    for (const struct dirent *entry = readdir(opened); entry; entry = readdir(opened))
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(opened);
    return count;
}

static void check_content(const char *path, const char *text)
{
    char bytes[64] = "";
    FILE *file = fopen(path, "re");

    assert_non_null(file);
    bytes[fread(bytes, 1, sizeof bytes - 1, file)] = '\0';
    fclose(file);
    assert_string_equal(bytes, text);
}

static void whole_or_nothing(void **state)
{
    char folder[UNIT_PATH_BYTES];
    char path[UNIT_PATH_BYTES];
    struct output *output;
    struct error error;

    (void)state;
    unit_folder_make(folder);
    unit_path(folder, "x", path);
    assert_int_equal(output_open(path, "a.txt", &output, &error), ERROR_NONE);
    assert_string_equal(output_path(output), path);
    assert_int_equal(output_write(output, "hello", 5, &error), ERROR_NONE);
    assert_int_equal(access(path, F_OK), -1);
    output_close(output);
    assert_int_equal(count_names(folder), 0);

    assert_int_equal(output_open(path, "a.txt", &output, &error), ERROR_NONE);
    assert_int_equal(output_write(output, "wrong start", 11, &error), ERROR_NONE);
    assert_int_equal(output_restart(output, &error), ERROR_NONE);
    assert_int_equal(output_write(output, "hello", 5, &error), ERROR_NONE);
    assert_int_equal(output_commit(output, &error), ERROR_NONE);
    output_close(output);
    check_content(path, "hello");
    assert_int_equal(count_names(folder), 1);
    unit_folder_remove(folder);
}

static void a_folder_means_the_name_in_it(void **state)
{
    char folder[UNIT_PATH_BYTES];
    char path[UNIT_PATH_BYTES];
    struct output *output;
    struct error error;

    (void)state;
    unit_folder_make(folder);
    unit_path(folder, "a.txt", path);
    assert_int_equal(output_open(folder, "a.txt", &output, &error), ERROR_NONE);
    assert_string_equal(output_path(output), path);
    output_close(output);
    assert_int_equal(output_open(folder, "../a.txt", &output, &error), ERROR_INVALID);
    unit_folder_remove(folder);
}

static void nothing_is_overwritten(void **state)
{
    char folder[UNIT_PATH_BYTES];
    char path[UNIT_PATH_BYTES];
    struct output *output;
    struct error error;

    (void)state;
    unit_folder_make(folder);
    unit_path(folder, "a.txt", path);
    unit_file_write(path, "mine", 4);
    assert_int_equal(output_open(path, "b", &output, &error), ERROR_EXISTS);
    assert_int_equal(output_open(folder, "a.txt", &output, &error), ERROR_EXISTS);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(output_open(path, "b", &output, &error), ERROR_NONE);
    unit_file_write(path, "mine", 4); /* comes while we write */
    assert_int_equal(output_write(output, "x", 1, &error), ERROR_NONE);
    assert_int_equal(output_commit(output, &error), ERROR_EXISTS);
    output_close(output);
    check_content(path, "mine");
    assert_int_equal(count_names(folder), 1);
    unit_path(folder, "none/x", path);
    assert_int_equal(output_open(path, "b", &output, &error), ERROR_NOT_FOUND);
    unit_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_or_nothing),
        cmocka_unit_test(a_folder_means_the_name_in_it),
        cmocka_unit_test(nothing_is_overwritten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
