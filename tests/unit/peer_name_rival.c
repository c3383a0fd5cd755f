#include "unit.h"

#include "peer/network/name_rival.h"

#include <string.h>

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)

/* What the directory says of a login: from where the other one comes, whether it has our list. */
static struct name_rival_login says(struct directory_session *session, int64_t now_ms,
                                    const char *other, bool has_list)
{
    *session = (struct directory_session){
        .says_index = true, .index_needed = !has_list, .expiry_ms = 30 * SECOND};
    snprintf(session->other_address, sizeof session->other_address, "%s", other);
    strcpy(session->local_address, "10.0.0.1");
    return (struct name_rival_login){.now_ms = now_ms, .session = session, .was_certain = true};
}

static enum name_rival_news note(struct name_rival *rival, int64_t now_ms, const char *other,
                                 bool has_list)
{
    struct directory_session session;
    struct name_rival_login login = says(&session, now_ms, other, has_list);

    return name_rival_note(rival, &login);
}

static void keeps_back_what_was_replaced(void **state)
{
    struct name_rival rival = {.seen_ms = 0};

    (void)state;
    assert_int_equal(note(&rival, 0, "", true), NAME_RIVAL_NO_NEWS);
    assert_int_equal(note(&rival, 10 * SECOND, "10.0.0.2", false), NAME_RIVAL_COMES);
    assert_true(rival.status.is_there && rival.status.is_listed);
    assert_string_equal(rival.status.address, "10.0.0.2");
    for (int64_t s = 20; s < 300; s += 20) { /* it misses one now and then */
        assert_int_equal(note(&rival, s * SECOND, "", false), NAME_RIVAL_NO_NEWS);
        assert_int_equal(note(&rival, (s + 9) * SECOND, "10.0.0.2", false), NAME_RIVAL_NO_NEWS);
        assert_true(rival.status.is_listed);
    }
    int64_t last = 289 * SECOND;
    assert_int_equal(note(&rival, last + 29 * SECOND, "", false), NAME_RIVAL_NO_NEWS);
    assert_int_equal(note(&rival, last + 30 * SECOND, "", false), NAME_RIVAL_GOES);
    assert_false(rival.status.is_there || rival.status.is_listed);
    assert_string_equal(rival.status.address, "");
}

static void the_last_one_stays_listed(void **state)
{
    struct name_rival rival = {.seen_ms = 0};
    struct directory_session session;
    struct name_rival_login login = says(&session, 0, "10.0.0.2", false);

    (void)state;
    login.was_certain = false;
    login.with_index = true; /* it has not got it yet, and is told now */
    assert_int_equal(name_rival_note(&rival, &login), NAME_RIVAL_COMES);
    assert_false(rival.status.is_listed);
    assert_int_equal(note(&rival, 10 * SECOND, "10.0.0.2", true), NAME_RIVAL_NO_NEWS);
    assert_false(rival.status.is_listed);
    /* A third one. */
    assert_int_equal(note(&rival, 20 * SECOND, "10.0.0.3", false), NAME_RIVAL_NO_NEWS);
    assert_true(rival.status.is_listed);
    assert_string_equal(rival.status.address, "10.0.0.3");
}

static void one_that_logs_out_is_gone_at_once(void **state)
{
    struct name_rival rival = {.seen_ms = 0};
    struct directory_session session;

    (void)state;
    assert_int_equal(note(&rival, 0, "10.0.0.2", false), NAME_RIVAL_COMES);
    struct name_rival_login login = says(&session, 10 * SECOND, "", false);
    login.is_new_token = true;
    assert_int_equal(name_rival_note(&rival, &login), NAME_RIVAL_GOES);
}

static void who_moves_is_no_rival(void **state)
{
    struct name_rival rival = {.seen_ms = 0};
    struct directory_session session;

    (void)state;
    for (int i = 0; i < 10; i++) {
        struct name_rival_login login = says(&session, i * SECOND, i ? "10.0.0.1" : "", i == 0);
        snprintf(session.local_address, sizeof session.local_address, "10.0.0.%d", i);
        check_row(i, name_rival_note(&rival, &login) == NAME_RIVAL_NO_NEWS);
        check_row(i, !rival.status.is_there && !rival.status.is_listed);
    }
}

/* How long the list stays here after a loss. */
static int64_t hold_ms(struct name_rival *rival, int64_t now_ms)
{
    int64_t begin_ms = now_ms;

    assert_int_equal(note(rival, now_ms, "", false), NAME_RIVAL_COMES);
    assert_true(rival->status.is_listed);
    assert_string_equal(rival->status.address, "");
    while (note(rival, now_ms, "", false) != NAME_RIVAL_GOES)
        now_ms += SECOND;
    return now_ms - begin_ms;
}

static void losses_without_a_word_take_ever_longer(void **state)
{
    static const int64_t seconds[] = {30, 60, 120, 240, 480, 600, 600};
    struct name_rival rival = {.seen_ms = 0};
    int64_t now_ms = 0;

    (void)state;
    assert_int_equal(note(&rival, now_ms, "", false), NAME_RIVAL_NO_NEWS);
    for (size_t i = 0; i < ARRAY_LENGTH(seconds); i++) {
        now_ms += 10 * SECOND;
        assert_int_equal(note(&rival, now_ms, "", true), NAME_RIVAL_NO_NEWS);
        now_ms += 10 * SECOND;
        int64_t held_ms = hold_ms(&rival, now_ms);
        check_row(i, held_ms == seconds[i] * SECOND);
        now_ms += held_ms;
    }
    now_ms += 21 * MINUTE;
    assert_int_equal(note(&rival, now_ms, "", false), NAME_RIVAL_NO_NEWS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_back_what_was_replaced),
        cmocka_unit_test(the_last_one_stays_listed),
        cmocka_unit_test(one_that_logs_out_is_gone_at_once),
        cmocka_unit_test(who_moves_is_no_rival),
        cmocka_unit_test(losses_without_a_word_take_ever_longer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
