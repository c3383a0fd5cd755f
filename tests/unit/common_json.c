#include "unit.h"

#include "common/json.h"

#define BYTES(literal) literal, sizeof literal - 1

static void accepted(void **state)
{
    static const char *const rows[] = {
        "null",
        "true",
        "[]",
        "{}",
        " [1, 2]\r\n",
        "\"ñ\"",
        "\"\\u00f1\\ud83d\\ude00\"",
        "\"\\\\u0000\"", /* a backslash and the letters u0000 */
        "{\"a\":{\"b\":[\"c\"]}}",
        "-1.5e3",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        auto_json *root = NULL;
        check_row(i, json_parse(rows[i], strlen(rows[i]), &root, NULL) == ERROR_NONE);
        check_row(i, root != NULL);
    }
}

static void refused(void **state)
{
    static const struct {
        const char *text;
        size_t length;
        const char *reason;
    } rows[] = {
        {BYTES(""), "JSON: wrong at byte 0"},
        {BYTES(" "), "JSON: wrong"},
        {BYTES("{"), "JSON: wrong"},
        {BYTES("[1,]"), "JSON: wrong"},
        {BYTES("{\"a\"}"), "JSON: wrong"},
        {BYTES("'a'"), "JSON: wrong"},
        {BYTES("nul"), "JSON: wrong"},
        {BYTES("\"abc"), "JSON: wrong"},
        {BYTES("\"\\"), "JSON: wrong"},
        {BYTES("\"\\u"), "JSON: wrong"},
        {BYTES("\"\\u12\""), "JSON: wrong"},
        {BYTES("\"\\x\""), "JSON: wrong"},
        {BYTES("\"\\ud800\""), "JSON: wrong"},        /* half a surrogate pair */
        {BYTES("\"\\udc00\\ud800\""), "JSON: wrong"}, /* the wrong way round */
        {BYTES("[] x"), "JSON: more after the value at byte 3"},
        {BYTES("[][]"), "JSON: more after the value at byte 2"},
        {BYTES("[]\0"), "JSON: a NUL byte at byte 2"},
        {BYTES("[\0]"), "JSON: a NUL byte at byte 1"},
        {BYTES("\"a\0b\""), "JSON: a NUL byte at byte 2"},
        {BYTES("\"\\\0\""), "JSON: "},
        {BYTES("\"a\\u0000b\""), "JSON: U+0000 in a string at byte 2"},
        {BYTES("{\"a\\u0000\":1}"), "JSON: U+0000 in a string at byte 3"},
        {BYTES("\"\\\\\\u0000\""), "JSON: U+0000 in a string at byte 3"},
        {BYTES("\"caf\xe9\""), "JSON: not UTF-8"},
        {BYTES("\"\xed\xa0\x80\""), "JSON: not UTF-8"},
        {BYTES("\"\xc0\x80\""), "JSON: not UTF-8"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct json *root = (struct json *)1;
        struct error error = {0};
        check_row(i, json_parse(rows[i].text, rows[i].length, &root, &error) == ERROR_INVALID);
        check_row(i, root == NULL);
        check_row(i, strncmp(error.text, rows[i].reason, strlen(rows[i].reason)) == 0);
    }
}

static enum error_code parse_nested(size_t depth, const char *open, const char *close,
                                    struct error *error)
{
    size_t length = depth * (strlen(open) + strlen(close)) + 1;
    char *text = malloc(length + 1);
    auto_json *root = NULL;

    assert_non_null(text);
    char *at = text;
    for (size_t i = 0; i < depth; i++)
        at = stpcpy(at, open);
    *at++ = '1';
    *at = '\0';
    for (size_t i = 0; i < depth; i++)
        at = stpcpy(at, close);
    enum error_code code = json_parse(text, strlen(text), &root, error);
    free(text);
    return code;
}

static void depth_is_capped(void **state)
{
    struct error error = {0};

    (void)state;
    assert_int_equal(parse_nested(JSON_MAX_DEPTH, "[", "]", NULL), ERROR_NONE);
    assert_int_equal(parse_nested(JSON_MAX_DEPTH, "{\"a\":", "}", NULL), ERROR_NONE);
    assert_int_equal(parse_nested(JSON_MAX_DEPTH + 1, "[", "]", &error), ERROR_INVALID);
    assert_string_equal(error.text, "JSON: nested deeper than 64 at byte 64");
    assert_int_equal(parse_nested(JSON_MAX_DEPTH + 1, "{\"a\":", "}", NULL), ERROR_INVALID);
    assert_int_equal(parse_nested(10000, "[", "]", NULL), ERROR_INVALID);
    assert_int_equal(parse_nested(1000000, "[", "", NULL), ERROR_INVALID);
}

static void brackets_in_strings_are_no_depth(void **state)
{
    char text[300];
    auto_json *root = NULL;

    (void)state;
    memset(text, '[', sizeof text);
    text[0] = text[sizeof text - 1] = '"';
    assert_int_equal(json_parse(text, sizeof text, &root, NULL), ERROR_NONE);
    assert_int_equal(strlen(json_string(root)), sizeof text - 2);
}

static void length_is_respected(void **state)
{
    auto_json *root = NULL;

    (void)state;
    assert_int_equal(json_parse("12345", 2, &root, NULL), ERROR_NONE);
    int64_t value = 0;
    assert_true(json_integer(root, &value));
    assert_int_equal(value, 12);
}

static void walking(void **state)
{
    static const char text[] = "{\"b\":[1,\"x\",null],\"B\":true,\"b\":2}";
    auto_json *root = NULL;
    bool yes = false;

    (void)state;
    assert_int_equal(json_parse(text, sizeof text - 1, &root, NULL), ERROR_NONE);
    assert_true(json_is_object(root));
    assert_false(json_is_array(root));
    assert_int_equal(json_count(root), 3);
    assert_string_equal(json_key(json_first(root)), "b");
    const struct json *list = json_find(root, "b");
    assert_true(json_is_array(list)); /* the first of the two */
    assert_int_equal(json_count(list), 3);
    assert_string_equal(json_string(json_next(json_first(list))), "x");
    assert_null(json_string(json_first(list)));
    assert_string_equal(json_key(json_first(list)), "");
    assert_null(json_next(json_next(json_next(json_first(list)))));
    assert_true(json_boolean(json_find(root, "B"), &yes));
    assert_true(yes);
    assert_null(json_find(root, "c"));
    assert_null(json_find(list, "b"));
}

static void nothing_is_answered_like_nothing(void **state)
{
    int64_t number;
    bool yes;

    (void)state;
    assert_false(json_is_object(NULL));
    assert_false(json_is_array(NULL));
    assert_null(json_first(NULL));
    assert_int_equal(json_count(NULL), 0);
    assert_null(json_find(NULL, "a"));
    assert_null(json_string(NULL));
    assert_false(json_integer(NULL, &number));
    assert_false(json_boolean(NULL, &yes));
    assert_string_equal(json_type_name(NULL), "null");
    json_free(NULL);
}

static void integers(void **state)
{
    static const struct {
        const char *text;
        bool good;
        int64_t value;
    } rows[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"-17", true, -17},
        {"1e3", true, 1000},
        {"5.0", true, 5},
        {"9007199254740992", true, 9007199254740992},
        {"-9007199254740992", true, -9007199254740992},
        {"1.5", false, 0},
        {"9007199254740994", false, 0},
        {"1e300", false, 0},
        {"1e999", false, 0},
        {"-1e999", false, 0},
        {"\"1\"", false, 0},
        {"true", false, 0},
        {"null", false, 0},
        {"[1]", false, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        auto_json *root = NULL;
        int64_t value = 0;
        check_row(i, json_parse(rows[i].text, strlen(rows[i].text), &root, NULL) == ERROR_NONE);
        check_row(i, json_integer(root, &value) == rows[i].good);
        check_row(i, value == rows[i].value);
    }
}

static void type_names(void **state)
{
    static const char *const rows[][2] = {
        {"null", "null"}, {"{}", "object"},     {"[]", "list"},      {"\"\"", "string"},
        {"1", "number"},  {"false", "boolean"}, {"true", "boolean"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        auto_json *root = NULL;
        check_row(i, json_parse(rows[i][0], strlen(rows[i][0]), &root, NULL) == ERROR_NONE);
        check_row(i, strcmp(json_type_name(root), rows[i][1]) == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepted),
        cmocka_unit_test(refused),
        cmocka_unit_test(depth_is_capped),
        cmocka_unit_test(brackets_in_strings_are_no_depth),
        cmocka_unit_test(length_is_respected),
        cmocka_unit_test(walking),
        cmocka_unit_test(nothing_is_answered_like_nothing),
        cmocka_unit_test(integers),
        cmocka_unit_test(type_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
