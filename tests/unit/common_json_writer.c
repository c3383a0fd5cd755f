#include "unit.h"

#include "common/json.h"
#include "common/json_writer.h"

static void a_document(void **state)
{
    auto_buffer buffer;
    struct json_writer json;

    (void)state;
    buffer_init(&buffer, 4096);
    json_writer_init(&json, &buffer);
    json_begin_object(&json, NULL);
    json_write_string(&json, "status", "OK");
    json_begin_array(&json, "list");
    json_write_integer(&json, NULL, INT64_MIN);
    json_write_boolean(&json, NULL, true);
    json_write_null(&json, NULL);
    json_begin_object(&json, NULL);
    json_end_object(&json);
    json_begin_array(&json, NULL);
    json_end_array(&json);
    json_write_raw(&json, NULL, "{\"x\":1}");
    json_end_array(&json);
    json_write_boolean(&json, "no", false);
    json_end_object(&json);
    assert_false(buffer.failed);
    assert_string_equal(buffer.data, "{\"status\":\"OK\",\"list\":[-9223372036854775808,true,null,"
                                     "{},[],{\"x\":1}],\"no\":false}");
}

static void strings(void **state)
{
    static const char *const rows[][2] = {
        {"", "\"\""},
        {"a", "\"a\""},
        {"ñ ✅ 😀", "\"ñ ✅ 😀\""},
        {"\"\\/", "\"\\\"\\\\/\""},
        {"\b\f\n\r\t", "\"\\b\\f\\n\\r\\t\""},
        {"\x01\x1b\x1f", "\"\\u0001\\u001b\\u001f\""},
        {"a\nb\"c", "\"a\\nb\\\"c\""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        auto_buffer buffer;
        auto_json *root = NULL;
        struct json_writer json;
        buffer_init(&buffer, 4096);
        json_writer_init(&json, &buffer);
        json_write_string(&json, NULL, rows[i][0]);
        check_row(i, strcmp(buffer.data, rows[i][1]) == 0);
        check_row(i, json_parse(buffer.data, buffer.length, &root, NULL) == ERROR_NONE);
        check_row(i, strcmp(json_string(root), rows[i][0]) == 0);
    }
}

/* One character that needs an escape, or seems to, at each place of texts of each length. */
static void escapes_anywhere(void **state)
{
    static const char *const characters[] = {"\x01", "\x1f", "\"", "\\",   " ",       "!",
                                             "#",    "[",    "]",  "\x7f", "\xc3\xb1"};

    (void)state;
    for (size_t length = 0; length < 24; length++) {
        for (size_t i = 0; i < ARRAY_LENGTH(characters) * (length + 1); i++) {
            auto_buffer buffer;
            auto_json *root = NULL;
            struct json_writer json;
            char text[64];
            size_t place = i / ARRAY_LENGTH(characters);
            const char *character = characters[i % ARRAY_LENGTH(characters)];
            snprintf(text, sizeof text, "%.*s%s%.*s", (int)place, "abcdefghijklmnopqrstuvwxyz",
                     character, (int)(length - place), "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
            buffer_init(&buffer, 4096);
            json_writer_init(&json, &buffer);
            json_write_string(&json, NULL, text);
            check_row(i, json_parse(buffer.data, buffer.length, &root, NULL) == ERROR_NONE);
            check_row(i, strcmp(json_string(root), text) == 0);
        }
    }
}

static void keys_are_quoted_too(void **state)
{
    auto_buffer buffer;
    struct json_writer json;

    (void)state;
    buffer_init(&buffer, 4096);
    json_writer_init(&json, &buffer);
    json_begin_object(&json, NULL);
    json_write_integer(&json, "a\"b", 1);
    json_end_object(&json);
    assert_string_equal(buffer.data, "{\"a\\\"b\":1}");
}

static void overflow_shows_in_the_buffer(void **state)
{
    auto_buffer buffer;
    struct json_writer json;

    (void)state;
    buffer_init(&buffer, 8);
    json_writer_init(&json, &buffer);
    json_begin_array(&json, NULL);
    json_write_string(&json, NULL, "longer than eight");
    json_end_array(&json);
    assert_true(buffer.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_document),
        cmocka_unit_test(strings),
        cmocka_unit_test(escapes_anywhere),
        cmocka_unit_test(keys_are_quoted_too),
        cmocka_unit_test(overflow_shows_in_the_buffer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
