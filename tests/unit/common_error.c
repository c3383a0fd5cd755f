#include "unit.h"

#include "common/error.h"
#include "common/text.h"

#include <errno.h>

static void set_fills_and_returns(void **state)
{
    struct error error = {0};

    (void)state;
    assert_int_equal(error_set(&error, ERROR_EXISTS, "Ya existe %s", "a.txt"), ERROR_EXISTS);
    assert_int_equal(error.code, ERROR_EXISTS);
    assert_string_equal(error.text, "Ya existe a.txt");
    assert_int_equal(error_set(NULL, ERROR_BUSY, "%d", 1), ERROR_BUSY);
}

static void errno_becomes_a_code(void **state)
{
    static const struct {
        int value;
        enum error_code code;
    } rows[] = {
        {ENOENT, ERROR_NOT_FOUND},  {EEXIST, ERROR_EXISTS},
        {EACCES, ERROR_DENIED},     {EPERM, ERROR_DENIED},
        {ENOSPC, ERROR_NO_SPACE},   {EDQUOT, ERROR_NO_SPACE},
        {EFBIG, ERROR_TOO_LARGE},   {ELOOP, ERROR_INVALID},
        {ETIMEDOUT, ERROR_TIMEOUT}, {ECONNREFUSED, ERROR_UNREACHABLE},
        {EADDRINUSE, ERROR_BUSY},   {EIO, ERROR_IO},
        {ENOMEM, ERROR_IO},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct error error = {0};
        check_row(i, error_set_errno(&error, rows[i].value, "opening %s", "x") == rows[i].code);
        check_row(i, error.code == rows[i].code);
        check_row(i, error_set_errno(NULL, rows[i].value, "x") == rows[i].code);
        check_row(i, strncmp(error.text, "opening x: ", 11) == 0);
        check_row(i, strcmp(error.text + 11, strerror(rows[i].value)) == 0);
    }
}

static void context_goes_before(void **state)
{
    struct error error = {0};

    (void)state;
    (void)error_set(&error, ERROR_DENIED, "no");
    assert_int_equal(error_context(&error, "while %s", "reading"), ERROR_DENIED);
    assert_string_equal(error.text, "while reading: no");
    assert_int_equal(error_context(NULL, "x"), ERROR_IO);
}

/* Long texts of two-byte characters, both alignments: cut, but never inside a character. */
static void long_texts_are_cut_whole(void **state)
{
    char text[2000] = "";

    (void)state;
    for (int i = 0; i < 900; i++)
        strcat(text, "ñ");
    for (int shift = 0; shift < 2; shift++) {
        struct error error = {0};
        (void)error_set(&error, ERROR_IO, "%s%s", shift ? "x" : "", text);
        assert_in_range(strlen(error.text), ERROR_TEXT_BYTES - 3, ERROR_TEXT_BYTES - 1);
        assert_true(text_is_utf8(error.text, strlen(error.text)));
        (void)error_context(&error, "%s%s", shift ? "x" : "", text);
        assert_true(text_is_utf8(error.text, strlen(error.text)));
        (void)error_set_errno(&error, ENOSPC, "%s%s", shift ? "x" : "", text);
        assert_true(text_is_utf8(error.text, strlen(error.text)));
        assert_non_null(strstr(error.text, ": No space left on device"));
    }
}

static void every_code_has_a_name(void **state)
{
    (void)state;
    for (int i = 0; i < ERROR_CODE_COUNT; i++) {
        assert_non_null(error_code_name((enum error_code)i));
        assert_string_not_equal(error_code_name((enum error_code)i), "unknown");
        for (int j = 0; j < i; j++)
            assert_string_not_equal(error_code_name((enum error_code)i),
                                    error_code_name((enum error_code)j));
    }
    assert_string_equal(error_code_name((enum error_code)ERROR_CODE_COUNT), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_fills_and_returns), cmocka_unit_test(errno_becomes_a_code),
        cmocka_unit_test(context_goes_before),   cmocka_unit_test(long_texts_are_cut_whole),
        cmocka_unit_test(every_code_has_a_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
