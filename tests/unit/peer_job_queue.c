/* The line of jobs: whose turn it is. */
#include "unit.h"

#include "common/memory.h"
#include "peer/downloads/job_queue.h"

#define MANY 2000

/* What the queue hands out is only a pointer to it. */
struct job {
    struct job_queue_entry line;
};

struct world {
    struct job_queue queue;
    struct job jobs[MANY];
};

static int start(void **state)
{
    struct world *world = memory_new(1, sizeof *world);

    job_queue_init(&world->queue);
    for (size_t i = 0; i < MANY; i++)
        world->jobs[i].line = (struct job_queue_entry){.job = &world->jobs[i], .age = i};
    *state = world;
    return 0;
}

static int stop(void **state)
{
    struct world *world = *state;

    job_queue_done(&world->queue);
    free(world);
    return 0;
}

static void add(struct world *world, size_t number, enum download_priority priority)
{
    job_queue_set_priority(&world->queue, &world->jobs[number].line, priority);
    job_queue_add(&world->queue, &world->jobs[number].line);
}

/* The numbers of those that come, in that order, and none after them. */
static void check_turns(struct world *world, const size_t *numbers, size_t count)
{
    assert_int_equal(job_queue_count(&world->queue), count);
    for (size_t i = 0; i < count; i++) {
        const struct job *job = job_queue_take(&world->queue);
        assert_non_null(job);
        check_row(i, job == &world->jobs[numbers[i]]);
    }
    assert_null(job_queue_take(&world->queue));
}

static void the_urgent_first_then_the_old(void **state)
{
    struct world *world = *state;

    add(world, 3, DOWNLOAD_NORMAL);
    add(world, 1, DOWNLOAD_LOW);
    add(world, 2, DOWNLOAD_NORMAL);
    add(world, 5, DOWNLOAD_HIGH);
    add(world, 4, DOWNLOAD_HIGH);
    add(world, 0, DOWNLOAD_LOW);
    assert_int_equal(job_queue_above(&world->queue, DOWNLOAD_LOW), 4);
    assert_int_equal(job_queue_above(&world->queue, DOWNLOAD_NORMAL), 2);
    assert_int_equal(job_queue_above(&world->queue, DOWNLOAD_HIGH), 0);
    check_turns(world, (size_t[]){4, 5, 2, 3, 0, 1}, 6);
    assert_int_equal(job_queue_above(&world->queue, DOWNLOAD_LOW), 0);
}

static void some_leave_the_line(void **state)
{
    struct world *world = *state;

    for (size_t i = 0; i < 8; i++)
        add(world, i, DOWNLOAD_NORMAL);
    job_queue_remove(&world->queue, &world->jobs[0].line);
    job_queue_remove(&world->queue, &world->jobs[7].line);
    job_queue_remove(&world->queue, &world->jobs[3].line);
    job_queue_remove(&world->queue, &world->jobs[3].line); /* it is not there: nothing */
    check_turns(world, (size_t[]){1, 2, 4, 5, 6}, 5);
}

static void priorities_change(void **state)
{
    struct world *world = *state;

    for (size_t i = 0; i < 5; i++)
        add(world, i, DOWNLOAD_NORMAL);
    job_queue_set_priority(&world->queue, &world->jobs[4].line, DOWNLOAD_HIGH);
    job_queue_set_priority(&world->queue, &world->jobs[0].line, DOWNLOAD_LOW);
    job_queue_rest(&world->queue, &world->jobs[5].line, 10);
    job_queue_set_priority(&world->queue, &world->jobs[5].line, DOWNLOAD_HIGH);
    job_queue_wake(&world->queue, 10);
    assert_int_equal(job_queue_above(&world->queue, DOWNLOAD_NORMAL), 2);
    check_turns(world, (size_t[]){4, 5, 1, 2, 3, 0}, 6);
}

static void who_rests_lets_all_others_go(void **state)
{
    struct world *world = *state;

    add(world, 2, DOWNLOAD_LOW);
    job_queue_set_priority(&world->queue, &world->jobs[0].line, DOWNLOAD_HIGH);
    job_queue_rest(&world->queue, &world->jobs[0].line, 100);
    job_queue_rest(&world->queue, &world->jobs[1].line, 100);
    add(world, 3, DOWNLOAD_LOW);
    assert_int_equal(job_queue_above(&world->queue, DOWNLOAD_LOW), 0);
    job_queue_wake(&world->queue, 99);
    check_turns(world, (size_t[]){2, 3, 0, 1}, 4);
}

static void a_rest_ends(void **state)
{
    struct world *world = *state;

    add(world, 1, DOWNLOAD_NORMAL);
    job_queue_rest(&world->queue, &world->jobs[3].line, 100);
    job_queue_rest(&world->queue, &world->jobs[0].line, 200);
    job_queue_rest(&world->queue, &world->jobs[2].line, 300);
    job_queue_remove(&world->queue, &world->jobs[3].line);
    job_queue_wake(&world->queue, 200);
    check_turns(world, (size_t[]){0, 1, 2}, 3);
}

/* Of one priority; who rests goes by itself. */
static void some_go_together(void **state)
{
    struct world *world = *state;
    struct job *jobs[8];
    static const struct {
        size_t max, count, first;
    } turns[] = {{8, 2, 0}, {4, 4, 2}, {8, 6, 6}, {8, 1, 20}, {8, 1, 21}, {8, 0, 0}};

    for (size_t i = 0; i < 12; i++)
        add(world, i, i < 2 ? DOWNLOAD_HIGH : DOWNLOAD_NORMAL);
    job_queue_rest(&world->queue, &world->jobs[20].line, 10);
    job_queue_rest(&world->queue, &world->jobs[21].line, 10);
    for (size_t i = 0; i < ARRAY_LENGTH(turns); i++) {
        size_t count = job_queue_take_some(&world->queue, turns[i].max, jobs);
        check_row(i, count == turns[i].count);
        for (size_t j = 0; j < count; j++)
            check_row(i, jobs[j] == &world->jobs[turns[i].first + j]);
    }
    assert_int_equal(job_queue_count(&world->queue), 0);
}

/* Against a plain search through all, with whatever comes. */
static void many_come_and_go(void **state)
{
    struct world *world = *state;
    bool waits[MANY] = {false};
    uint32_t random = 1;

    for (size_t step = 0; step < 20000; step++) {
        random = random * 1664525U + 1013904223U;
        size_t number = (random >> 8) % MANY;
        enum download_priority priority = (enum download_priority)((int)(random >> 30) % 3 - 1);
        struct job_queue_entry *line = &world->jobs[number].line;
        if (!waits[number]) {
            add(world, number, priority);
        } else if (random >> 29 & 1) {
            job_queue_set_priority(&world->queue, line, priority);
            continue;
        } else {
            job_queue_remove(&world->queue, line);
        }
        waits[number] = !waits[number];
    }
    for (;;) {
        struct job *expected = NULL;
        for (size_t i = 0; i < MANY; i++) {
            struct job *job = &world->jobs[i];
            if (waits[i] && (!expected || job->line.priority > expected->line.priority))
                expected = job;
        }
        assert_ptr_equal(job_queue_take(&world->queue), expected);
        if (!expected)
            break;
        waits[expected - world->jobs] = false;
    }
}

static void priorities_have_names(void **state)
{
    enum download_priority priority;

    (void)state;
    for (int each = DOWNLOAD_LOW; each <= DOWNLOAD_HIGH; each++) {
        const char *name = download_priority_name((enum download_priority)each);
        assert_true(download_priority_parse(name, &priority));
        assert_int_equal(priority, each);
    }
    assert_false(download_priority_parse("", &priority));
    assert_false(download_priority_parse("High", &priority));
    assert_false(download_priority_is_valid(2));
    assert_false(download_priority_is_valid(-2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_urgent_first_then_the_old, start, stop),
        cmocka_unit_test_setup_teardown(some_leave_the_line, start, stop),
        cmocka_unit_test_setup_teardown(priorities_change, start, stop),
        cmocka_unit_test_setup_teardown(who_rests_lets_all_others_go, start, stop),
        cmocka_unit_test_setup_teardown(a_rest_ends, start, stop),
        cmocka_unit_test_setup_teardown(some_go_together, start, stop),
        cmocka_unit_test_setup_teardown(many_come_and_go, start, stop),
        cmocka_unit_test(priorities_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
