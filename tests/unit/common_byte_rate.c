#include "unit.h"

#include "common/byte_rate.h"

static void takes_what_people_write(void **state)
{
    static const struct {
        const char *text;
        int64_t rate; /* -1: refused */
    } rows[] = {
        {"0", 0},
        {"none", 0},
        {"0 MiB/s", 0},
        {"1024", 1024},
        {"500000", 500000},
        {"500k", 512000},
        {"500K/s", 512000},
        {"2M", 2097152},
        {"2 MiB/s", 2097152},
        {"2mib", 2097152},
        {"1G", 1073741824},
        {"1024G", BYTE_RATE_MAX},
        {"2048 B/s", 2048},
        {"", -1},
        {"/s", -1},
        {"k", -1},
        {"1023", -1},
        {"-1", -1},
        {"+5000", -1},
        {"1.5M", -1},
        {"2MB", -1},
        {"2Mbit", -1},
        {"2 M iB", -1},
        {" 5000", -1},
        {"5000 ", 5000},
        {"1025G", -1},
        {"99999999999999999999999999999", -1},
        {"9223372036854775807", -1},
        {"5000/s/s", -1},
        {"None", -1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct error error = {0};
        int64_t rate = -1;
        enum error_code code = byte_rate_parse(rows[i].text, &rate, &error);
        check_row(i, code == (rows[i].rate < 0 ? ERROR_INVALID : ERROR_NONE));
        check_row(i, code || rate == rows[i].rate);
        check_row(i, !code || error.text[0]);
    }
}

static void checks_numbers(void **state)
{
    (void)state;
    assert_int_equal(byte_rate_check(0, NULL), ERROR_NONE);
    assert_int_equal(byte_rate_check(BYTE_RATE_MIN, NULL), ERROR_NONE);
    assert_int_equal(byte_rate_check(BYTE_RATE_MAX, NULL), ERROR_NONE);
    assert_int_equal(byte_rate_check(1, NULL), ERROR_INVALID);
    assert_int_equal(byte_rate_check(-1, NULL), ERROR_INVALID);
    assert_int_equal(byte_rate_check(BYTE_RATE_MAX + 1, NULL), ERROR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_what_people_write),
        cmocka_unit_test(checks_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
