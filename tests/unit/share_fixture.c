#include "share_fixture.h"

#include <sys/stat.h>

int fixture_set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);

    assert_non_null(fixture);
    unit_folder_make(fixture->folder);
    unit_folder_make(fixture->outside);
    assert_int_equal(share_open(fixture->folder, &fixture->share, NULL), ERROR_NONE);
    *state = fixture;
    return 0;
}

int fixture_tear_down(void **state)
{
    struct fixture *fixture = *state;

    share_close(fixture->share);
    unit_folder_remove(fixture->folder);
    unit_folder_remove(fixture->outside);
    free(fixture);
    return 0;
}

void fixture_make_folder(const struct fixture *fixture, const char *name)
{
    char path[UNIT_PATH_BYTES];

    assert_int_equal(mkdir(unit_path(fixture->folder, name, path), 0755), 0);
}

void fixture_put(const struct fixture *fixture, const char *name, const char *text)
{
    char path[UNIT_PATH_BYTES];

    unit_file_write(unit_path(fixture->folder, name, path), text, strlen(text));
}

void fixture_check(const struct fixture *fixture, const char *name, const char *expected)
{
    char path[UNIT_PATH_BYTES];
    char text[256] = "";
    FILE *file = fopen(unit_path(fixture->folder, name, path), "rb");

    assert_non_null(file);
    assert_int_equal(fread(text, 1, sizeof text - 1, file), strlen(expected));
    fclose(file);
    assert_string_equal(text, expected);
}

struct share_incoming *fixture_receive(const struct fixture *fixture, const char *text)
{
    struct share_incoming *incoming;
    struct iovec span = {.iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text)};

    assert_int_equal(share_incoming_begin(fixture->share, &incoming, NULL), ERROR_NONE);
    assert_int_equal(share_incoming_write(incoming, &span, 1, NULL), ERROR_NONE);
    return incoming;
}

struct file_name name_of(const char *path)
{
    struct file_name name;

    assert_int_equal(file_name_parse_path(path, strlen(path), &name, NULL), ERROR_NONE);
    return name;
}
