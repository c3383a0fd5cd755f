#include "unit.h"

#include "common/text.h"

#define BYTES(literal) literal, sizeof literal - 1

static void utf8_well_formed_or_not(void **state)
{
    static const struct {
        const char *text;
        size_t length;
        bool good;
    } rows[] = {
        {BYTES(""), true},
        {BYTES("abc"), true},
        {BYTES("a\0b"), true},
        {BYTES("ñandú ✅ 😀"), true},
        {BYTES("\xc2\x80"), true},
        {BYTES("\xdf\xbf"), true},
        {BYTES("\xe0\xa0\x80"), true},
        {BYTES("\xed\x9f\xbf"), true},
        {BYTES("\xee\x80\x80"), true},
        {BYTES("\xf4\x8f\xbf\xbf"), true},
        {BYTES("\x80"), false},             /* continuation alone */
        {BYTES("\xc2"), false},             /* cut short */
        {BYTES("\xe2\x9c"), false},         /* cut short */
        {BYTES("\xf0\x9f\x98"), false},     /* cut short */
        {BYTES("\xc3("), false},            /* no continuation */
        {BYTES("\xc0\xaf"), false},         /* '/' in two bytes */
        {BYTES("\xc1\xbf"), false},         /* overlong */
        {BYTES("\xe0\x80\xaf"), false},     /* overlong */
        {BYTES("\xf0\x80\x80\xaf"), false}, /* overlong */
        {BYTES("\xed\xa0\x80"), false},     /* surrogate */
        {BYTES("\xed\xbf\xbf"), false},     /* surrogate */
        {BYTES("\xf4\x90\x80\x80"), false}, /* over U+10FFFF */
        {BYTES("\xf8\x88\x80\x80\x80"), false},
        {BYTES("\xff"), false},
        {BYTES("caf\xe9"), false}, /* Latin-1 */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
        check_row(i, text_is_utf8(rows[i].text, rows[i].length) == rows[i].good);
    /* Wherever it stands in longer text, which is looked at in words. */
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        for (size_t before = 0; before <= 16; before++) {
            char text[64];
            memset(text, 'x', sizeof text);
            memcpy(text + before, rows[i].text, rows[i].length);
            check_row(i, text_is_utf8(text, sizeof text) == rows[i].good);
            check_row(i, text_is_utf8(text, before + rows[i].length) == rows[i].good);
        }
    }
}

static void control_characters(void **state)
{
    static const struct {
        const char *text;
        size_t length;
        bool control;
    } rows[] = {
        {BYTES(""), false},        {BYTES("plain ñ ✅"), false},
        {BYTES("a\0"), true},      {BYTES("\n"), true},
        {BYTES("a\tb"), true},     {BYTES("\x1b[31m"), true},
        {BYTES("\x7f"), true},     {BYTES("\xc2\x80"), true},
        {BYTES("\xc2\x9b"), true}, /* CSI in one character */
        {BYTES("\xc2\x9f"), true}, {BYTES("\xc2\xa0"), false},
        {BYTES("~ "), false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
        check_row(i, text_has_control(rows[i].text, rows[i].length) == rows[i].control);
}

static void cut_keeps_characters_whole(void **state)
{
    static const struct {
        const char *text;
        size_t length;
        const char *expected;
    } rows[] = {
        {"abc", 5, "abc"}, {"abc", 3, "abc"},    {"abc", 2, "ab"},      {"abc", 0, ""},
        {"", 0, ""},       {"ñandú", 6, "ñand"}, {"ñandú", 7, "ñandú"}, {"ñ", 1, ""},
        {"a✅", 3, "a"},    {"a✅", 2, "a"},       {"a✅", 4, "a✅"},       {"😀😀", 7, "😀"},
        {"😀😀", 4, "😀"},    {"😀😀", 3, ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char text[32];
        strcpy(text, rows[i].text);
        text_cut(text, rows[i].length);
        check_row(i, strcmp(text, rows[i].expected) == 0);
    }
}

static void clean_is_harmless(void **state)
{
    static const struct {
        const char *text;
        size_t size;
        const char *expected;
    } rows[] = {
        {"plain", 32, "plain"},
        {"ñ ✅", 32, "ñ ✅"},
        {"a\nb\tc", 32, "a?b?c"},
        {"\x1b]0;title\x07", 32, "?]0;title?"},
        {"\x1b[2J", 32, "?[2J"},
        {"\xc2\x9b"
         "2J",
         32, "?2J"},
        {"caf\xe9!", 32, "caf?!"},
        {"\xe2\x9c", 32, "??"},
        {"a\xe2\x80\xa8z", 32, "a?z"}, /* line separator */
        {"a\xe2\x80\xaez", 32, "a?z"}, /* right-to-left override */
        {"a\xe2\x81\xa6z", 32, "a?z"}, /* isolate */
        {"a\xe2\x81\xa9z", 32, "a?z"},
        {"abcdef", 4, "abc"},
        {"ab✅", 5, "ab"},
        {"ab✅", 6, "ab✅"},
        {"abc", 1, ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char out[32];
        check_row(i, text_clean(rows[i].text, out, rows[i].size) == out);
        check_row(i, strcmp(out, rows[i].expected) == 0);
    }
}

static void integers(void **state)
{
    static const struct {
        const char *text;
        long long min, max;
        bool good;
        long long value;
    } rows[] = {
        {"0", 0, 10, true, 0},
        {"10", 0, 10, true, 10},
        {"-5", -5, 10, true, -5},
        {"007", 0, 10, true, 7},
        {"11", 0, 10, false, 0},
        {"-1", 0, 10, false, 0},
        {"", 0, 10, false, 0},
        {"-", 0, 10, false, 0},
        {"+1", 0, 10, false, 0},
        {" 1", 0, 10, false, 0},
        {"1 ", 0, 10, false, 0},
        {"1x", 0, 10, false, 0},
        {"0x1", 0, 10, false, 0},
        {"1e1", 0, 10, false, 0},
        {"9223372036854775807", INT64_MIN, INT64_MAX, true, INT64_MAX},
        {"-9223372036854775808", INT64_MIN, INT64_MAX, true, INT64_MIN},
        {"9223372036854775808", INT64_MIN, INT64_MAX, false, 0},
        {"99999999999999999999999", INT64_MIN, INT64_MAX, false, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        long long value = 0;
        bool good = text_to_integer(rows[i].text, rows[i].min, rows[i].max, &value);
        check_row(i, good == rows[i].good);
        check_row(i, !good || value == rows[i].value);
    }
}

static void columns(void **state)
{
    static const struct {
        const char *text;
        size_t columns;
    } rows[] = {
        {"", 0},      {"abc", 3},
        {"ñandú", 5}, {"e\xcc\x81", 1}, /* e and a combining acute accent */
        {"日本", 4},  {"한", 2},
        {"ｱＡ", 3},                         /* half width, full width */
        {"😀", 2},     {"✅ ❌", 5},           /* what the menu prints */
        {"⚡", 2},     {"a\xe2\x80\x8d", 1}, /* zero width joiner */
        {"│─", 2},    {"\xff", 1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
        check_row(i, text_columns(rows[i].text) == rows[i].columns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf8_well_formed_or_not),
        cmocka_unit_test(control_characters),
        cmocka_unit_test(cut_keeps_characters_whole),
        cmocka_unit_test(clean_is_harmless),
        cmocka_unit_test(integers),
        cmocka_unit_test(columns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
