#include "unit.h"

#include "common/buffer.h"

static void grows_and_terminates(void **state)
{
    auto_buffer buffer;

    (void)state;
    buffer_init(&buffer, 100000);
    assert_null(buffer.data);
    for (int i = 0; i < 1000; i++)
        buffer_printf(&buffer, "%04d,", i);
    buffer_append_char(&buffer, '!');
    buffer_append_string(&buffer, "");
    buffer_append(&buffer, "a\0b", 3);
    assert_false(buffer.failed);
    assert_int_equal(buffer.length, 5004);
    assert_memory_equal(buffer.data, "0000,0001,", 10);
    assert_memory_equal(buffer.data + 4995, "0999,!a\0b", 10);
}

static void cap_is_exact(void **state)
{
    auto_buffer buffer;

    (void)state;
    buffer_init(&buffer, 10);
    buffer_append_string(&buffer, "0123456789");
    assert_false(buffer.failed);
    buffer_append(&buffer, NULL, 0);
    assert_false(buffer.failed);
    buffer_append_char(&buffer, 'x');
    assert_true(buffer.failed);
    assert_string_equal(buffer.data, "0123456789");
}

static void failure_sticks_until_cleared(void **state)
{
    auto_buffer buffer;

    (void)state;
    buffer_init(&buffer, 5);
    buffer_append_string(&buffer, "abc");
    buffer_printf(&buffer, "%s", "defg");
    assert_true(buffer.failed);
    buffer_append_char(&buffer, 'd'); /* would fit, but comes after what was lost */
    assert_string_equal(buffer.data, "abc");
    buffer_clear(&buffer);
    assert_false(buffer.failed);
    assert_int_equal(buffer.length, 0);
    assert_string_equal(buffer.data, "");
    buffer_append_string(&buffer, "abcde");
    assert_false(buffer.failed);
}

static void take_gives_the_memory_away(void **state)
{
    auto_buffer buffer;

    (void)state;
    buffer_init(&buffer, 10);
    char *text = buffer_take(&buffer);
    assert_string_equal(text, "");
    free(text);
    buffer_append_string(&buffer, "abc");
    text = buffer_take(&buffer);
    assert_string_equal(text, "abc");
    free(text);
    assert_int_equal(buffer.length, 0);
    assert_int_equal(buffer.limit, 10);
    buffer_append_string(&buffer, "x");
    assert_string_equal(buffer.data, "x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_and_terminates),
        cmocka_unit_test(cap_is_exact),
        cmocka_unit_test(failure_sticks_until_cleared),
        cmocka_unit_test(take_gives_the_memory_away),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
