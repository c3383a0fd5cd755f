#include "unit.h"

#include "common/buffer.h"
#include "directory/difference.h"

#define ID "0b3fd030637ec63bd6313b9915a1b02c9e8176ea69d1cfb0bb0fa830dbc6802f"

/* Lists as letters; an upper-case letter has urls of its own. After a letter: a digit, its size;
 * '#', a content id; '=', another. */
static struct files_index *make_list(const char *letters)
{
    struct files_index *files = NULL;
    auto_buffer json;

    buffer_init(&json, 4096);
    buffer_append_string(&json, "[{\"filename\":\" \",\"url\":[]}");
    for (const char *c = letters; *c;) {
        buffer_printf(&json, ",{\"filename\":\"%c\",\"url\":[%s]", *c | 0x20,
                      *c & 0x20 ? "" : "\"h:1\"");
        for (c++; *c && strchr("0123456789#=", *c); c++) {
            if (*c == '#' || *c == '=')
                buffer_printf(&json, ",\"content\":\"%c%s\"", *c == '#' ? '0' : '1', ID + 1);
            else
                buffer_printf(&json, ",\"size\":%c", *c);
        }
        buffer_append_char(&json, '}');
    }
    buffer_append_char(&json, ']');
    assert_int_equal(files_index_parse(json.data, json.length, "h", &files, NULL), ERROR_NONE);
    return files;
}

/* "+added -removed ~changed" */
static void describe(const struct difference *difference, struct buffer *out)
{
    for (size_t i = 0; i < difference->added_count; i++)
        buffer_printf(out, "+%s", files_index_name(difference->files, difference->added[i]));
    for (size_t i = 0; i < difference->removed_count; i++)
        buffer_printf(out, "-%s", difference->removed[i]);
    for (size_t i = 0; i < difference->changed_count; i++)
        buffer_printf(out, "~%s", files_index_name(difference->files, difference->changed[i]));
}

static void differences(void **state)
{
    static const struct {
        const char *before, *after, *expected;
    } rows[] = {
        {"", "", ""},
        {"abc", "abc", ""},
        {"", "abc", "+a+b+c"},
        {"abc", "", "-a-b-c"},
        {"ac", "abc", "+b"},
        {"abc", "ac", "-b"},
        {"bc", "abc", "+a"},
        {"ab", "abc", "+c"},
        {"abc", "bc", "-a"},
        {"abc", "ab", "-c"},
        {"ace", "bdf", "+b+d+f-a-c-e"},
        {"bdf", "ace", "+a+c+e-b-d-f"},
        {"abc", "aBc", "~b"},
        {"aBc", "abc", "~b"},
        {"ABC", "ABC", ""},
        {"aBcd", "abDe", "+e-c~b~d"},
        {"a7#b", "a7#b", ""},
        {"ab", "a7b", "~a"},
        {"ab", "ab0", "~b"},
        {"a7b", "ab", "~a"},
        {"a7", "a8", "~a"},
        {"ab", "a#b", "~a"},
        {"a#b", "ab", "~a"},
        {"a7#", "a7=", "~a"},
        {"a7#b", "b7#c", "+c-a~b"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct files_index *before = make_list(rows[i].before);
        struct files_index *after = make_list(rows[i].after);
        struct difference difference = {.files = after};
        auto_buffer text;
        buffer_init(&text, 4096);
        buffer_append(&text, "", 0);
        for (size_t j = 0; j < files_index_count(before); j++) {
            struct file_content content = files_index_content(before, j);
            difference_see(&difference, files_index_name(before, j), files_index_urls(before, j),
                           &content);
        }
        difference_finish(&difference);
        describe(&difference, &text);
        if (strcmp(text.data, rows[i].expected) != 0)
            fail_msg("row %zu: '%s'", i, text.data);
        difference_done(&difference);
        files_index_free(before);
        files_index_free(after);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(differences),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
