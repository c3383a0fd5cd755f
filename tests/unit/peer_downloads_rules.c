/* What decides in downloads/ without doing anything: rates, sources, reasons. */
#include "unit.h"

#include "common/memory.h"
#include "peer/downloads/failures.h"
#include "peer/downloads/liveness.h"
#include "peer/downloads/rate.h"
#include "peer/downloads/sources.h"

/* ---- rate ---- */

static void rate_of_a_steady_stream(void **state)
{
    struct rate rate;
    int64_t last = 0;

    (void)state;
    rate_init(&rate, 1000, 0);
    assert_int_equal(rate_add(&rate, 1000, 10), 0); /* nothing can be said yet */
    for (int64_t ms = 100; ms <= 20000; ms += 100)
        last = rate_add(&rate, 1000 + ms, ms * 50);
    assert_int_equal(last, 50000);
}

static void rate_follows_a_change_within_seconds(void **state)
{
    struct rate rate;
    int64_t bytes = 0;
    int64_t last = 0;

    (void)state;
    rate_init(&rate, 0, 0);
    for (int64_t ms = 100; ms <= 10000; ms += 100)
        (void)rate_add(&rate, ms, bytes += 1000);
    for (int64_t ms = 10100; ms <= 15000; ms += 100)
        last = rate_add(&rate, ms, bytes += 10);
    assert_int_equal(last, 100);
}

static void rate_falls_in_a_pause(void **state)
{
    struct rate rate;

    (void)state;
    rate_init(&rate, 0, 0);
    (void)rate_add(&rate, 1000, 1000000);
    int64_t soon = rate_add(&rate, 2000, 1000000);
    int64_t later = rate_add(&rate, 4000, 1000000);
    assert_true(soon > later);
}

/* ---- failures ---- */

static void failures_keep_each_reason(void **state)
{
    static const struct {
        enum error_code first, second, worst;
    } rows[] = {
        {ERROR_NOT_FOUND, ERROR_NOT_FOUND, ERROR_NOT_FOUND},
        {ERROR_NOT_FOUND, ERROR_UNREACHABLE, ERROR_UNREACHABLE},
        {ERROR_UNREACHABLE, ERROR_NOT_FOUND, ERROR_UNREACHABLE},
        {ERROR_TIMEOUT, ERROR_NOT_FOUND, ERROR_TIMEOUT},
        {ERROR_TIMEOUT, ERROR_UNREACHABLE, ERROR_UNREACHABLE},
        {ERROR_CORRUPT, ERROR_UNREACHABLE, ERROR_CORRUPT},
        {ERROR_UNREACHABLE, ERROR_CHANGED, ERROR_CHANGED},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct failures failures = {0};
        struct error error;
        error_set(&error, rows[i].first, "one");
        failures_add(&failures, "A", &error);
        check_row(i, strcmp(failures.worst.text, "A: one") == 0);
        error_set(&error, rows[i].second, "two");
        failures_add(&failures, "B", &error);
        check_row(i, strcmp(failures.worst.text, "A: one; B: two") == 0);
        check_row(i, failures.worst.code == rows[i].worst);
    }
}

static void failures_of_many_sources_are_cut(void **state)
{
    struct failures failures = {0};
    struct error error;

    (void)state;
    error_set(&error, ERROR_UNREACHABLE, "ñññññññññññññññññññññññññññññ");
    for (int i = 0; i < 100; i++)
        failures_add(&failures, "Peer", &error);
    assert_true(strlen(failures.worst.text) < sizeof failures.worst.text);
    assert_int_equal(failures.worst.code, ERROR_UNREACHABLE);
}

/* ---- sources ---- */

static const struct address fallbacks[] = {{"10.0.0.1", 1}, {"10.0.0.2", 2}};
static const struct source_finder finder = {
    .own_name = "Peer1", .fallbacks = fallbacks, .fallback_count = ARRAY_LENGTH(fallbacks)};

/* "Peer2@10.0.0.9:1": a peer with an address, or without one. */
static void make_sources(struct directory_sources *sources, const char *const *words, size_t count)
{
    *sources = (struct directory_sources){.items = memory_new(count, sizeof *sources->items)};
    for (size_t i = 0; i < count; i++) {
        struct directory_source *source = &sources->items[sources->count++];
        const char *at = strchr(words[i], '@');
        source->peer = memory_copy(words[i], at ? (size_t)(at - words[i]) : strlen(words[i]));
        if (!at)
            continue;
        source->addresses = memory_new(1, sizeof *source->addresses);
        source->address_count = 1;
        assert_int_equal(address_parse(at + 1, false, source->addresses, NULL), ERROR_NONE);
    }
}

static void only_peers_without_address_get_the_fallbacks(void **state)
{
    static const char *const words[] = {"Peer2@10.0.0.9:9", "Peer3", "Peer1"};
    struct directory_sources sources;

    (void)state;
    make_sources(&sources, words, ARRAY_LENGTH(words));
    sources_complete(&finder, &sources);
    assert_int_equal(sources.items[0].address_count, 1);
    assert_int_equal(sources.items[0].addresses[0].port, 9);
    assert_int_equal(sources.items[1].address_count, 2);
    assert_false(sources.items[0].guessed);
    assert_true(sources.items[1].guessed);
    assert_string_equal(sources.items[1].addresses[1].host, "10.0.0.2");
    assert_int_equal(sources.items[2].address_count, 0); /* ourselves: nobody else is us */
    directory_sources_done(&sources);
}

static void one_peer_is_kept(void **state)
{
    static const char *const words[] = {"A@h:1", "B@h:2", "A@h:3", "C"};
    struct directory_sources sources;

    (void)state;
    make_sources(&sources, words, ARRAY_LENGTH(words));
    assert_true(sources_keep_peer(&sources, "A"));
    assert_int_equal(sources.count, 2);
    assert_int_equal(sources.items[0].addresses[0].port, 1);
    assert_int_equal(sources.items[1].addresses[0].port, 3);
    assert_false(sources_keep_peer(&sources, "B"));
    assert_int_equal(sources.count, 0);
    directory_sources_done(&sources);
}

static void we_are_our_own_last_resort(void **state)
{
    static const struct {
        const char *before[3];
        const char *after[3];
    } rows[] = {
        {{"Peer1", "Peer2", "Peer3"}, {"Peer2", "Peer3", "Peer1"}},
        {{"Peer2", "Peer1", "Peer3"}, {"Peer2", "Peer3", "Peer1"}},
        {{"Peer3", "Peer2", "Peer1"}, {"Peer3", "Peer2", "Peer1"}},
        {{"Peer4", "Peer2", "Peer3"}, {"Peer4", "Peer2", "Peer3"}},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct directory_sources sources;
        make_sources(&sources, rows[i].before, 3);
        sources_order(&finder, &sources);
        for (size_t s = 0; s < 3; s++)
            check_row(i, strcmp(sources.items[s].peer, rows[i].after[s]) == 0);
        directory_sources_done(&sources);
    }
}

/* ---- liveness ---- */

static void the_content_that_most_have_is_wanted(void **state)
{
    /* The first letter of a name is its content; '-': not known. */
    static const struct {
        const char *names[4];
        const char *peer;
        char wanted;
    } rows[] = {
        {{"-1", "-2", "-3", "-4"}, "", 0},   {{"-1", "a2", "b3", "b4"}, "", 'b'},
        {{"a1", "b2", "b3", "a4"}, "", 'a'}, {{"a1", "b2", "b3", "b4"}, "a1", 'a'},
        {{"-1", "b2", "b3", "b4"}, "-1", 0}, {{"a1", "b2", "b3", "b4"}, "other", 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct directory_sources sources;
        struct content_id content = {.bytes = {0}};
        make_sources(&sources, rows[i].names, 4);
        for (size_t s = 0; s < 4; s++) {
            sources.items[s].has_content = rows[i].names[s][0] != '-';
            sources.items[s].content.bytes[0] = (uint8_t)rows[i].names[s][0];
        }
        check_row(i, sources_wanted_content(&sources, rows[i].peer, &content) ==
                         (rows[i].wanted != 0));
        check_row(i, content.bytes[0] == rows[i].wanted);
        directory_sources_done(&sources);
    }
}

static void we_are_left_out_if_anybody_else_is_there(void **state)
{
    static const char *const both[] = {"Me@10.0.0.1:1", "A@10.0.0.2:2"};
    struct source_finder own = {.own_name = "Me"};
    struct directory_sources sources;

    (void)state;
    make_sources(&sources, both, 2);
    sources_leave_out_self(&own, &sources);
    assert_int_equal(sources.count, 1);
    assert_string_equal(sources.items[0].peer, "A");
    directory_sources_done(&sources);
    make_sources(&sources, both, 1);
    sources_leave_out_self(&own, &sources);
    assert_int_equal(sources.count, 1);
    directory_sources_done(&sources);
}

static void tells_waiting_from_silence(void **state)
{
    static const struct {
        int64_t at_ms;
        size_t bytes;
        int64_t place;
        bool alive;
    } rows[] = {
        {0, 0, 0, true},
        {10000, 0, 0, true},
        {10001, 0, 0, false},
        {10001, 1, 0, true},
        {20000, 0, 3, true}, /* a word on the place counts, an empty message does not */
        {30000, 0, 0, true},
        {30001, 0, 0, false},
        {30001, 0, 2, true},
        {10001 + LIVENESS_QUEUE_MS, 0, 1, true},
        {10002 + LIVENESS_QUEUE_MS, 0, 1, false}, /* but not for ever */
        {10003 + LIVENESS_QUEUE_MS, 1, 0, true},
    };
    struct liveness liveness;

    (void)state;
    liveness_begin(&liveness, 0);
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct chunk chunk = {.data.bytes = rows[i].bytes, .queue_position = rows[i].place};
        struct error error = {0};
        enum error_code code = liveness_note(&liveness, &chunk, 10000, rows[i].at_ms, &error);
        check_row(i, code == (rows[i].alive ? ERROR_NONE : ERROR_TIMEOUT));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_waiting_from_silence),
        cmocka_unit_test(rate_of_a_steady_stream),
        cmocka_unit_test(rate_follows_a_change_within_seconds),
        cmocka_unit_test(rate_falls_in_a_pause),
        cmocka_unit_test(failures_keep_each_reason),
        cmocka_unit_test(failures_of_many_sources_are_cut),
        cmocka_unit_test(only_peers_without_address_get_the_fallbacks),
        cmocka_unit_test(one_peer_is_kept),
        cmocka_unit_test(we_are_our_own_last_resort),
        cmocka_unit_test(the_content_that_most_have_is_wanted),
        cmocka_unit_test(we_are_left_out_if_anybody_else_is_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
