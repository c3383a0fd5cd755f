#include "unit.h"

#include "common/buffer.h"
#include "directory/files_index.h"

#define ID "0b3fd030637ec63bd6313b9915a1b02c9e8176ea69d1cfb0bb0fa830dbc6802f"

static enum error_code parse(const char *text, struct files_index **index)
{
    struct error error;

    *index = NULL;
    return files_index_parse(text, strlen(text), "10.1.2.3", index, &error);
}

/* "NAME URLS|NAME URLS SIZE CONTENT", "-" for the usual urls; only what is known. */
static void describe(const struct files_index *index, struct buffer *out)
{
    buffer_printf(out, "%s", files_index_usual_urls(index));
    for (size_t i = 0; i < files_index_count(index); i++) {
        struct file_content content = files_index_content(index, i);
        char id[CONTENT_ID_DIGITS + 1];
        buffer_printf(out, "|%s %s", files_index_name(index, i),
                      files_index_urls(index, i) ? files_index_urls(index, i) : "-");
        if (content.size_bytes != FILE_SIZE_UNKNOWN)
            buffer_printf(out, " %lld", (long long)content.size_bytes);
        if (content.id)
            buffer_printf(out, " %s", content_id_format(content.id, id));
        if (content.partial)
            buffer_printf(out, " partial");
    }
}

static void good_lists(void **state)
{
    static const struct {
        const char *text;
        const char *expected;
    } rows[] = {
        {"[]", "[]"},
        {" [ ] ", "[]"},
        {"[{\"filename\":\"a\",\"url\":[]}]", "[]|a -"},
        {"[{\"filename\":\"a\"}]", "[]|a -"},
        {"[{\"filename\":\"a\",\"url\":[],\"x\":{\"y\":[]}}]", "[]|a -"},
        {"[{\"filename\":\"a\",\"size\":0}]", "[]|a - 0"},
        {"[{\"filename\":\"a\",\"size\":9007199254740992}]", "[]|a - 9007199254740992"},
        {"[{\"filename\":\"a\",\"size\":7,\"content\":\"" ID "\"}]", "[]|a - 7 " ID},
        {"[{\"filename\":\"a\",\"size\":7,\"content\":\"" ID "\",\"partial\":true}]",
         "[]|a - 7 " ID " partial"},
        {"[{\"filename\":\"a\",\"size\":7,\"content\":\"" ID "\",\"partial\":false}]",
         "[]|a - 7 " ID},
        {"[{\"filename\":\"a\",\"partial\":null}]", "[]|a -"},
        {"[{\"content\":\"" ID "\",\"filename\":\"a\",\"url\":[\"h:1\"]},"
         "{\"filename\":\"b\",\"size\":1}]",
         "[\"h:1\"]|a - " ID "|b [] 1"},
        {"[{\"filename\":\"a\",\"size\":null,\"content\":null}]", "[]|a -"},
        /* All of the last one counts. */
        {"[{\"filename\":\"a\",\"size\":7,\"content\":\"" ID "\"},{\"filename\":\"a\"}]", "[]|a -"},
        {"[{\"filename\":\"ñ \\u00e9\",\"url\":[\"h:1\"]}]", "[\"h:1\"]|ñ é -"},
        {"[{\"filename\":\"b\",\"url\":[\"h:1\"]},{\"filename\":\"a\",\"url\":[\"h:1\"]}]",
         "[\"h:1\"]|a -|b -"},
        {"[{\"filename\":\"a\",\"url\":[\"h:1\"]},{\"filename\":\"b\",\"url\":[\"h:2\",\"h:3\"]}]",
         "[\"h:1\"]|a -|b [\"h:2\",\"h:3\"]"},
        /* The same name twice: the last counts. */
        {"[{\"filename\":\"a\",\"url\":[\"h:1\"]},{\"filename\":\"b\",\"url\":[\"h:1\"]},"
         "{\"filename\":\"a\",\"url\":[\"h:2\"]}]",
         "[\"h:1\"]|a [\"h:2\"]|b -"},
        /* The peer does not know its address. */
        {"[{\"filename\":\"a\",\"url\":[\"0.0.0.0:8001\"]}]", "[\"10.1.2.3:8001\"]|a -"},
        {"[{\"filename\":\"a\",\"url\":[\"[::]:8001\"]}]", "[\"10.1.2.3:8001\"]|a -"},
        {"[{\"filename\":\"a\",\"url\":[\"http://0.0.0.0:8001\"]}]", "[\"10.1.2.3:8001\"]|a -"},
        /* What is no such address stays as it is. */
        {"[{\"filename\":\"a\",\"url\":[\"http://h/a\",\"\",\"x\\\"y\"]}]",
         "[\"http://h/a\",\"\",\"x\\\"y\"]|a -"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct files_index *index;
        auto_buffer text;
        buffer_init(&text, 4096);
        check_row(i, parse(rows[i].text, &index) == ERROR_NONE);
        describe(index, &text);
        if (strcmp(text.data, rows[i].expected) != 0)
            fail_msg("row %zu: '%s' is not '%s'", i, text.data, rows[i].expected);
        files_index_free(index);
    }
}

static void bad_lists(void **state)
{
    static const char *const rows[] = {
        "",
        "x",
        "[",
        "[{",
        "[]x",
        "{}",
        "null",
        "7",
        "\"[]\"",
        "[7]",
        "[null]",
        "[[]]",
        "[\"a\"]",
        "[{}]",
        "[{\"url\":[]}]",
        "[{\"filename\":7,\"url\":[]}]",
        "[{\"filename\":null}]",
        "[{\"filename\":[\"a\"]}]",
        "[{\"filename\":\"a\",\"url\":\"h:1\"}]",
        "[{\"filename\":\"a\",\"url\":{}}]",
        "[{\"filename\":\"a\",\"url\":7}]",
        "[{\"filename\":\"a\",\"url\":null}]",
        "[{\"filename\":\"a\",\"url\":[7]}]",
        "[{\"filename\":\"\"}]",
        "[{\"filename\":\"a//b\"}]",
        "[{\"filename\":\"/a\"}]",
        "[{\"filename\":\"a/\"}]",
        "[{\"filename\":\"a/../b\"}]",
        "[{\"filename\":\"..\"}]",
        "[{\"filename\":\".\"}]",
        "[{\"filename\":\"a\\u0000b\"}]",
        "[{\"filename\":\"a\\nb\"}]",
        "[{\"filename\":\"a\xff\"}]",
        "[{\"filename\":\"a\",\"size\":-1}]",
        "[{\"filename\":\"a\",\"size\":1.5}]",
        "[{\"filename\":\"a\",\"size\":9007199254740994}]",
        "[{\"filename\":\"a\",\"size\":1e300}]",
        "[{\"filename\":\"a\",\"size\":\"7\"}]",
        "[{\"filename\":\"a\",\"size\":true}]",
        "[{\"filename\":\"a\",\"size\":[]}]",
        "[{\"filename\":\"a\",\"size\":{}}]",
        "[{\"filename\":\"a\",\"content\":7}]",
        "[{\"filename\":\"a\",\"content\":\"\"}]",
        "[{\"filename\":\"a\",\"content\":[]}]",
        "[{\"filename\":\"a\",\"content\":{}}]",
        "[{\"filename\":\"a\",\"content\":false}]",
        "[{\"filename\":\"a\",\"content\":"
        "\"0b3fd030637ec63bd6313b9915a1b02c9e8176ea69d1cfb0bb0fa830dbc6802\"}]",
        "[{\"filename\":\"a\",\"content\":"
        "\"0b3fd030637ec63bd6313b9915a1b02c9e8176ea69d1cfb0bb0fa830dbc6802f0\"}]",
        "[{\"filename\":\"a\",\"content\":"
        "\"0B3FD030637EC63BD6313B9915A1B02C9E8176EA69D1CFB0BB0FA830DBC6802F\"}]",
        "[{\"filename\":\"a\",\"content\":"
        "\"0b3fd030637ec63bd6313b9915a1b02c9e8176ea69d1cfb0bb0fa830dbc6802F\"}]",
        "[{\"filename\":\"a\",\"content\":"
        "\"0b3fd030637ec63bd6313b9915a1b02c9e8176ea69d1cfb0bb0fa830dbc6802g\"}]",
        "[{\"filename\":\"a\",\"content\":"
        "\"0b3fd030637ec63bd6313b9915a1b02c9e8176ea69d1cfb0bb0fa830dbc6802 \"}]",
        "[{\"filename\":\"a\",\"content\":\" "
        "0b3fd030637ec63bd6313b9915a1b02c9e8176ea69d1cfb0bb0fa830dbc6802\"}]",
        "[{\"filename\":\"a\",\"partial\":true}]",
        "[{\"filename\":\"a\",\"size\":7,\"partial\":true}]",
        "[{\"filename\":\"a\",\"partial\":true,\"content\":\"" ID "\"}]",
        "[{\"filename\":\"a\",\"size\":7,\"content\":\"" ID "\",\"partial\":1}]",
        "[{\"filename\":\"good\"},{\"filename\":\"\"}]",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct files_index *index;
        check_row(i, parse(rows[i], &index) == ERROR_INVALID);
        check_row(i, index == NULL);
    }
}

/* One entry whose filename is `count` times the text. */
static enum error_code parse_repeated(const char *before, const char *text, size_t count,
                                      const char *after)
{
    struct files_index *index = NULL;
    struct error error;
    auto_buffer json;

    buffer_init(&json, 1 << 26);
    buffer_append_string(&json, before);
    for (size_t i = 0; i < count; i++)
        buffer_append_string(&json, text);
    buffer_append_string(&json, after);
    enum error_code code = files_index_parse(json.data, json.length, "h", &index, &error);
    files_index_free(index);
    return code;
}

static void limits(void **state)
{
    (void)state;
    assert_int_equal(parse_repeated("[{\"filename\":\"", "x", 255, "\"}]"), ERROR_NONE);
    assert_int_equal(parse_repeated("[{\"filename\":\"", "x", 256, "\"}]"), ERROR_INVALID);
    assert_int_equal(parse_repeated("[{\"filename\":\"a\",\"url\":[\"", "x", 1024, "\"]}]"),
                     ERROR_NONE);
    assert_int_equal(parse_repeated("[{\"filename\":\"a\",\"url\":[\"", "x", 1025, "\"]}]"),
                     ERROR_INVALID);
    assert_int_equal(parse_repeated("[{\"filename\":\"a\",\"url\":[", "\"h:1\",", 63, "\"h:1\"]}]"),
                     ERROR_NONE);
    assert_int_equal(parse_repeated("[{\"filename\":\"a\",\"url\":[", "\"h:1\",", 64, "\"h:1\"]}]"),
                     ERROR_INVALID);
    assert_int_equal(parse_repeated("", "[", 10000, ""), ERROR_INVALID);
    assert_int_equal(parse_repeated("[", "[],", 4000000, "[]]"), ERROR_TOO_LARGE);
}

static void a_hundred_thousand_files(void **state)
{
    struct files_index *index = NULL;
    auto_buffer json;
    struct error error;

    (void)state;
    buffer_init(&json, 1 << 26);
    buffer_append_char(&json, '[');
    for (int i = 0; i < 100000; i++)
        buffer_printf(&json, "%s{\"filename\":\"file %d.txt\",\"url\":[\"10.0.0.1:8001\"]}",
                      i ? "," : "", 99999 - i);
    buffer_append_char(&json, ']');
    assert_int_equal(files_index_parse(json.data, json.length, "h", &index, &error), ERROR_NONE);
    assert_int_equal(files_index_count(index), 100000);
    assert_string_equal(files_index_name(index, 0), "file 0.txt");
    files_index_free(index);
}

static void sums_tell_lists_apart(void **state)
{
    static const struct {
        const char *left, *right;
        bool same;
    } rows[] = {
        {"[{\"filename\":\"a\"},{\"filename\":\"b\"}]",
         "[{\"filename\":\"b\"},{\"filename\":\"a\"}]", true},
        {"[{\"filename\":\"a\"}]", "[{\"filename\":\"a\",\"url\":[]}]", true},
        {"[{\"filename\":\"a\"}]", "[{\"filename\":\"b\"}]", false},
        {"[{\"filename\":\"a\"}]", "[]", false},
        {"[{\"filename\":\"a\"}]", "[{\"filename\":\"a\",\"url\":[\"h:1\"]}]", false},
        {"[{\"filename\":\"ab\"}]", "[{\"filename\":\"a\"},{\"filename\":\"b\"}]", false},
        {"[{\"filename\":\"a\"}]", "[{\"filename\":\"a\",\"size\":null,\"content\":null}]", true},
        {"[{\"filename\":\"a\"}]", "[{\"filename\":\"a\",\"size\":0}]", false},
        {"[{\"filename\":\"a\",\"size\":1}]", "[{\"filename\":\"a\",\"size\":256}]", false},
        {"[{\"filename\":\"a\"}]", "[{\"filename\":\"a\",\"content\":\"" ID "\"}]", false},
        {"[{\"filename\":\"a\",\"size\":1,\"content\":\"" ID "\"}]",
         "[{\"filename\":\"a\",\"size\":1,\"content\":\"" ID "\",\"partial\":false}]", true},
        {"[{\"filename\":\"a\",\"size\":1,\"content\":\"" ID "\"}]",
         "[{\"filename\":\"a\",\"size\":1,\"content\":\"" ID "\",\"partial\":true}]", false},
        {"[{\"filename\":\"a\",\"size\":1},{\"filename\":\"b\"}]",
         "[{\"filename\":\"a\"},{\"filename\":\"b\",\"size\":1}]", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct files_index *left;
        struct files_index *right;
        check_row(i, parse(rows[i].left, &left) == ERROR_NONE);
        check_row(i, parse(rows[i].right, &right) == ERROR_NONE);
        bool same = index_sum_equal(files_index_sum(left), files_index_sum(right));
        check_row(i, same == rows[i].same);
        files_index_free(left);
        files_index_free(right);
    }
}

/* By the definition (common/index_sum.h), whatever the order. */
static void sums_are_those_of_the_definition(void **state)
{
    static const char list[] =
        "[{\"filename\":\"a\",\"url\":[\"0.0.0.0:1\"]},"
        "{\"filename\":\"b\",\"url\":[\"h:2\",\"\"],\"size\":258},"
        "{\"filename\":\"b\",\"url\":[\"h:2\",\"\"],\"size\":259},"
        "{\"filename\":\"c\",\"url\":[\"0.0.0.0:1\"],\"size\":1,\"content\":\"" ID
        "\",\"partial\":true}]";
    const struct index_sum_urls usual = {.text = "0.0.0.0:1", .length = 10};
    const struct index_sum_urls own = {.text = "h:2\0", .length = 5};
    struct content_id id;
    const struct index_sum_file files[] = {
        {.name = "c", .size_bytes = 1, .id = &id, .partial = true},
        {.name = "a", .size_bytes = -1},
        {.name = "b", .size_bytes = 259, .urls = &own},
    };
    struct index_sum sum = {{0}};
    struct files_index *index;

    (void)state;
    assert_true(content_id_parse(ID, &id));
    index_sum_add_usual(&sum, &usual);
    for (size_t i = 0; i < ARRAY_LENGTH(files); i++)
        index_sum_add(&sum, &files[i]);
    assert_int_equal(parse(list, &index), ERROR_NONE);
    assert_true(index_sum_equal(files_index_sum(index), &sum));
    files_index_free(index);
}

static void wildcards_are_told(void **state)
{
    static const struct {
        const char *list, *host;
    } rows[] = {
        {"[]", ""},
        {"[{\"filename\":\"a\",\"url\":[\"10.0.0.1:1\"]}]", ""},
        {"[{\"filename\":\"a\",\"url\":[\"0.0.0.0:1\"]}]", "h"},
        {"[{\"filename\":\"a\",\"url\":[]},{\"filename\":\"b\",\"url\":[\"[::]:1\"]}]", "h"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct files_index *index;
        const char *text = rows[i].list;
        check_row(i, files_index_parse(text, strlen(text), "h", &index, NULL) == ERROR_NONE);
        check_row(i, strcmp(files_index_host(index), rows[i].host) == 0);
        files_index_free(index);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_lists),
        cmocka_unit_test(bad_lists),
        cmocka_unit_test(limits),
        cmocka_unit_test(a_hundred_thousand_files),
        cmocka_unit_test(sums_tell_lists_apart),
        cmocka_unit_test(sums_are_those_of_the_definition),
        cmocka_unit_test(wildcards_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
