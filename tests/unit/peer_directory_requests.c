#include "unit.h"

#include "common/memory.h"
#include "peer/network/directory_requests.h"

static void encodes(void **state)
{
    static const struct {
        const char *text;
        const char *expected;
    } rows[] = {
        {"", ""},
        {"aZ09-._~", "aZ09-._~"},
        {"a b+c&d=e%f", "a%20b%2Bc%26d%3De%25f"},
        {"ñ/#?", "%C3%B1%2F%23%3F"},
        {"\xff\x01", "%FF%01"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        auto_buffer out;
        buffer_init(&out, 100);
        buffer_append_string(&out, "");
        directory_encode(&out, rows[i].text);
        check_row(i, strcmp(out.data, rows[i].expected) == 0);
    }
}

static struct share_list make_list(size_t count)
{
    struct share_list list = {.count = 0};
    char name[32];

    for (size_t i = 0; i < count; i++) {
        snprintf(name, sizeof name, "file %zu.txt", i);
        share_list_add(&list, &(struct share_file){.name = name});
    }
    return list;
}

static void writes_user_and_index(void **state)
{
    struct share_list list = make_list(2);
    struct directory_login login = {
        .username = "Peer1", .password = "s d", .advertise = "1.2.3.4:8001", .files = &list};
    auto_buffer out;

    (void)state;
    list.files[1].name = "a\"b";
    list.files[1].has_content = true; /* must not go to a directory of names */
    login.names_only = true;
    buffer_init(&out, 10000);
    directory_append_user(&out, &login);
    assert_int_equal(directory_append_index(&out, &login, 0, 10000), 2);
    assert_string_equal(
        out.data, "username=Peer1&password=s%20d&files_index=%5B%7B%22filename%22%3A%22file%200.txt"
                  "%22%2C%22url%22%3A%5B%221.2.3.4%3A8001%22%5D%7D%2C%7B%22filename%22%3A%22a%5C%22"
                  "b%22%2C%22url%22%3A%5B%221.2.3.4%3A8001%22%5D%7D%5D");
    share_list_done(&list);
}

static void writes_folders_for_who_knows_them(void **state)
{
    struct share_list list = make_list(3);
    struct directory_login login = {.advertise = "a:1", .files = &list, .names_only = true};
    auto_buffer out;

    (void)state;
    list.files[1].name = "sub/a";
    for (int folders = 0; folders <= 1; folders++) {
        buffer_init(&out, 10000);
        login.folders = folders;
        assert_int_equal(directory_append_index(&out, &login, 0, 10000), 3);
        assert_true(strstr(out.data, "file%200.txt") && strstr(out.data, "file%202.txt"));
        assert_int_equal(strstr(out.data, "sub%2Fa") != NULL, folders);
        buffer_done(&out);
    }
    buffer_init(&out, 10000);
    share_list_done(&list);
}

static void writes_sizes_and_ids(void **state)
{
    struct share_list list = make_list(2);
    struct directory_login login = {.advertise = "a:1", .files = &list};
    auto_buffer out;

    (void)state;
    list.files[0].size_bytes = 12;
    list.files[1].size_bytes = 1234567890123;
    list.files[1].has_content = true;
    memset(list.files[1].content.bytes, 0xa5, HASH_BYTES);
    buffer_init(&out, 10000);
    assert_int_equal(directory_append_index(&out, &login, 0, 10000), 2);
    assert_string_equal(
        out.data,
        "&files_index=%5B%7B%22filename%22%3A%22file%200.txt%22%2C%22url%22%3A%5B%22a%3A1%22%5D%2C"
        "%22size%22%3A12%7D%2C%7B%22filename%22%3A%22file%201.txt%22%2C%22url%22%3A%5B%22a%3A1%22"
        "%5D%2C%22size%22%3A1234567890123%2C%22content%22%3A%22a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5"
        "a5a5a5a5a5a5a5a5a5a5a5a5a5a5%22%7D%5D");
    share_list_done(&list);
}

static void writes_an_empty_index(void **state)
{
    struct share_list list = {0};
    struct directory_login login = {.advertise = "a:1", .files = &list};
    auto_buffer out;

    (void)state;
    buffer_init(&out, 1000);
    assert_int_equal(directory_append_index(&out, &login, 0, 1000), 0);
    assert_string_equal(out.data, "&files_index=%5B%5D");
}

static void splits_a_long_index(void **state)
{
    const size_t max_bytes = 5000;
    struct share_list list = make_list(1000);
    struct directory_login login = {.advertise = "1.2.3.4:8001", .files = &list};
    size_t next = 0;
    size_t batches = 0;
    size_t entries = 0;

    (void)state;
    while (next < list.count) {
        auto_buffer out;
        size_t first = next;
        buffer_init(&out, 100000);
        next = directory_append_index(&out, &login, first, max_bytes);
        assert_true(next > first);
        assert_in_range(out.length, next < list.count ? max_bytes - 200 : 1, max_bytes);
        assert_string_equal(out.data + out.length - 3, "%5D");
        for (const char *at = out.data; (at = strstr(at, "filename")); at++)
            entries++;
        batches++;
    }
    assert_int_equal(entries, list.count);
    assert_in_range(batches, 2, 100);
    share_list_done(&list);
}

static void takes_the_worst_name(void **state)
{
    struct share_list list = make_list(1);
    char name[FILE_NAME_MAX_BYTES + 1];
    struct directory_login login = {.advertise = "1.2.3.4:8001", .files = &list};
    auto_buffer out;

    (void)state;
    memset(name, '"', FILE_NAME_MAX_BYTES);
    name[FILE_NAME_MAX_BYTES] = '\0';
    list.files[0].name = name;
    buffer_init(&out, 100000);
    assert_int_equal(directory_append_index(&out, &login, 0, 10), 1); /* one always goes */
    assert_false(out.failed);
    assert_string_equal(out.data + out.length - 3, "%5D");
    assert_in_range(out.length, (size_t)255 * 6, (size_t)255 * 6 + 200);
    share_list_done(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encodes),
        cmocka_unit_test(writes_user_and_index),
        cmocka_unit_test(writes_folders_for_who_knows_them),
        cmocka_unit_test(writes_sizes_and_ids),
        cmocka_unit_test(writes_an_empty_index),
        cmocka_unit_test(splits_a_long_index),
        cmocka_unit_test(takes_the_worst_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
