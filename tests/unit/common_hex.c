#include "unit.h"

#include "common/hex.h"

static void every_byte_there_and_back(void **state)
{
    unsigned char bytes[256];
    unsigned char parsed[256];
    char text[2 * sizeof bytes + 1];
    char expected[3];

    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)i;
    hex_format(bytes, sizeof bytes, text);
    assert_int_equal(strlen(text), 2 * sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++) {
        snprintf(expected, sizeof expected, "%02x", (unsigned)i);
        check_row(i, memcmp(text + 2 * i, expected, 2) == 0);
    }
    assert_true(hex_parse(text, sizeof bytes, parsed));
    assert_memory_equal(parsed, bytes, sizeof bytes);
}

static void every_length(void **state)
{
    const unsigned char bytes[] = {0x01, 0x9a, 0xaf, 0xf0, 0x19, 0xa9, 0x0f, 0xff, 0x00};
    static const char whole[] = "019aaff019a90fff00";
    char text[sizeof whole];

    (void)state;
    for (size_t i = 0; i <= sizeof bytes; i++) {
        hex_format(bytes, i, text);
        check_row(i, strlen(text) == 2 * i && memcmp(text, whole, 2 * i) == 0);
    }
}

static void what_is_no_digit(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        char text[] = "00000000";
        unsigned char bytes[4];
        bool digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        for (size_t i = 0; i < 8; i++) {
            text[i] = (char)c;
            check_row(c, hex_parse(text, sizeof bytes, bytes) == digit);
            text[i] = '0';
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_there_and_back),
        cmocka_unit_test(every_length),
        cmocka_unit_test(what_is_no_digit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
