/* What reaches the menu while it waits: which ends of downloads are told, and when. */
#include "unit.h"

#include "common/memory.h"
#include "peer/terminal/menu/menu_ends.h"
#include "peer/terminal/menu/menu_events.h"

#define START 1000000

/* How many of `count` ends are told by themselves. */
static unsigned take(struct menu_ends *ends, unsigned count, int64_t now_ms)
{
    unsigned told = 0;

    for (unsigned i = 0; i < count; i++)
        told += menu_ends_take(ends, false, now_ms);
    return told;
}

static void check_sum(struct menu_ends *ends, int64_t now_ms, const char *expected)
{
    auto_free char *text = menu_ends_sum(ends, false, now_ms);

    if (expected)
        assert_string_equal(text ? text : "none", expected);
    else
        assert_null(text);
}

static void a_few_are_told_each(void **state)
{
    struct menu_ends ends = {0};

    (void)state;
    for (int64_t now_ms = START; now_ms < START + 100000; now_ms += MENU_ENDS_WINDOW_MS) {
        assert_int_equal(take(&ends, MENU_ENDS_TOLD, now_ms), MENU_ENDS_TOLD);
        assert_int_equal(menu_ends_wait_ms(&ends, now_ms), -1);
        check_sum(&ends, now_ms + 1000000, NULL);
    }
}

static void many_are_a_sum(void **state)
{
    struct menu_ends ends = {0};

    (void)state;
    assert_int_equal(take(&ends, MENU_ENDS_TOLD + 1, START), MENU_ENDS_TOLD);
    assert_int_equal(menu_ends_wait_ms(&ends, START + 500), MENU_ENDS_QUIET_MS - 500);
    check_sum(&ends, START + MENU_ENDS_QUIET_MS - 1, NULL);
    check_sum(&ends, START + MENU_ENDS_QUIET_MS, "… y 1 descarga más terminada");
    assert_int_equal(menu_ends_wait_ms(&ends, START + MENU_ENDS_QUIET_MS), -1);
    /* What follows at once belongs to the many. */
    int64_t now_ms = START + MENU_ENDS_QUIET_MS + 1;
    assert_int_equal(take(&ends, 1999, now_ms), 0);
    assert_false(menu_ends_take(&ends, true, now_ms));
    now_ms += MENU_ENDS_QUIET_MS;
    assert_int_equal(menu_ends_wait_ms(&ends, now_ms), 0);
    check_sum(&ends, now_ms, "… y 2000 descargas más terminadas, 1 con error");
    /* Later ones are news again. */
    assert_int_equal(take(&ends, 3, now_ms + MENU_ENDS_WINDOW_MS), 3);
}

static void a_flood_without_end_is_told_now_and_then(void **state)
{
    struct menu_ends ends = {0};
    unsigned told = 0;
    unsigned sums = 0;

    (void)state;
    for (int64_t now_ms = START; now_ms < START + 4 * MENU_ENDS_SUM_MS; now_ms += 10) {
        told += take(&ends, 1, now_ms);
        auto_free char *text = menu_ends_sum(&ends, false, now_ms);
        sums += text != NULL;
    }
    assert_int_equal(told, MENU_ENDS_TOLD);
    assert_in_range(sums, 3, 4);
}

static void what_was_asked_for_here_is_told(void **state)
{
    struct menu_events *events = menu_events_new();

    (void)state;
    menu_events_expect(events, "mine", true);
    menu_events_expect(events, "not any more", true);
    menu_events_expect(events, "not any more", false);
    for (int i = 0; i < MENU_ENDS_TOLD; i++)
        assert_true(menu_events_tells_end(events, "a", false));
    assert_int_equal(menu_events_wait_ms(events), -1);
    assert_false(menu_events_tells_end(events, "a", false));
    assert_true(menu_events_tells_end(events, "mine", false));
    assert_false(menu_events_tells_end(events, "mine", false)); /* that was another one */
    assert_false(menu_events_tells_end(events, "not any more", true));
    assert_in_range(menu_events_wait_ms(events), 0, MENU_ENDS_QUIET_MS);
    menu_events_post_line(events, "line");
    auto_free char *line = menu_events_take_line(events);
    assert_string_equal(line, "line");
    assert_null(menu_events_take_line(events));
    menu_events_end(events);
    auto_free char *sum = menu_events_take_line(events);
    assert_string_equal(sum, "… y 3 descargas más terminadas, 1 con error");
    assert_null(menu_events_take_line(events));
    menu_events_expect(events, "never", true);
    menu_events_free(events);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_few_are_told_each),
        cmocka_unit_test(many_are_a_sum),
        cmocka_unit_test(a_flood_without_end_is_told_now_and_then),
        cmocka_unit_test(what_was_asked_for_here_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
