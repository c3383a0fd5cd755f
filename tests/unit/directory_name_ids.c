#include "unit.h"

#include "common/memory.h"
#include "directory/name_ids.h"
#include "directory/secrets.h"

#include <pthread.h>
#include <stdatomic.h>

static int start(void **state)
{
    (void)state;
    return secrets_init(NULL) ? -1 : 0;
}

static char *name_of(size_t number, char out[32])
{
    snprintf(out, 32, "name %zu", number);
    return out;
}

static void check(struct name_ids *ids, size_t number, enum name_ids_answer expected,
                  int64_t expected_id)
{
    int64_t id = -1;
    char name[32];

    check_row(number, name_ids_find(ids, name_of(number, name), &id) == expected);
    check_row(number, expected != NAME_IDS_FOUND || id == expected_id);
}

static void only_who_has_all_says_no(void **state)
{
    struct name_ids *ids = name_ids_new(100);

    (void)state;
    check(ids, 1, NAME_IDS_UNKNOWN, 0);
    name_ids_put(ids, "name 1", 7);
    check(ids, 1, NAME_IDS_FOUND, 7);
    check(ids, 2, NAME_IDS_UNKNOWN, 0);
    name_ids_complete(ids);
    check(ids, 1, NAME_IDS_FOUND, 7);
    check(ids, 2, NAME_IDS_NONE, 0);
    name_ids_put(ids, "name 1", 9);
    check(ids, 1, NAME_IDS_FOUND, 9);
    name_ids_remove(ids, "name 1");
    name_ids_remove(ids, "name 3");
    check(ids, 1, NAME_IDS_NONE, 0);
    name_ids_free(ids);
}

static void what_does_not_fit_is_left_to_the_database(void **state)
{
    struct name_ids *ids = name_ids_new(2);

    (void)state;
    name_ids_complete(ids);
    name_ids_put(ids, "name 1", 1);
    name_ids_put(ids, "name 2", (INT64_C(1) << 40) - 1);
    name_ids_put(ids, "name 2", 2); /* no more of them */
    assert_true(name_ids_is_complete(ids));
    name_ids_put(ids, "name 3", 3);
    check(ids, 1, NAME_IDS_FOUND, 1);
    check(ids, 2, NAME_IDS_FOUND, 2);
    check(ids, 3, NAME_IDS_UNKNOWN, 0);
    name_ids_remove(ids, "name 1");
    check(ids, 1, NAME_IDS_UNKNOWN, 0);
    name_ids_complete(ids); /* it is not */
    check(ids, 1, NAME_IDS_UNKNOWN, 0);
    name_ids_put(ids, "name 4", INT64_C(1) << 40);
    check(ids, 4, NAME_IDS_UNKNOWN, 0);
    name_ids_free(ids);
}

/* Against a plain table, while they come and go. */
static void many_come_and_go(void **state)
{
    enum { NAMES = 60000, STEPS = 400000 };
    struct name_ids *ids = name_ids_new(NAMES);
    auto_free int64_t *model = memory_new(NAMES, sizeof *model);
    uint64_t random = 1;
    char name[32];

    (void)state;
    name_ids_complete(ids);
    for (int64_t step = 1; step <= STEPS; step++) {
        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        /* First they rise, then they fall. */
        bool put = (random >> 20) % 8 < (step < STEPS / 2 ? 6 : 2);
        size_t number = (random >> 33) % NAMES;
        if (put)
            name_ids_put(ids, name_of(number, name), step);
        else
            name_ids_remove(ids, name_of(number, name));
        model[number] = put ? step : 0;
        if (step % (STEPS / 4) == 0)
            for (size_t i = 0; i < NAMES; i++)
                check(ids, i, model[i] ? NAME_IDS_FOUND : NAME_IDS_NONE, model[i]);
    }
    name_ids_free(ids);
}

struct asking {
    struct name_ids *ids;
    atomic_bool over;
    size_t wrong;
};

enum { LASTING = 500 };

static void *ask(void *context)
{
    struct asking *asking = context;
    char name[32];
    int64_t id;

    while (!atomic_load(&asking->over))
        for (size_t i = 0; i < LASTING; i++) {
            id = 0;
            if (name_ids_find(asking->ids, name_of(i, name), &id) != NAME_IDS_FOUND ||
                id != (int64_t)i + 1)
                asking->wrong++;
            if (name_ids_find(asking->ids, "none", &id) != NAME_IDS_NONE)
                asking->wrong++;
        }
    return NULL;
}

static void who_asks_meanwhile_sees_what_lasts(void **state)
{
    enum { ASKERS = 3, STEPS = 20000 };
    struct asking asking[ASKERS] = {0};
    pthread_t threads[ASKERS];
    struct name_ids *ids = name_ids_new(SIZE_MAX);
    char name[32];

    (void)state;
    for (size_t i = 0; i < LASTING; i++)
        name_ids_put(ids, name_of(i, name), (int64_t)i + 1);
    name_ids_complete(ids);
    for (size_t i = 0; i < ASKERS; i++) {
        asking[i].ids = ids;
        assert_int_equal(pthread_create(&threads[i], NULL, ask, &asking[i]), 0);
    }
    for (int round = 0; round < 2; round++)
        for (size_t i = LASTING; i < LASTING + STEPS; i++)
            if (round == 0)
                name_ids_put(ids, name_of(i, name), (int64_t)i + 1);
            else
                name_ids_remove(ids, name_of(i, name));
    for (size_t i = 0; i < ASKERS; i++) {
        atomic_store(&asking[i].over, true);
        pthread_join(threads[i], NULL);
        assert_int_equal(asking[i].wrong, 0);
    }
    name_ids_free(ids);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_who_has_all_says_no),
        cmocka_unit_test(what_does_not_fit_is_left_to_the_database),
        cmocka_unit_test(many_come_and_go),
        cmocka_unit_test(who_asks_meanwhile_sees_what_lasts),
    };

    return cmocka_run_group_tests(tests, start, NULL);
}
