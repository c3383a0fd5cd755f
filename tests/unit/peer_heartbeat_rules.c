#include "unit.h"

#include "peer/network/heartbeat_rules.h"

static const struct directory_session session = {
    .token = "one", .tells_expiry = true, .expiry_ms = 30000, .heartbeat_ms = 10000};

static struct heartbeat_attempt at(int64_t start_ms, int64_t end_ms, bool with_index)
{
    return (struct heartbeat_attempt){
        .start_ms = start_ms, .end_ms = end_ms, .with_index = with_index};
}

static struct heartbeat_rules listed_rules(void)
{
    struct heartbeat_attempt attempt = at(0, 100, true);
    struct heartbeat_rules rules;

    heartbeat_rules_init(&rules);
    assert_int_equal(heartbeat_rules_success(&rules, &attempt, &session), HEARTBEAT_IS_LISTED);
    return rules;
}

static void begins_at_once_with_an_index(void **state)
{
    struct heartbeat_rules rules;

    (void)state;
    heartbeat_rules_init(&rules);
    assert_true(rules.wants_index);
    assert_int_equal(heartbeat_rules_wait_ms(&rules, 0, 5, 77), 0);
}

static void beats_with_jitter(void **state)
{
    struct heartbeat_rules rules = listed_rules();

    (void)state;
    assert_false(rules.wants_index);
    assert_int_equal(heartbeat_rules_wait_ms(&rules, 100, 100, 0), 10000);
    assert_int_equal(heartbeat_rules_wait_ms(&rules, 100, 100, UINT32_MAX), 8000);
    assert_in_range(heartbeat_rules_wait_ms(&rules, 100, 100, UINT32_MAX / 2), 8900, 9100);
    assert_int_equal(heartbeat_rules_wait_ms(&rules, 100, 4100, 0), 6000);
    assert_int_equal(heartbeat_rules_wait_ms(&rules, 100, 999999, 0), 0);
}

static void tells_a_change_within_two_seconds(void **state)
{
    struct heartbeat_rules rules = listed_rules();
    struct heartbeat_attempt attempt = at(5000, 5200, true);

    (void)state;
    heartbeat_rules_changed(&rules);
    assert_int_equal(heartbeat_rules_wait_ms(&rules, 100, 5000, 0), 0);
    assert_int_equal(heartbeat_rules_success(&rules, &attempt, &session), HEARTBEAT_NO_NEWS);
    assert_false(rules.wants_index);
    /* The next one: not at once, but soon. */
    heartbeat_rules_changed(&rules);
    assert_int_equal(heartbeat_rules_wait_ms(&rules, 5200, 5250, 0), 950);
    /* A directory for which that is hard work is given time. */
    attempt = at(6200, 7200, true);
    heartbeat_rules_success(&rules, &attempt, &session);
    heartbeat_rules_changed(&rules);
    assert_int_equal(heartbeat_rules_wait_ms(&rules, 7200, 7200, 0), 4000);
    /* Never later than the heartbeat. */
    attempt = at(10000, 16000, true);
    heartbeat_rules_success(&rules, &attempt, &session);
    heartbeat_rules_changed(&rules);
    assert_int_equal(heartbeat_rules_wait_ms(&rules, 16000, 16000, 0), 10000);
}

static void backs_off_and_says_it_once(void **state)
{
    static const int64_t limits[] = {500, 1000, 2000, 4000, 5000, 5000, 5000};
    struct heartbeat_rules rules = listed_rules();
    struct heartbeat_attempt attempt = at(10000, 10010, false);

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(limits); i++) {
        enum heartbeat_news news = heartbeat_rules_failure(&rules, &attempt, ERROR_UNREACHABLE);
        check_row(i, news == (i == 0 ? HEARTBEAT_IS_AWAY : HEARTBEAT_NO_NEWS));
        check_row(i, heartbeat_rules_wait_ms(&rules, 0, 0, UINT32_MAX) == limits[i]);
        check_row(i, heartbeat_rules_wait_ms(&rules, 0, 0, 0) == HEARTBEAT_BACKOFF_MIN_MS);
        check_row(i, rules.wants_index && !heartbeat_rules_with_index(&rules));
    }
    for (int i = 0; i < 1000; i++)
        (void)heartbeat_rules_failure(&rules, &attempt, ERROR_TIMEOUT);
    assert_int_equal(heartbeat_rules_wait_ms(&rules, 0, 0, UINT32_MAX), 5000);
    assert_int_equal(heartbeat_rules_success(&rules, &attempt, &session), HEARTBEAT_IS_BACK);
    assert_int_equal(rules.failures, 0);
    /* Now that it is there, the index, at once. */
    assert_true(heartbeat_rules_with_index(&rules));
    assert_int_equal(heartbeat_rules_wait_ms(&rules, 10010, 10010, 0), 0);
}

static void comes_again_when_it_is_told_to(void **state)
{
    struct heartbeat_rules rules = listed_rules();
    struct heartbeat_attempt attempt = at(10000, 10010, false);

    (void)state;
    attempt.retry_ms = 20000;
    assert_int_equal(heartbeat_rules_failure(&rules, &attempt, ERROR_BUSY), HEARTBEAT_IS_AWAY);
    assert_int_equal(heartbeat_rules_wait_ms(&rules, 10010, 10010, 0), 20000);
    assert_int_equal(heartbeat_rules_wait_ms(&rules, 10010, 10010, UINT32_MAX), 25000);
    attempt.retry_ms = 0;
    (void)heartbeat_rules_failure(&rules, &attempt, ERROR_UNREACHABLE);
    assert_int_equal(heartbeat_rules_wait_ms(&rules, 10010, 10010, 0), HEARTBEAT_BACKOFF_MIN_MS);
}

static struct directory_session says(bool index_needed)
{
    struct directory_session said = session;

    said.says_index = true;
    said.index_needed = index_needed;
    return said;
}

static void goes_by_what_the_directory_says(void **state)
{
    struct heartbeat_rules rules = listed_rules();
    struct heartbeat_attempt plain = at(10000, 10010, false);
    struct heartbeat_attempt index = at(10010, 10020, true);
    const struct directory_session has = says(false);
    const struct directory_session needs = says(true);
    struct directory_session other = has;

    (void)state;
    /* Another token is no matter, if it has the list. */
    strcpy(other.token, "two");
    heartbeat_rules_success(&rules, &plain, &other);
    assert_false(rules.wants_index);
    /* Another list in the same session: said once. */
    heartbeat_rules_success(&rules, &plain, &has);
    assert_int_equal(heartbeat_rules_success(&rules, &plain, &needs), HEARTBEAT_INDEX_LOST);
    assert_true(rules.wants_index);
    assert_int_equal(heartbeat_rules_wait_ms(&rules, 10010, 10010, 0), 0);
    heartbeat_rules_success(&rules, &index, &has);
    assert_int_equal(heartbeat_rules_success(&rules, &plain, &needs), HEARTBEAT_NO_NEWS);
    /* After an outage. */
    (void)heartbeat_rules_failure(&rules, &plain, ERROR_UNREACHABLE);
    assert_int_equal(heartbeat_rules_success(&rules, &plain, &has), HEARTBEAT_IS_BACK);
    assert_false(rules.wants_index);
    (void)heartbeat_rules_failure(&rules, &plain, ERROR_UNREACHABLE);
    assert_int_equal(heartbeat_rules_success(&rules, &plain, &needs), HEARTBEAT_IS_BACK);
    assert_true(rules.wants_index);
}

static void keeps_off_a_directory_that_is_away(void **state)
{
    struct heartbeat_rules rules = listed_rules();
    struct heartbeat_attempt attempt = at(10000, 10010, false);

    (void)state;
    for (int i = 0; i < 5; i++)
        (void)heartbeat_rules_failure(&rules, &attempt, ERROR_UNREACHABLE);
    heartbeat_rules_changed(&rules); /* no reason to knock */
    assert_int_equal(heartbeat_rules_wait_ms(&rules, 10010, 10010, UINT32_MAX), 5000);
}

static void is_slow_after_a_refusal(void **state)
{
    struct heartbeat_attempt attempt = at(0, 10, true);
    struct heartbeat_rules rules;

    (void)state;
    heartbeat_rules_init(&rules);
    assert_int_equal(heartbeat_rules_failure(&rules, &attempt, ERROR_DENIED), HEARTBEAT_IS_REFUSED);
    assert_int_equal(heartbeat_rules_failure(&rules, &attempt, ERROR_DENIED), HEARTBEAT_NO_NEWS);
    assert_int_equal(heartbeat_rules_wait_ms(&rules, 10, 10, 0), HEARTBEAT_REFUSED_MS);
    assert_int_equal(heartbeat_rules_wait_ms(&rules, 10, 10, UINT32_MAX),
                     HEARTBEAT_REFUSED_MS * 4 / 5);
    assert_int_equal(heartbeat_rules_failure(&rules, &attempt, ERROR_UNREACHABLE),
                     HEARTBEAT_IS_AWAY);
    assert_int_equal(heartbeat_rules_success(&rules, &attempt, &session), HEARTBEAT_IS_BACK);
}

static void sends_the_index_to_who_forgot_us(void **state)
{
    struct heartbeat_rules rules = listed_rules();
    struct heartbeat_attempt attempt = at(10000, 10010, false);
    struct directory_session other = session;

    (void)state;
    assert_int_equal(heartbeat_rules_success(&rules, &attempt, &session), HEARTBEAT_NO_NEWS);
    assert_false(rules.wants_index);
    strcpy(other.token, "two");
    assert_int_equal(heartbeat_rules_success(&rules, &attempt, &other), HEARTBEAT_NO_NEWS);
    assert_true(rules.wants_index);
    assert_int_equal(heartbeat_rules_wait_ms(&rules, 10010, 10010, 0), 0);
    attempt = at(10010, 10020, true);
    heartbeat_rules_success(&rules, &attempt, &other);
    attempt = at(20000, 20020, false);
    heartbeat_rules_success(&rules, &attempt, &other);
    assert_false(rules.wants_index);
}

static void stays_listed_when_only_the_index_is_refused(void **state)
{
    struct heartbeat_attempt attempt = at(0, 10, true);
    struct heartbeat_rules rules;

    (void)state;
    heartbeat_rules_init(&rules);
    assert_int_equal(heartbeat_rules_failure(&rules, &attempt, ERROR_INVALID),
                     HEARTBEAT_INDEX_REFUSED);
    assert_int_equal(heartbeat_rules_wait_ms(&rules, 10, 10, 0), 0);
    attempt = at(10, 20, false);
    assert_int_equal(heartbeat_rules_success(&rules, &attempt, &session), HEARTBEAT_IS_LISTED);
    assert_false(rules.wants_index); /* until the folder is another one */
    attempt = at(10000, 10010, false);
    assert_int_equal(heartbeat_rules_success(&rules, &attempt, &session), HEARTBEAT_NO_NEWS);
    assert_false(rules.wants_index);
    heartbeat_rules_changed(&rules);
    assert_int_equal(heartbeat_rules_wait_ms(&rules, 10010, 10020, 0), 0);
    /* A plain login that is called invalid is no matter of the index. */
    assert_int_equal(heartbeat_rules_failure(&rules, &attempt, ERROR_INVALID), HEARTBEAT_IS_AWAY);
}

static void does_not_spin_while_the_folder_cannot_be_read(void **state)
{
    struct heartbeat_rules rules = listed_rules();
    struct heartbeat_attempt attempt = at(5000, 5010, false);

    (void)state;
    heartbeat_rules_changed(&rules);
    heartbeat_rules_success(&rules, &attempt, &session);
    assert_true(rules.wants_index);
    assert_int_equal(heartbeat_rules_wait_ms(&rules, 5010, 5010, 0), HEARTBEAT_INDEX_GAP_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(begins_at_once_with_an_index),
        cmocka_unit_test(beats_with_jitter),
        cmocka_unit_test(tells_a_change_within_two_seconds),
        cmocka_unit_test(backs_off_and_says_it_once),
        cmocka_unit_test(keeps_off_a_directory_that_is_away),
        cmocka_unit_test(comes_again_when_it_is_told_to),
        cmocka_unit_test(goes_by_what_the_directory_says),
        cmocka_unit_test(is_slow_after_a_refusal),
        cmocka_unit_test(sends_the_index_to_who_forgot_us),
        cmocka_unit_test(stays_listed_when_only_the_index_is_refused),
        cmocka_unit_test(does_not_spin_while_the_folder_cannot_be_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
