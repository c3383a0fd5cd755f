#include "unit.h"

#include "common/buffer.h"
#include "common/memory.h"
#include "directory/registry.h"
#include "directory/secrets.h"

enum { EXPIRY_MS = 30000 };

static int start(void **state)
{
    if (secrets_init(NULL))
        return -1;
    *state = registry_new(EXPIRY_MS);
    return 0;
}

static int stop(void **state)
{
    registry_free(*state);
    return 0;
}

static struct registry_login log_in(struct registry *registry, const char *name, int64_t now_ms)
{
    const struct registry_claim claim = {.host = "h"};
    struct registry_login login;

    registry_log_in(registry, name, &claim, now_ms, &login);
    return login;
}

/* Stands for a list. */
static const struct index_sum list_one = {{1}};
static const struct index_sum list_two = {{2}};

static struct registry_login claim_from(struct registry *registry, const struct index_sum *etag,
                                        bool brings_list, const char *host)
{
    const struct registry_claim claim = {.etag = etag, .brings_list = brings_list, .host = host};
    struct registry_login login;

    registry_log_in(registry, "A", &claim, 0, &login);
    assert_int_equal(login.must_store, brings_list && !login.is_stored);
    return login;
}

static bool must_store(struct registry *registry, const struct index_sum *etag)
{
    return claim_from(registry, etag, true, "h").must_store;
}

static void set_index(struct registry *registry, const struct index_sum *etag, const char *host)
{
    const struct registry_list list = {.etag = etag, .host = host, .urls = "[\"h:1\"]"};

    registry_set_index(registry, 1, &list);
}

static void add_name(void *context, const struct registry_peer *peer)
{
    struct buffer *out = context;

    buffer_printf(out, "%s%s", out->length ? " " : "", peer->name);
}

/* "A B C": who is active, in the order of the list. */
static void check_active(struct registry *registry, int64_t now_ms, const char *expected)
{
    auto_buffer names;

    buffer_init(&names, 4096);
    buffer_append(&names, "", 0);
    registry_list(registry, 0, SIZE_MAX, now_ms, add_name, &names);
    assert_string_equal(names.data, expected);
}

static void listed_in_login_order(void **state)
{
    struct registry *registry = *state;

    check_active(registry, 0, "");
    log_in(registry, "B", 0);
    log_in(registry, "A", 1);
    log_in(registry, "C", 2);
    log_in(registry, "A", 3);
    log_in(registry, "B", 4);
    check_active(registry, 5, "B A C");
    assert_int_equal(registry_active_count(registry, 5), 3);
}

static void expiry_to_the_millisecond(void **state)
{
    struct registry *registry = *state;

    log_in(registry, "A", 1000);
    check_active(registry, 1000 + EXPIRY_MS - 1, "A");
    check_active(registry, 1000 + EXPIRY_MS, "");
    assert_int_equal(registry_active_count(registry, 1000 + EXPIRY_MS), 0);
}

static void a_heartbeat_keeps_alive(void **state)
{
    struct registry *registry = *state;

    for (int64_t now = 0; now < 10 * EXPIRY_MS; now += EXPIRY_MS - 1)
        assert_int_equal(log_in(registry, "A", now).became_active, now == 0);
}

static void a_token_lives_as_long_as_the_session(void **state)
{
    struct registry *registry = *state;
    struct registry_login first = log_in(registry, "A", 0);
    struct registry_login second = log_in(registry, "A", 1000);
    struct registry_login third = log_in(registry, "A", 1000 + EXPIRY_MS);
    struct registry_login other = log_in(registry, "B", 0);

    assert_int_equal(strlen(first.token), 32);
    assert_string_equal(first.token, second.token);
    assert_string_not_equal(first.token, third.token);
    assert_string_not_equal(first.token, other.token);
    assert_int_equal(first.id, third.id);
    assert_true(first.became_active && !first.had_expired);
    assert_false(second.became_active);
    assert_true(third.became_active && third.had_expired);
}

static void who_comes_back_is_listed_last(void **state)
{
    struct registry *registry = *state;

    log_in(registry, "A", 0);
    log_in(registry, "B", 10);
    log_in(registry, "A", EXPIRY_MS);
    check_active(registry, EXPIRY_MS, "B A");
}

static void a_sweep_tells_each_once(void **state)
{
    struct registry *registry = *state;
    auto_buffer names;

    buffer_init(&names, 4096);
    log_in(registry, "A", 0);
    log_in(registry, "B", 10);
    log_in(registry, "C", 0);
    registry_sweep(registry, EXPIRY_MS - 1, add_name, &names);
    assert_int_equal(names.length, 0);
    registry_sweep(registry, EXPIRY_MS, add_name, &names);
    assert_string_equal(names.data, "A C");
    registry_sweep(registry, EXPIRY_MS, add_name, &names);
    assert_string_equal(names.data, "A C");
    assert_false(log_in(registry, "A", EXPIRY_MS).had_expired);
    check_active(registry, EXPIRY_MS, "B A");
}

static void note_last(void *context, const struct registry_peer *peer)
{
    *(uint64_t *)context = peer->sequence;
}

static void pages(void **state)
{
    struct registry *registry = *state;
    uint64_t last = 0;
    auto_buffer names;

    buffer_init(&names, 4096);
    for (char name[2] = "A"; name[0] <= 'G'; name[0]++)
        log_in(registry, name, name[0] == 'C' ? 0 : 10);
    registry_list(registry, 0, 2, EXPIRY_MS, note_last, &last);
    registry_list(registry, last, 2, EXPIRY_MS, add_name, &names);
    assert_string_equal(names.data, "D E"); /* C has expired */
    buffer_clear(&names);
    registry_list(registry, last, 100, EXPIRY_MS, add_name, &names);
    assert_string_equal(names.data, "D E F G");
}

static void count_visit(void *context, const struct registry_peer *peer)
{
    *(int *)context += peer->active ? 1 : 100;
}

static void visits(void **state)
{
    struct registry *registry = *state;
    int64_t id = log_in(registry, "A", 0).id;
    int visits = 0;

    assert_false(registry_visit(registry, 0, 0, count_visit, &visits));
    assert_false(registry_visit(registry, -1, 0, count_visit, &visits));
    assert_false(registry_visit(registry, id + 1, 0, count_visit, &visits));
    assert_int_equal(visits, 0);
    assert_true(registry_visit(registry, id, 0, count_visit, &visits));
    assert_int_equal(visits, 1);
    assert_true(registry_visit(registry, id, EXPIRY_MS, count_visit, &visits));
    assert_int_equal(visits, 101);
}

static void the_stored_list(void **state)
{
    struct registry *registry = *state;
    struct registry_record record;

    assert_false(log_in(registry, "A", 0).must_store);
    assert_true(must_store(registry, &list_one));
    set_index(registry, &list_one, "");
    assert_false(must_store(registry, &list_one));
    assert_true(registry_get(registry, 1, &record));
    assert_string_equal(record.urls, "[\"h:1\"]");
    registry_record_done(&record);
    assert_false(registry_get(registry, 99, &record));
}

/* Each of them may come without the other. */
static void host_and_urls_change(void **state)
{
    static const struct {
        const char *host, *urls; /* NULL: as they were */
        const char *then_host, *then_urls;
    } rows[] = {
        {NULL, NULL, "", "[]"},
        {"long.host.name", NULL, "long.host.name", "[]"},
        {NULL, "[\"h:1\",\"h:2\"]", "long.host.name", "[\"h:1\",\"h:2\"]"},
        {"h", NULL, "h", "[\"h:1\",\"h:2\"]"},
        {"h", "[\"h:1\",\"h:2\"]", "h", "[\"h:1\",\"h:2\"]"},
        {"", "[]", "", "[]"},
    };
    struct registry *registry = *state;

    log_in(registry, "A", 0);
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        const struct registry_list list = {
            .etag = &list_one, .host = rows[i].host, .urls = rows[i].urls};
        struct registry_record record;
        registry_set_index(registry, 1, &list);
        check_row(i, registry_get(registry, 1, &record));
        check_row(i, strcmp(record.name, "A") == 0);
        check_row(i, strcmp(record.host, rows[i].then_host) == 0);
        check_row(i, strcmp(record.urls, rows[i].then_urls) == 0);
        registry_record_done(&record);
    }
}

/* A list that is already stored is news again while another one is about to replace it. */
static void a_list_that_is_put_back(void **state)
{
    struct registry *registry = *state;

    assert_true(must_store(registry, &list_one));
    set_index(registry, &list_one, "");
    assert_true(must_store(registry, &list_two));
    assert_true(must_store(registry, &list_one));
    set_index(registry, &list_two, "");
    assert_true(must_store(registry, &list_two));
    registry_keep_index(registry, 1);
    set_index(registry, &list_one, "");
    assert_false(must_store(registry, &list_one));
}

/* What an etag alone stands for; with wildcards, only where they mean the same. */
static void what_an_etag_says(void **state)
{
    struct registry *registry = *state;

    assert_false(claim_from(registry, &list_one, false, "h").is_stored);
    assert_false(claim_from(registry, NULL, false, "h").is_stored);
    assert_true(must_store(registry, &list_one));
    assert_false(claim_from(registry, &list_one, false, "h").is_stored);
    set_index(registry, &list_one, "");
    assert_true(claim_from(registry, &list_one, false, "h").is_stored);
    assert_true(claim_from(registry, &list_one, false, "elsewhere").is_stored);
    assert_false(claim_from(registry, &list_two, false, "h").is_stored);
    assert_true(must_store(registry, &list_two));
    set_index(registry, &list_two, "h");
    assert_true(claim_from(registry, &list_two, false, "h").is_stored);
    assert_false(claim_from(registry, &list_two, false, "elsewhere").is_stored);
    assert_true(claim_from(registry, &list_two, true, "elsewhere").must_store);
    set_index(registry, &list_two, "elsewhere");
    assert_true(claim_from(registry, &list_two, false, "elsewhere").is_stored);
}

/* A change is taken of the stored list only, and of no list while another one comes. */
static void what_a_change_is_of(void **state)
{
    static const struct index_sum list_three = {{3}};
    const struct registry_list changed = {.etag = &list_two};
    struct registry_claim claim = {.etag = &list_two, .base = &list_one, .host = "h"};
    struct registry *registry = *state;
    struct registry_login login;
    struct registry_record record;

    registry_log_in(registry, "A", &claim, 0, &login);
    assert_false(login.must_store || login.is_stored);
    assert_true(must_store(registry, &list_one));
    registry_log_in(registry, "A", &claim, 0, &login);
    assert_false(login.must_store);
    set_index(registry, &list_one, "h");
    registry_log_in(registry, "A", &claim, 0, &login);
    assert_true(login.must_store);
    registry_log_in(registry, "A", &claim, 0, &login);
    assert_false(login.must_store);
    registry_set_index(registry, 1, &changed);
    registry_log_in(registry, "A", &claim, 0, &login);
    assert_true(login.is_stored && !login.must_store);
    claim = (struct registry_claim){.etag = &list_three, .base = &list_two, .host = "elsewhere"};
    registry_log_in(registry, "A", &claim, 0, &login);
    assert_false(login.must_store);
    assert_true(registry_get(registry, 1, &record));
    assert_string_equal(record.urls, "[\"h:1\"]");
    assert_string_equal(record.host, "h");
    registry_record_done(&record);
}

static size_t collect(struct registry *registry, bool again)
{
    int64_t ids[8];
    size_t count = registry_collect(registry, ids, 8);

    for (size_t i = 0; i < count && again; i++)
        registry_collect_again(registry, ids[i]);
    return count;
}

/* Who logs in has his record stored by his login; who goes is collected. */
static void what_changed_is_collected_once(void **state)
{
    struct registry *registry = *state;
    auto_buffer names;

    buffer_init(&names, 4096);
    assert_true(log_in(registry, "A", 0).must_store_record);
    assert_true(log_in(registry, "B", 0).must_store_record);
    assert_false(log_in(registry, "A", 1).must_store_record);
    assert_int_equal(collect(registry, false), 0);
    registry_sweep(registry, EXPIRY_MS, add_name, &names);
    assert_string_equal(names.data, "B");
    assert_int_equal(collect(registry, true), 1);
    registry_collect_again(registry, 1);
    registry_collect_again(registry, 1);
    assert_int_equal(collect(registry, false), 2);
    assert_int_equal(collect(registry, false), 0);
}

/* "1:AGE 2:AGE": of all peers whose times are collected. */
static void check_seen(struct registry *registry, int64_t now_ms, const char *expected)
{
    struct registry_seen seen;
    auto_buffer text;

    buffer_init(&text, 4096);
    buffer_append(&text, "", 0);
    assert_int_equal(registry_has_changed(registry), *expected != '\0');
    for (size_t next = 0; registry_collect_seen(registry, &next, now_ms, &seen);) {
        assert_int_equal(seen.now_ms, now_ms);
        for (int i = 0; i < REGISTRY_BLOCK_PEERS; i++)
            if (seen.ages_ms[i] != REGISTRY_AGE_AWAY)
                buffer_printf(&text, "%s%d:%u", text.length ? " " : "",
                              (int)seen.block * REGISTRY_BLOCK_PEERS + i + 1, seen.ages_ms[i]);
    }
    assert_string_equal(text.data, expected);
}

static void times_are_collected_in_blocks(void **state)
{
    struct registry *registry = *state;
    char name[16];

    check_seen(registry, 0, "");
    for (int i = 0; i < REGISTRY_BLOCK_PEERS; i++) {
        snprintf(name, sizeof name, "%d", i);
        log_in(registry, name, i == 3 ? 90 : -EXPIRY_MS);
    }
    log_in(registry, "B", 100);
    registry_sweep(registry, 100, add_name, &(struct buffer){0});
    while (collect(registry, false) > 0)
        continue;
    check_seen(registry, 150, "4:60 1025:50");
    check_seen(registry, 150, "");
    log_in(registry, "3", 160);
    check_seen(registry, 160, "4:0");
    registry_collect_all_seen(registry);
    check_seen(registry, 170, "4:10 1025:70");
}

static void tokens_find_their_peer(void **state)
{
    struct registry *registry = *state;
    struct registry_login a = log_in(registry, "A", 0);
    struct registry_login b = log_in(registry, "B", 0);
    struct registry_owner owner;

    assert_true(registry_find_token(registry, b.token, 1, &owner));
    assert_string_equal(owner.name, "B");
    assert_int_equal(owner.id, b.id);
    assert_true(registry_find_token(registry, a.token, EXPIRY_MS - 1, &owner));
    assert_string_equal(owner.name, "A");
    assert_false(registry_find_token(registry, a.token, EXPIRY_MS, &owner));
    assert_false(registry_find_token(registry, "", 1, &owner));
    assert_false(registry_find_token(registry, "00000000000000000000000000000000", 1, &owner));
    a.token[0] = (char)(a.token[0] ^ 1);
    assert_false(registry_find_token(registry, a.token, 1, &owner));
}

static void who_logs_out_is_away_at_once(void **state)
{
    struct registry *registry = *state;
    struct registry_login a = log_in(registry, "A", 0);
    struct registry_login b = log_in(registry, "B", 0);
    struct registry_owner owner;

    assert_false(registry_log_out(registry, b.id, a.token, 1));
    check_active(registry, 1, "A B");
    assert_true(registry_log_out(registry, a.id, a.token, 1));
    assert_false(registry_log_out(registry, a.id, a.token, 1));
    check_active(registry, 1, "B");
    assert_false(registry_find_token(registry, a.token, 1, &owner));
    struct registry_login again = log_in(registry, "A", 2);
    assert_true(again.became_active && !again.had_expired);
    assert_string_not_equal(again.token, a.token);
    check_active(registry, 2, "B A");
}

static void two_places_learn_of_each_other(void **state)
{
    static const struct {
        const char *host;
        int64_t now_ms;
        const char *other;
        bool is_news;
    } rows[] = {
        {"10.0.0.1", 0, "", false},
        {"10.0.0.1", 1, "", false},
        {"10.0.0.2", 2, "10.0.0.1", true},
        {"10.0.0.2", 3, "", false},
        {"10.0.0.1", 4, "10.0.0.2", false},
        {"2001:db8::1", 5, "10.0.0.1", false},
        {"10.0.0.1", 6, "2001:db8::1", false},
        {"", 7, "10.0.0.1", false},
        {"10.0.0.1", 8, "", false},
        {"10.0.0.2", 8 + EXPIRY_MS, "", false}, /* the other one has gone */
    };
    struct registry *registry = *state;

    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        const struct registry_claim claim = {.host = rows[i].host};
        struct registry_login login;
        registry_log_in(registry, "A", &claim, rows[i].now_ms, &login);
        check_row(i, strcmp(login.other_host, rows[i].other) == 0);
        check_row(i, login.is_news == rows[i].is_news);
    }
}

/* Everything of one registry into another, as a restart does. */
static struct registry *restart(struct registry *registry, int64_t written_ms, int64_t now_ms)
{
    struct registry *fresh = registry_new(EXPIRY_MS);
    struct registry_record record;

    registry_expect(fresh, 1000); /* more than there are */
    for (int64_t id = 1; registry_get(registry, id, &record); id++) {
        registry_restore(fresh, &record, written_ms, now_ms);
        registry_record_done(&record);
    }
    registry_restored(fresh, 0, now_ms);
    return fresh;
}

static void overdue_ones_are_given_once(void **state)
{
    enum { LIMIT_MS = 1000 };
    struct registry *registry = *state;
    auto_buffer names;

    buffer_init(&names, 4096);
    registry_restored(registry, 5000, 0); /* the run clock is 5 s ahead */
    assert_true(must_store(registry, &list_one));
    set_index(registry, &list_one, "");
    log_in(registry, "B", 10);
    log_in(registry, "C", 20);
    assert_int_equal(registry_take_overdue(registry, 20, 0), 0);
    registry_sweep(registry, EXPIRY_MS, add_name, &names);      /* A, at 0 */
    registry_sweep(registry, EXPIRY_MS + 20, add_name, &names); /* the others */
    assert_string_equal(names.data, "A B C");
    assert_int_equal(registry_take_overdue(registry, EXPIRY_MS + LIMIT_MS - 1, LIMIT_MS), 0);
    assert_true(registry_has_list(registry, 1));
    assert_int_equal(registry_take_overdue(registry, EXPIRY_MS + LIMIT_MS, LIMIT_MS), 1);
    assert_false(registry_has_list(registry, 1));
    assert_int_equal(registry_take_overdue(registry, EXPIRY_MS + LIMIT_MS, LIMIT_MS), 0);
    registry_keep_overdue(registry, 1);
    assert_int_equal(registry_take_overdue(registry, EXPIRY_MS + LIMIT_MS, LIMIT_MS), 1);
    registry_note_dropped(registry, 1);
    log_in(registry, "B", EXPIRY_MS + 2 * LIMIT_MS);
    assert_int_equal(registry_take_overdue(registry, 10 * EXPIRY_MS, LIMIT_MS), 3);
    assert_int_equal(registry_take_overdue(registry, 10 * EXPIRY_MS, LIMIT_MS), 0);
    struct registry *fresh = restart(registry, 10 * EXPIRY_MS, 0);
    registry_sweep(fresh, 0, add_name, &names);
    assert_int_equal(registry_take_overdue(fresh, EXPIRY_MS * 100, 0), 2);
    assert_int_equal(registry_take_overdue(fresh, EXPIRY_MS * 100, 0), 3); /* was not noted */
    assert_int_equal(registry_take_overdue(fresh, EXPIRY_MS * 100, 0), 0);
    registry_free(fresh);
}

/* A token that was given to somebody else of that name is not handed on. */
static void another_user_gets_another_token(void **state)
{
    struct registry *registry = *state;
    struct registry_claim claim = {.host = "h", .mark = 0};
    struct registry_login first, same, known, other;

    registry_log_in(registry, "A", &claim, 0, &first);
    claim.mark = 7; /* known from now on */
    registry_log_in(registry, "A", &claim, 1, &known);
    assert_string_equal(known.token, first.token);
    assert_true(known.must_store_record);
    registry_log_in(registry, "A", &claim, 2, &same);
    assert_string_equal(same.token, first.token);
    assert_false(same.must_store_record);
    claim.mark = 8;
    registry_log_in(registry, "A", &claim, 3, &other);
    assert_string_not_equal(other.token, first.token);
    assert_true(other.must_store_record && !other.became_active);
}

static void a_restart_keeps_the_time_left(void **state)
{
    struct registry *registry = *state;
    struct registry_login a = log_in(registry, "A", 20000);
    int64_t b = log_in(registry, "B", 1000).id;

    /* Written at 25,000; the clock begins anew: the machine was restarted. */
    struct registry *fresh = restart(registry, 25000, 500);
    check_active(fresh, 500, "A B");
    check_active(fresh, 500 + EXPIRY_MS - 24000 - 1, "A B");
    check_active(fresh, 500 + EXPIRY_MS - 24000, "A");
    check_active(fresh, 500 + EXPIRY_MS - 5000 - 1, "A");
    check_active(fresh, 500 + EXPIRY_MS - 5000, "");
    struct registry_login again = log_in(fresh, "A", 600);
    assert_false(again.became_active);
    assert_string_equal(again.token, a.token);
    assert_true(log_in(fresh, "C", 600).id > b);
    check_active(fresh, 700, "A B C");
    registry_free(fresh);
}

static void many_peers(void **state)
{
    enum { COUNT = 2000 };
    struct registry *registry = *state;
    char name[16];

    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < COUNT; i++) {
            snprintf(name, sizeof name, "peer %d", i);
            assert_int_equal(log_in(registry, name, round).id, i + 1);
        }
    }
    assert_int_equal(registry_active_count(registry, 1), COUNT);
}

static void count_one(void *context, const struct registry_peer *peer)
{
    (void)peer;
    ++*(int *)context;
}

static void every_second_of_very_many_expires(void **state)
{
    enum { COUNT = 150001 }; /* more than are looked at under one lock, and expire under one */
    struct registry *registry = *state;
    char name[16];
    int expired = 0;

    for (int64_t now_ms = 0; now_ms < 2; now_ms++)
        for (int i = 0; i < COUNT; i += 1 + (int)now_ms) {
            snprintf(name, sizeof name, "peer %d", i);
            log_in(registry, name, now_ms);
        }
    assert_int_equal(registry_active_count(registry, EXPIRY_MS), COUNT / 2 + 1);
    registry_sweep(registry, EXPIRY_MS, count_one, &expired);
    assert_int_equal(expired, COUNT / 2);
    assert_int_equal(registry_active_count(registry, EXPIRY_MS), COUNT / 2 + 1);
    assert_true(registry_has_active(registry));
    registry_sweep(registry, EXPIRY_MS + 1, count_one, &expired);
    assert_int_equal(expired, COUNT);
    assert_int_equal(registry_active_count(registry, 0), 0);
    assert_false(registry_has_active(registry));
}

static void a_mark_goes_with_its_generation(void **state)
{
    struct registry *registry = *state;
    struct registry_owner owner;
    struct registry_login login;

    for (uint32_t generation = 7; generation < 9; generation++) {
        const struct registry_claim claim = {.host = "h", .mark = 5, .mark_generation = generation};
        registry_log_in(registry, "A", &claim, 0, &login);
        assert_true(registry_find_token(registry, login.token, 0, &owner));
        assert_int_equal(owner.mark, 5);
        assert_int_equal(owner.mark_generation, generation);
    }
}

#define test(function) cmocka_unit_test_setup_teardown(function, start, stop)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        test(listed_in_login_order),
        test(expiry_to_the_millisecond),
        test(a_heartbeat_keeps_alive),
        test(a_token_lives_as_long_as_the_session),
        test(who_comes_back_is_listed_last),
        test(a_sweep_tells_each_once),
        test(every_second_of_very_many_expires),
        test(a_mark_goes_with_its_generation),
        test(pages),
        test(visits),
        test(the_stored_list),
        test(host_and_urls_change),
        test(a_list_that_is_put_back),
        test(what_an_etag_says),
        test(what_a_change_is_of),
        test(what_changed_is_collected_once),
        test(times_are_collected_in_blocks),
        test(tokens_find_their_peer),
        test(who_logs_out_is_away_at_once),
        test(another_user_gets_another_token),
        test(two_places_learn_of_each_other),
        test(overdue_ones_are_given_once),
        test(a_restart_keeps_the_time_left),
        test(many_peers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
