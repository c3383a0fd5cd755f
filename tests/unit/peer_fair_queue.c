/* The rules of the limits, simulated: no threads, no clock. */
#include "unit.h"

#include "peer/limits/bucket.h"
#include "peer/limits/fair_queue.h"

#define KIB ((int64_t)1024)
#define MIB (1024 * KIB)

static const struct fair_limits usual = {
    .slots = 2, .memory_bytes = 4 * MIB, .message_max_bytes = MIB, .message_min_bytes = 64 * KIB};

static struct host_key host(int number)
{
    char text[32];

    snprintf(text, sizeof text, "10.0.%d.%d:8001", number / 256, number % 256);
    return host_key_of(text);
}

static void join(struct fair_queue *queue, struct fair_waiter *waiter, int number, bool serving)
{
    struct host_key key = host(number);

    *waiter = (struct fair_waiter){.serving = serving};
    fair_queue_join(queue, waiter, &key, 0);
}

/* ---- hosts ---- */

static void knows_hosts(void **state)
{
    static const struct {
        const char *a, *b;
        bool equal;
    } rows[] = {
        {"1.2.3.4:5", "1.2.3.4:6", true},
        {"1.2.3.4:5", "1.2.3.4", true},
        {"1.2.3.4:5", "1.2.3.5:5", false},
        {"[::ffff:1.2.3.4]:5", "1.2.3.4:5", true},
        {"[::ffff:1.2.3.4]:5", "1.2.3.5:5", false},
        {"[2001:db8:1:2:3::4]:5", "[2001:db8:1:2:ff::]:5", true},
        {"[2001:db8:1:2:3::4]:5", "2001:db8:1:2::1", true},
        {"[2001:db8:1:2::4]:5", "[2001:db8:1:3::4]:5", false},
        {"peer.example:1", "peer.example:2", true},
        {"peer.example:1", "peer.example", true},
        {"peer.example:1", "other.example:1", false},
        {"unix:", "unix:", true},
        {"", "1.2.3.4:5", false},
        {"[", "]", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct host_key a = host_key_of(rows[i].a);
        struct host_key b = host_key_of(rows[i].b);
        check_row(i, host_key_equal(&a, &b) == rows[i].equal);
    }
}

/* ---- the bucket ---- */

static void keeps_the_rate(void **state)
{
    struct bucket bucket = {0};
    int64_t taken = 0;

    (void)state;
    bucket_set_rate(&bucket, 1000000, 5000);
    for (int64_t now_ms = 5000; now_ms < 15000; now_ms++)
        while (bucket_is_open(&bucket, now_ms)) {
            bucket_take(&bucket, 70000, now_ms);
            taken += 70000;
        }
    assert_in_range(taken, 9900000, 10100000);
}

static void tells_when_it_opens(void **state)
{
    struct bucket bucket = {0};

    (void)state;
    assert_true(bucket_is_open(&bucket, 0));
    bucket_take(&bucket, INT64_MAX / 2, 0); /* no limit */
    assert_true(bucket_is_open(&bucket, 0));
    bucket_set_rate(&bucket, 1000, 0);
    bucket_take(&bucket, 3000, 0);
    int64_t open_ms = bucket_open_ms(&bucket, 0);
    assert_in_range(open_ms, 3000, 3002);
    assert_false(bucket_is_open(&bucket, 2999));
    assert_true(bucket_is_open(&bucket, open_ms));
    assert_int_equal(bucket_open_ms(&bucket, open_ms), open_ms);
}

static void saves_little_and_forgets_debts_with_the_rate(void **state)
{
    struct bucket bucket = {0};

    (void)state;
    bucket_set_rate(&bucket, 1000, 0);
    assert_false(bucket_is_full(&bucket, 0));
    assert_true(bucket_is_full(&bucket, 1000000));
    bucket_take(&bucket, 1000 * BUCKET_KEEPS_MS / 1000 + 1, 1000000);
    assert_false(bucket_is_open(&bucket, 1000000));
    bucket_take(&bucket, 1000000, 1000000);
    bucket_set_rate(&bucket, 2000, 1000000);
    assert_true(bucket_is_open(&bucket, 1000000));
    bucket_take(&bucket, 4000, 1000000);
    bucket_set_rate(&bucket, 2000, 1000001); /* the same: nothing changes */
    assert_false(bucket_is_open(&bucket, 1000001));
}

/* ---- the queue ---- */

/* Who has many streams gets no more than who has one. */
static void is_fair_by_host(void **state)
{
    struct fair_queue *queue = fair_queue_new(&usual);
    struct fair_waiter waiters[100];
    int64_t got[3] = {0};

    (void)state;
    for (int i = 0; i < 100; i++) /* host 0 has 98 of them */
        join(queue, &waiters[i], i < 98 ? 0 : i - 97, true);
    for (int i = 0; i < 100; i++)
        fair_queue_ask(queue, &waiters[i], 100 * MIB);
    for (int i = 0; i < 3000; i++) {
        struct fair_waiter *waiter = fair_queue_grant(queue, 0);
        assert_non_null(waiter);
        int64_t index = waiter - waiters;
        got[index < 98 ? 0 : index - 97] += waiter->bytes;
        fair_queue_done(queue, waiter);
        fair_queue_ask(queue, waiter, 100 * MIB);
    }
    for (int i = 1; i < 3; i++)
        assert_in_range(got[i] * 100 / got[0], 99, 101);
    for (int i = 0; i < 100; i++)
        fair_queue_leave(queue, &waiters[i], 0);
    assert_int_equal(fair_queue_waiting(queue), 0);
    assert_int_equal(fair_queue_memory_bytes(queue), 0);
    fair_queue_free(queue);
}

static void keeps_the_order_within_a_host_but_new_ones_are_first(void **state)
{
    struct fair_queue *queue = fair_queue_new(&usual);
    struct fair_waiter waiters[5];
    static const int expected[] = {0, 1, 4, 2, 3};

    (void)state;
    for (int i = 0; i < 5; i++)
        join(queue, &waiters[i], 0, true);
    for (int i = 0; i < 4; i++) {
        fair_queue_ask(queue, &waiters[i], MIB);
        assert_int_equal(fair_queue_place(queue, &waiters[i]), i + 1);
    }
    for (int i = 0; i < 2; i++) /* these were served once, and ask again */
        assert_ptr_equal(fair_queue_grant(queue, 0), &waiters[i]);
    assert_null(fair_queue_grant(queue, 0)); /* no slot */
    for (int i = 0; i < 2; i++)
        fair_queue_done(queue, &waiters[i]);
    fair_queue_leave(queue, &waiters[2], 0);
    fair_queue_leave(queue, &waiters[3], 0);
    for (int i = 2; i < 4; i++) {
        join(queue, &waiters[i], 0, true);
        waiters[i].served = true;
    }
    for (int i = 0; i < 4; i++)
        fair_queue_ask(queue, &waiters[i], MIB);
    assert_int_equal(fair_queue_place(queue, &waiters[0]), 1);
    fair_queue_ask(queue, &waiters[4], MIB);
    assert_int_equal(fair_queue_place(queue, &waiters[4]), 1);
    assert_int_equal(fair_queue_place(queue, &waiters[0]), 2);
    assert_ptr_equal(fair_queue_grant(queue, 0), &waiters[4]);
    fair_queue_done(queue, &waiters[4]);
    for (int i = 0; i < 5; i++)
        if (expected[i] != 4) {
            assert_ptr_equal(fair_queue_grant(queue, 0), &waiters[expected[i]]);
            fair_queue_done(queue, &waiters[expected[i]]);
        }
    assert_null(fair_queue_grant(queue, 0));
    for (int i = 0; i < 5; i++)
        fair_queue_leave(queue, &waiters[i], 0);
    fair_queue_free(queue);
}

/* Every place that is told is the turn that comes. */
static void tells_the_place(void **state)
{
    static const int hosts[] = {0, 0, 0, 0, 1, 2, 2, 3, 1, 0};
    struct fair_waiter waiters[ARRAY_LENGTH(hosts)];
    size_t places[ARRAY_LENGTH(hosts)];
    struct fair_queue *queue = fair_queue_new(&usual);

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(hosts); i++) {
        join(queue, &waiters[i], hosts[i], true);
        assert_int_equal(fair_queue_place(queue, &waiters[i]), 0);
        fair_queue_ask(queue, &waiters[i], MIB);
    }
    for (size_t i = 0; i < ARRAY_LENGTH(hosts); i++)
        places[i] = fair_queue_place(queue, &waiters[i]);
    for (size_t turn = 1; turn <= ARRAY_LENGTH(hosts); turn++) {
        struct fair_waiter *waiter = fair_queue_grant(queue, 0);
        assert_non_null(waiter);
        assert_int_equal(places[waiter - waiters], turn);
        fair_queue_done(queue, waiter);
    }
    for (size_t i = 0; i < ARRAY_LENGTH(hosts); i++)
        fair_queue_leave(queue, &waiters[i], 0);
    fair_queue_free(queue);
}

static void takes_slots_back_from_who_does_not_read(void **state)
{
    struct fair_queue *queue = fair_queue_new(&usual);
    struct fair_waiter waiters[4];

    (void)state;
    for (int i = 0; i < 4; i++)
        join(queue, &waiters[i], i, true);
    fair_queue_ask(queue, &waiters[0], MIB);
    fair_queue_ask(queue, &waiters[1], MIB);
    assert_ptr_equal(fair_queue_grant(queue, 1000), &waiters[0]);
    assert_ptr_equal(fair_queue_grant(queue, 1050), &waiters[1]);
    assert_int_equal(fair_queue_next_ms(queue, 1050), FAIR_NEVER); /* nobody waits */
    assert_null(fair_queue_grant(queue, 9000));
    fair_queue_ask(queue, &waiters[2], MIB);
    fair_queue_ask(queue, &waiters[3], MIB);
    assert_null(fair_queue_grant(queue, 1000 + FAIR_SLOT_MS - 1));
    assert_int_equal(fair_queue_next_ms(queue, 1000 + FAIR_SLOT_MS - 1), 1000 + FAIR_SLOT_MS);
    assert_ptr_equal(fair_queue_grant(queue, 1000 + FAIR_SLOT_MS), &waiters[2]);
    assert_null(fair_queue_grant(queue, 1000 + FAIR_SLOT_MS));
    assert_ptr_equal(fair_queue_grant(queue, 1050 + FAIR_SLOT_MS), &waiters[3]);
    int64_t held = fair_queue_memory_bytes(queue);
    fair_queue_done(queue, &waiters[0]); /* it read after all: memory comes back, no slot */
    assert_true(fair_queue_memory_bytes(queue) < held);
    fair_queue_ask(queue, &waiters[0], MIB);
    assert_null(fair_queue_grant(queue, 1050 + FAIR_SLOT_MS));
    for (int i = 0; i < 4; i++)
        fair_queue_leave(queue, &waiters[i], 2000);
    fair_queue_free(queue);
}

/* Receivers that never read: the memory has a bound, and the oldest make room in the end. */
static void bounds_the_memory(void **state)
{
    enum { COUNT = 500 };
    struct fair_queue *queue = fair_queue_new(&usual);
    struct fair_waiter waiters[COUNT];
    int64_t now_ms = 0;
    int granted = 0;
    int evicted = 0;

    (void)state;
    for (int i = 0; i < COUNT; i++) {
        join(queue, &waiters[i], i, true);
        fair_queue_ask(queue, &waiters[i], 100 * MIB);
    }
    for (; now_ms < 60000 && fair_queue_waiting(queue) > 0; now_ms += 50) {
        struct fair_waiter *waiter;
        while (fair_queue_grant(queue, now_ms)) {
            granted++;
            assert_true(fair_queue_memory_bytes(queue) <= usual.memory_bytes);
        }
        while ((waiter = fair_queue_evict(queue, now_ms))) {
            assert_true(now_ms >= FAIR_EVICT_MS);
            assert_true(waiter->evicted);
            evicted++;
            assert_true(evicted <= 50 || now_ms > FAIR_EVICT_MS); /* one at a time, not all */
            fair_queue_leave(queue, waiter, now_ms);
        }
        int64_t next_ms = fair_queue_next_ms(queue, now_ms);
        assert_true(next_ms > now_ms);
    }
    assert_true(granted > 20); /* 1 MiB at first, 64 KiB once it is tight */
    assert_true(evicted > 0);
    for (int i = 0; i < COUNT; i++)
        if (waiters[i].host)
            fair_queue_leave(queue, &waiters[i], now_ms);
    assert_int_equal(fair_queue_memory_bytes(queue), 0);
    fair_queue_free(queue);
}

static void a_stalled_stream_is_evicted_only_when_room_is_wanted(void **state)
{
    struct fair_limits tight = usual;
    tight.memory_bytes = 128 * KIB;
    tight.message_max_bytes = 64 * KIB;
    struct fair_queue *queue = fair_queue_new(&tight);
    struct fair_waiter waiters[4];

    (void)state;
    for (int i = 0; i < 4; i++)
        join(queue, &waiters[i], i, true);
    for (int i = 0; i < 2; i++) {
        fair_queue_ask(queue, &waiters[i], MIB);
        assert_ptr_equal(fair_queue_grant(queue, i), &waiters[i]);
    }
    assert_null(fair_queue_evict(queue, 10 * FAIR_EVICT_MS));
    fair_queue_ask(queue, &waiters[2], MIB);
    assert_null(fair_queue_grant(queue, FAIR_EVICT_MS - 1));
    assert_null(fair_queue_evict(queue, FAIR_EVICT_MS - 1));
    assert_int_equal(fair_queue_next_ms(queue, FAIR_EVICT_MS - 1), FAIR_EVICT_MS);
    assert_ptr_equal(fair_queue_evict(queue, FAIR_EVICT_MS), &waiters[0]);
    assert_null(fair_queue_evict(queue, 2 * FAIR_EVICT_MS)); /* room is on its way */
    assert_int_equal(fair_queue_next_ms(queue, 2 * FAIR_EVICT_MS), FAIR_NEVER);
    fair_queue_leave(queue, &waiters[0], 2 * FAIR_EVICT_MS);
    assert_ptr_equal(fair_queue_grant(queue, 2 * FAIR_EVICT_MS), &waiters[2]);
    for (int i = 1; i < 4; i++)
        fair_queue_leave(queue, &waiters[i], 2 * FAIR_EVICT_MS);
    fair_queue_free(queue);
}

/* ---- rates ---- */

/* Everybody takes as much as is granted, at once; who_bytes gets what each moved in 10 s. */
static void run_for_10_s(struct fair_queue *queue, struct fair_waiter *waiters, int count,
                         int64_t *moved)
{
    for (int i = 0; i < count; i++)
        fair_queue_ask(queue, &waiters[i], 256 * KIB);
    for (int64_t now_ms = 0; now_ms < 10000;) {
        struct fair_waiter *waiter;
        while ((waiter = fair_queue_grant(queue, now_ms))) {
            moved[waiter - waiters] += waiter->bytes;
            fair_queue_done(queue, waiter);
            fair_queue_ask(queue, waiter, 256 * KIB);
        }
        int64_t next_ms = fair_queue_next_ms(queue, now_ms);
        assert_true(next_ms > now_ms && next_ms < FAIR_NEVER);
        now_ms = next_ms;
    }
}

static void shares_the_total_rate(void **state)
{
    struct fair_queue *queue = fair_queue_new(&usual);
    struct fair_waiter waiters[4];
    int64_t moved[4] = {0};

    (void)state;
    fair_queue_set_rates(queue, 1000000, 0, 0);
    for (int i = 0; i < 4; i++) /* host 0 has three */
        join(queue, &waiters[i], i == 3, true);
    run_for_10_s(queue, waiters, 4, moved);
    assert_in_range(moved[0] + moved[1] + moved[2] + moved[3], 9700000, 10300000);
    assert_in_range(moved[3], 4700000, 5300000);
    assert_in_range(moved[0], 1500000, 1800000);
    for (int i = 0; i < 4; i++)
        fair_queue_leave(queue, &waiters[i], 10000);
    fair_queue_free(queue);
}

static void bounds_each_host_and_the_total(void **state)
{
    struct fair_queue *queue = fair_queue_new(&usual);
    struct fair_waiter waiters[4];
    int64_t moved[4] = {0};

    (void)state;
    fair_queue_set_rates(queue, 500000, 100000, 0);
    for (int i = 0; i < 4; i++) /* hosts 0, 0, 1, 2: three times 100,000 */
        join(queue, &waiters[i], i > 0 ? i - 1 : 0, i != 3);
    run_for_10_s(queue, waiters, 4, moved);
    /* Each time that the large messages use up the total for half a second, a little is lost. */
    assert_in_range(moved[0] + moved[1], 900000, 1100000);
    assert_in_range(moved[2], 900000, 1100000);
    assert_in_range(moved[3], 950000, 1400000); /* messages of 256 KiB: nobody made them smaller */
    for (int i = 0; i < 4; i++)
        fair_queue_leave(queue, &waiters[i], 10000);
    fair_queue_free(queue);
}

/* A host that owes is remembered after its stream has ended, and forgotten when it has paid. */
static void remembers_what_a_host_owes(void **state)
{
    struct fair_queue *queue = fair_queue_new(&usual);
    struct fair_waiter waiter;

    (void)state;
    fair_queue_set_rates(queue, 0, 100000, 0);
    join(queue, &waiter, 0, false);
    fair_queue_ask(queue, &waiter, 200000);
    assert_ptr_equal(fair_queue_grant(queue, 0), &waiter);
    fair_queue_leave(queue, &waiter, 0);
    join(queue, &waiter, 0, false);
    fair_queue_ask(queue, &waiter, 200000);
    assert_null(fair_queue_grant(queue, 0));
    assert_in_range(fair_queue_next_ms(queue, 0), 2000, 2002);
    fair_queue_set_rates(queue, 0, 0, 10); /* and no limit frees at once */
    assert_ptr_equal(fair_queue_grant(queue, 10), &waiter);
    fair_queue_leave(queue, &waiter, 10);
    fair_queue_free(queue);
}

static void makes_small_messages_at_low_rates(void **state)
{
    struct fair_queue *queue = fair_queue_new(&usual);

    (void)state;
    assert_int_equal(fair_queue_message_bytes(queue), MIB);
    fair_queue_set_rates(queue, 800 * KIB, 0, 0);
    assert_int_equal(fair_queue_message_bytes(queue), 100 * KIB);
    fair_queue_set_rates(queue, 800 * KIB, 80 * KIB, 0);
    assert_int_equal(fair_queue_message_bytes(queue), 10 * KIB);
    fair_queue_set_rates(queue, 1024, 0, 0);
    assert_int_equal(fair_queue_message_bytes(queue), FAIR_RATE_MESSAGE_BYTES);
    fair_queue_free(queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_hosts),
        cmocka_unit_test(keeps_the_rate),
        cmocka_unit_test(tells_when_it_opens),
        cmocka_unit_test(saves_little_and_forgets_debts_with_the_rate),
        cmocka_unit_test(is_fair_by_host),
        cmocka_unit_test(keeps_the_order_within_a_host_but_new_ones_are_first),
        cmocka_unit_test(tells_the_place),
        cmocka_unit_test(takes_slots_back_from_who_does_not_read),
        cmocka_unit_test(bounds_the_memory),
        cmocka_unit_test(a_stalled_stream_is_evicted_only_when_room_is_wanted),
        cmocka_unit_test(shares_the_total_rate),
        cmocka_unit_test(bounds_each_host_and_the_total),
        cmocka_unit_test(remembers_what_a_host_owes),
        cmocka_unit_test(makes_small_messages_at_low_rates),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
