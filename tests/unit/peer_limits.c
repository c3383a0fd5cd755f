/* Limits, timer and deadlines with their threads and the real clock. */
#include "unit.h"

#include "common/clock.h"
#include "peer/limits/deadlines.h"
#include "peer/limits/limits.h"

#include <pthread.h>
#include <stdatomic.h>

#define KIB       ((int64_t)1024)
#define LONG_MS   20000 /* what a busy machine under a sanitizer may need */
#define PEER      "10.0.0.1:8001"
#define OTHER     "10.0.0.2:8001"
#define NO_LIMITS ((struct limits_rates){.total = {0}})

struct world {
    struct timer *timer;
    struct limits *limits;
};

static int start(void **state)
{
    struct world *world = calloc(1, sizeof *world);

    assert_int_equal(timer_start(&world->timer, NULL), ERROR_NONE);
    world->limits = limits_new(&NO_LIMITS, 1, world->timer);
    *state = world;
    return 0;
}

static int stop(void **state)
{
    struct world *world = *state;

    limits_free(world->limits);
    timer_stop(world->timer);
    free(world);
    return 0;
}

static void wait_for(atomic_int *value, int expected)
{
    for (int64_t end = clock_boot_ms() + LONG_MS; atomic_load(value) != expected;) {
        assert_true(clock_boot_ms() < end);
        usleep(1000);
    }
}

static void count(void *context)
{
    atomic_fetch_add((atomic_int *)context, 1);
}

/* ---- deadlines ---- */

static void expires_once_unless_cleared(void **state)
{
    struct world *world = *state;
    struct deadlines *deadlines = deadlines_new(world->timer, 50, count);
    atomic_int counts[3] = {0, 0, 0};
    struct deadline items[3];

    for (int i = 0; i < 3; i++) {
        items[i] = (struct deadline){.context = &counts[i]};
        deadline_set(deadlines, &items[i]);
    }
    deadline_clear(deadlines, &items[1]);
    wait_for(&counts[0], 1);
    wait_for(&counts[2], 1);
    usleep(150000);
    assert_int_equal(atomic_load(&counts[0]), 1);
    assert_int_equal(atomic_load(&counts[1]), 0);
    deadline_set(deadlines, &items[1]);
    deadline_set(deadlines, &items[1]);
    wait_for(&counts[1], 1);
    deadline_clear(deadlines, &items[1]); /* harmless */
    deadlines_free(deadlines);
}

static void moves_with_what_happens(void **state)
{
    struct world *world = *state;
    struct deadlines *deadlines = deadlines_new(world->timer, 1000, count);
    atomic_int expired = 0;
    struct deadline item = {.context = &expired};

    for (int i = 0; i < 30; i++) {
        deadline_set(deadlines, &item);
        usleep(50000);
    }
    assert_int_equal(atomic_load(&expired), 0); /* 1.5 s have passed */
    deadline_clear(deadlines, &item);
    deadlines_free(deadlines);
}

/* ---- streams ---- */

static void wakes_the_next_when_a_message_is_done(void **state)
{
    struct world *world = *state;
    atomic_int woken[2] = {0, 0};
    struct limits_stream streams[2];
    int64_t granted;

    for (int i = 0; i < 2; i++) {
        streams[i] = (struct limits_stream){.limits = world->limits,
                                            .direction = LIMITS_UPLOAD,
                                            .serving = true,
                                            .wake = count,
                                            .context = &woken[i]};
        limits_join(&streams[i], PEER);
    }
    assert_true(limits_ask(&streams[0], 100, &granted));
    assert_int_equal(granted, 100);
    assert_false(limits_ask(&streams[1], 200, &granted));
    assert_false(limits_ask(&streams[1], 200, &granted));
    assert_int_equal(limits_place(&streams[1]), 1);
    assert_int_equal(limits_uploads_waiting(world->limits), 1);
    limits_done(&streams[0]);
    assert_int_equal(atomic_load(&woken[1]), 1);
    assert_true(limits_ask(&streams[1], 200, &granted));
    assert_int_equal(granted, 200);
    assert_int_equal(atomic_load(&woken[0]), 0);
    /* A slot whose message does not pass comes back by itself. */
    assert_false(limits_ask(&streams[0], 100, &granted));
    wait_for(&woken[0], 1);
    assert_true(limits_ask(&streams[0], 100, &granted));
    for (int i = 0; i < 2; i++)
        limits_leave(&streams[i]);
    limits_leave(&streams[0]); /* once more is harmless */
}

static void wakes_when_the_rate_allows(void **state)
{
    struct world *world = *state;
    struct limits_rates rates = {.per_peer = {[LIMITS_DOWNLOAD] = 10 * KIB}};
    atomic_int woken = 0;
    struct limits_stream stream = {
        .limits = world->limits, .direction = LIMITS_DOWNLOAD, .wake = count, .context = &woken};
    int64_t granted;

    limits_join(&stream, PEER);
    assert_true(limits_ask(&stream, 1 << 30, &granted)); /* no limit yet */
    limits_set_rates(world->limits, &rates);
    int64_t begin_ms = clock_boot_ms();
    assert_true(limits_ask(&stream, 3 * KIB, &granted));
    assert_false(limits_ask(&stream, 1 << 30, &granted));
    wait_for(&woken, 1);
    assert_true(clock_boot_ms() - begin_ms >= 290);
    assert_true(limits_ask(&stream, 1 << 30, &granted));
    assert_int_equal(granted, 1 << 30);
    assert_false(limits_ask(&stream, 1, &granted)); /* for days */
    limits_set_rates(world->limits, &NO_LIMITS);
    wait_for(&woken, 2);
    assert_true(limits_ask(&stream, 1, &granted));
    limits_leave(&stream);
}

/* ---- threads ---- */

static void threads_wait_for_the_rate(void **state)
{
    struct world *world = *state;
    struct interrupt *interrupt = interrupt_new();
    struct limits_rates rates = {.total = {[LIMITS_UPLOAD] = 100 * KIB}};

    assert_true(limits_take(NULL, LIMITS_UPLOAD, PEER, 1 << 30, interrupt));
    assert_true(limits_take(world->limits, LIMITS_UPLOAD, PEER, 1 << 30, interrupt));
    assert_int_equal(limits_message_bytes(world->limits, LIMITS_UPLOAD, 1 << 20), 1 << 20);
    limits_set_rates(world->limits, &rates);
    assert_int_equal(limits_message_bytes(world->limits, LIMITS_UPLOAD, 1 << 20), 12800);
    int64_t begin_ms = clock_boot_ms();
    for (int i = 0; i < 11; i++)
        assert_true(
            limits_take(world->limits, LIMITS_UPLOAD, i % 2 ? PEER : OTHER, 10 * KIB, interrupt));
    assert_in_range(clock_boot_ms() - begin_ms, 790, LONG_MS);
    assert_true(limits_take(world->limits, LIMITS_DOWNLOAD, PEER, 1 << 30, interrupt));
    interrupt_free(interrupt);
}

static void *raise_soon(void *interrupt)
{
    usleep(200000);
    interrupt_raise(interrupt);
    return NULL;
}

static void threads_are_interrupted(void **state)
{
    struct world *world = *state;
    struct interrupt *interrupt = interrupt_new();
    struct limits_rates rates = {.total = {[LIMITS_UPLOAD] = 1 * KIB}};
    pthread_t thread;

    limits_set_rates(world->limits, &rates);
    assert_true(limits_take(world->limits, LIMITS_UPLOAD, PEER, 1 << 30, interrupt));
    pthread_create(&thread, NULL, raise_soon, interrupt);
    assert_false(limits_take(world->limits, LIMITS_UPLOAD, PEER, 1 << 30, interrupt));
    pthread_join(thread, NULL);
    interrupt_free(interrupt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(expires_once_unless_cleared, start, stop),
        cmocka_unit_test_setup_teardown(moves_with_what_happens, start, stop),
        cmocka_unit_test_setup_teardown(wakes_the_next_when_a_message_is_done, start, stop),
        cmocka_unit_test_setup_teardown(wakes_when_the_rate_allows, start, stop),
        cmocka_unit_test_setup_teardown(threads_wait_for_the_rate, start, stop),
        cmocka_unit_test_setup_teardown(threads_are_interrupted, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
