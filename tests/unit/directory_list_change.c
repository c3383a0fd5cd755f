#include "unit.h"

#include "directory/list_change.h"

/* NULL: the shape is wrong. */
static struct list_change *parse(const char *added, const char *removed)
{
    auto_json *added_json = NULL;
    auto_json *removed_json = NULL;
    struct list_change *change = NULL;

    if (added)
        assert_int_equal(json_parse(added, strlen(added), &added_json, NULL), ERROR_NONE);
    if (removed)
        assert_int_equal(json_parse(removed, strlen(removed), &removed_json, NULL), ERROR_NONE);
    enum error_code code = list_change_from_json(added_json, removed_json, &change, NULL);
    assert_int_equal(code == ERROR_NONE, change != NULL);
    return change;
}

static void names_are_sorted_and_found(void **state)
{
    struct list_change *change =
        parse("[{\"filename\":\"d\"},{\"filename\":\"b\"}]", "[\"c\",\"a\",\"c\",\"b\"]");

    (void)state;
    assert_int_equal(list_change_removed_count(change), 3);
    assert_string_equal(list_change_removed(change, 0), "a");
    assert_string_equal(list_change_removed(change, 2), "c");
    assert_true(list_change_removes(change, "a") && list_change_removes(change, "c"));
    assert_false(list_change_removes(change, "d") || list_change_removes(change, ""));
    assert_true(list_change_adds(change, "b") && list_change_adds(change, "d"));
    assert_false(list_change_adds(change, "a") || list_change_adds(change, "e"));
    assert_int_equal(files_index_count(list_change_added(change)), 2);
    list_change_free(change);
}

static void what_is_in_it(void **state)
{
    static const struct {
        const char *added, *removed;
        bool has_urls, has_folders;
    } rows[] = {
        {"[]", NULL, false, false},
        {NULL, "[]", false, false},
        {"[{\"filename\":\"a\"}]", "[\"b\"]", false, false},
        {"[{\"filename\":\"a\",\"url\":[]}]", NULL, true, false},
        {"[{\"filename\":\"b\"},{\"filename\":\"a\",\"url\":[\"h:1\"]}]", NULL, true, false},
        {"[{\"filename\":\"a/b\"}]", NULL, false, true},
        {NULL, "[\"a/b\"]", false, true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct list_change *change = parse(rows[i].added, rows[i].removed);
        check_row(i, change != NULL);
        check_row(i, list_change_has_urls(change) == rows[i].has_urls);
        check_row(i, list_change_has_folders(change) == rows[i].has_folders);
        list_change_free(change);
    }
}

static void wrong_shapes(void **state)
{
    static const char *const removed[] = {"{}",     "1",      "\"a\"",    "[1]",
                                          "[null]", "[\"\"]", "[\"..\"]", "[[\"a\"]]"};
    static const char *const added[] = {"{}", "1", "[1]", "[\"a\"]", "[{\"filename\":\"..\"}]"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(removed); i++)
        check_row(i, parse(NULL, removed[i]) == NULL);
    for (size_t i = 0; i < ARRAY_LENGTH(added); i++)
        check_row(i, parse(added[i], "[\"a\"]") == NULL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_sorted_and_found),
        cmocka_unit_test(what_is_in_it),
        cmocka_unit_test(wrong_shapes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
