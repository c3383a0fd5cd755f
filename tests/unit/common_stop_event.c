#include "unit.h"

#include "common/clock.h"
#include "common/stop_event.h"

#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>

static void waits_until_the_time_is_over(void **state)
{
    struct stop_event *event = stop_event_new();
    int64_t start = clock_boot_ms();

    (void)state;
    assert_false(stop_event_wait_ms(event, 30));
    assert_true(clock_boot_ms() - start >= 30);
    assert_false(stop_event_raised(event));
    assert_false(stop_event_wait_ms(event, 0));
    stop_event_free(event);
    stop_event_free(NULL);
}

static void *wait_long(void *event)
{
    return stop_event_wait_ms(event, 60000) ? event : NULL;
}

static void raising_wakes_everybody(void **state)
{
    struct stop_event *event = stop_event_new();
    pthread_t threads[3];
    int64_t start = clock_boot_ms();

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, wait_long, event), 0);
    stop_event_raise(event);
    stop_event_raise(event);
    for (size_t i = 0; i < ARRAY_LENGTH(threads); i++) {
        void *result = NULL;
        pthread_join(threads[i], &result);
        assert_ptr_equal(result, event);
    }
    assert_true(clock_boot_ms() - start < 10000);
    assert_true(stop_event_wait_ms(event, 60000)); /* and it stays raised */
    struct pollfd item = {.fd = stop_event_descriptor(event), .events = POLLIN};
    assert_int_equal(poll(&item, 1, 0), 1);
    stop_event_free(event);
}

static void works_without_a_descriptor(void **state)
{
    struct rlimit before;
    pthread_t thread;
    void *result = NULL;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit none = {.rlim_cur = 0, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    struct stop_event *event = stop_event_new();
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);

    assert_int_equal(stop_event_descriptor(event), -1);
    assert_false(stop_event_wait_ms(event, 30));
    assert_int_equal(pthread_create(&thread, NULL, wait_long, event), 0);
    stop_event_raise(event);
    pthread_join(thread, &result);
    assert_ptr_equal(result, event);
    stop_event_free(event);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_until_the_time_is_over),
        cmocka_unit_test(raising_wakes_everybody),
        cmocka_unit_test(works_without_a_descriptor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
