/* The pool has no more threads than there is work for, and work never waits for one that could be.
 */
#include "unit.h"

#include "common/clock.h"
#include "common/thread_pool.h"

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>

#define THREADS 4
#define LONG_MS 20000

struct gate {
    atomic_int inside;
    atomic_bool open;
};

static void wait_at(void *context)
{
    struct gate *gate = context;

    atomic_fetch_add(&gate->inside, 1);
    while (!atomic_load(&gate->open))
        usleep(1000);
    atomic_fetch_sub(&gate->inside, 1);
}

static void wait_for(atomic_int *value, int expected)
{
    for (int64_t end = clock_boot_ms() + LONG_MS; atomic_load(value) != expected; usleep(1000))
        assert_true(clock_boot_ms() < end);
}

/* How many there are of that name, or only those that sleep. */
static int threads_named(const char *wanted, bool asleep)
{
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *entry;
    int count = 0;

    assert_non_null(tasks);
    while ((entry = readdir(tasks))) {
        char path[300];
        char name[32] = "";
        char state = '?';
        snprintf(path, sizeof path, "/proc/self/task/%s/stat", entry->d_name);
        FILE *file = fopen(path, "r");
        if (file && fscanf(file, "%*d (%31[^)]) %c", name, &state) != 2)
            name[0] = '\0';
        if (file)
            fclose(file);
        count += strcmp(name, wanted) == 0 && (!asleep || state == 'S');
    }
    closedir(tasks);
    return count;
}

static void wait_until_asleep(const char *name)
{
    int64_t end = clock_boot_ms() + LONG_MS;

    while (threads_named(name, true) < threads_named(name, false)) {
        assert_true(clock_boot_ms() < end);
        usleep(1000);
    }
}

static void test_threads_come_with_the_work(void **state)
{
    struct gate gate = {0};
    struct thread_pool *pool;

    (void)state;
    assert_int_equal(thread_pool_start("some", THREADS, 8, &pool, NULL), ERROR_NONE);
    assert_int_equal(threads_named("some", false), 1);
    for (int i = 0; i < THREADS + 1; i++)
        assert_int_equal(thread_pool_submit(pool, wait_at, &gate, NULL), ERROR_NONE);
    wait_for(&gate.inside, THREADS);
    assert_int_equal(threads_named("some", false), THREADS);
    atomic_store(&gate.open, true);
    thread_pool_free(pool);
    assert_int_equal(atomic_load(&gate.inside), 0);
}

static void count(void *context)
{
    atomic_fetch_add((atomic_int *)context, 1);
}

static void test_one_after_the_other_is_one_threads_work(void **state)
{
    atomic_int done = 0;
    struct thread_pool *pool;

    (void)state;
    assert_int_equal(thread_pool_start("some", THREADS, 8, &pool, NULL), ERROR_NONE);
    for (int i = 0; i < 50; i++) {
        wait_until_asleep("some"); /* it waits for work; one that does not yet is no help */
        assert_int_equal(thread_pool_submit(pool, count, &done, NULL), ERROR_NONE);
        wait_for(&done, i + 1);
    }
    assert_true(threads_named("some", false) < THREADS);
    thread_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads_come_with_the_work),
        cmocka_unit_test(test_one_after_the_other_is_one_threads_work),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
