#include "unit.h"

#include "directory/query.h"

#define BYTES(literal) literal, sizeof literal - 1

static void values_are_decoded(void **state)
{
    static const struct {
        const char *text;
        const char *expected; /* NULL: not given */
        size_t length;
    } rows[] = {
        {"", NULL, 0},
        {"filename=a.txt", BYTES("a.txt")},
        {"filename=a+b%20c%2B.txt", BYTES("a b c+.txt")},
        {"filename=%C3%B1%c3%b1", BYTES("ññ")},
        {"filename=\xc3\xb1", BYTES("ñ")},
        {"filename=", BYTES("")},
        {"filename", BYTES("")},
        {"filename=a=b", BYTES("a=b")},
        {"other=1&filename=x", BYTES("x")},
        {"filename=x&other", BYTES("x")},
        {"filename=x&filename=y", BYTES("y")},
        {"&&filename=x&&", BYTES("x")},
        {"file%6eame=x", BYTES("x")},
        {"Filename=x", NULL, 0},
        {"filename2=x", NULL, 0},
        {"filenam=x", NULL, 0},
        {"filename=a%00b", BYTES("a\0b")},
        {"filename=a;filename=b", BYTES("a;filename=b")},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct query_field field = {.name = "filename"};
        char text[64];
        snprintf(text, sizeof text, "%s", rows[i].text);
        check_row(i, query_parse(text, strlen(text), &field, 1, NULL) == ERROR_NONE);
        check_row(i, (field.value == NULL) == (rows[i].expected == NULL));
        check_row(i, field.length == rows[i].length);
        if (field.value)
            check_row(i, memcmp(field.value, rows[i].expected, field.length + 1) == 0);
    }
}

static void broken_encoding_is_refused(void **state)
{
    static const char *const rows[] = {
        "a=%",    "a=%2",  "a=%zz", "a=%2g", "%=a", "a=b&c=%x1", "filename=ok&other=%",
        "a=%%20", "a=%+1",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct query_field field = {.name = "filename"};
        struct error error;
        char text[64];
        snprintf(text, sizeof text, "%s", rows[i]);
        check_row(i, query_parse(text, strlen(text), &field, 1, &error) == ERROR_INVALID);
    }
}

static void several_fields_and_those_that_are_there(void **state)
{
    char first[] = "username=U&x=1&password=P%26";
    char second[] = "password=Q&files_index=[]";
    struct query_field fields[] = {
        {.name = "username"}, {.name = "password"}, {.name = "files_index"}};

    (void)state;
    assert_int_equal(query_parse(first, strlen(first), fields, 3, NULL), ERROR_NONE);
    assert_string_equal(fields[0].value, "U");
    assert_string_equal(fields[1].value, "P&");
    assert_null(fields[2].value);
    assert_int_equal(query_parse(second, strlen(second), fields, 3, NULL), ERROR_NONE);
    assert_string_equal(fields[0].value, "U");
    assert_string_equal(fields[1].value, "Q");
    assert_string_equal(fields[2].value, "[]");
}

static void paths(void **state)
{
    static const struct {
        const char *text;
        const char *expected; /* NULL: refused */
    } rows[] = {
        {"/login", "/login"}, {"/log%69n", "/login"}, {"/a+b", "/a+b"}, {"", ""},
        {"/%", NULL},         {"/%4", NULL},          {"/%g0", NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char text[32];
        size_t length = strlen(rows[i].text);
        snprintf(text, sizeof text, "%s", rows[i].text);
        check_row(i, query_decode_path(text, &length) == (rows[i].expected != NULL));
        if (rows[i].expected) {
            check_row(i, strcmp(text, rows[i].expected) == 0);
            check_row(i, length == strlen(text));
        }
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_decoded),
        cmocka_unit_test(broken_encoding_is_refused),
        cmocka_unit_test(several_fields_and_those_that_are_there),
        cmocka_unit_test(paths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
