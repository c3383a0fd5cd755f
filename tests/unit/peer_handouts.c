/* Which pieces a source gives to receivers that leave the choice to it. */
#include "unit.h"

#include "peer/service/handouts.h"

#define COUNT ((size_t)40)

static const struct content_id content = {.bytes = {1}};

/* Asks for `count` pieces from `first` on, or any of those that the bits have. */
static struct handout ask(struct handouts *handouts, size_t first, size_t count, uint64_t bits)
{
    uint8_t bytes[COUNT / 8];

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(bits >> 8 * i);
    const struct handout_wish wish = {.content = &content,
                                      .piece_count = COUNT,
                                      .asked = {first, count},
                                      .alternatives = bytes,
                                      .bytes = sizeof bytes};
    return handouts_choose(handouts, &wish);
}

static void assert_handout(struct handout handout, size_t first, size_t count)
{
    assert_int_equal(handout.first, first);
    assert_int_equal(handout.count, count);
}

static void each_gets_others(void **state)
{
    struct handouts *handouts = handouts_new();
    const uint64_t all = UINT64_MAX;

    (void)state;
    assert_handout(ask(handouts, 10, 4, all), 10, 4);
    assert_handout(ask(handouts, 10, 4, all), 14, 4);
    assert_handout(ask(handouts, 8, 4, all), 8, 2);   /* up to what was given */
    assert_handout(ask(handouts, 38, 4, all), 38, 4); /* beyond the end: as it asks */
    assert_handout(ask(handouts, 36, 4, all), 36, 4); /* that did not count */
    assert_handout(ask(handouts, 36, 4, all), 0, 4);  /* round the end */
    assert_handout(ask(handouts, 10, 4, 0), 10, 4);   /* nothing else will do */
    assert_handout(ask(handouts, 10, 4, 0xf << 14), 14, 4);
    handouts_free(handouts);
}

static void every_piece_once_before_any_twice(void **state)
{
    struct handouts *handouts = handouts_new();
    unsigned times[COUNT] = {0};
    size_t given = 0;

    (void)state;
    for (size_t i = 0; given < 3 * COUNT; i++) {
        struct handout handout = ask(handouts, i * 7 % (COUNT - 3), 3, UINT64_MAX);
        assert_in_range(handout.count, 1, 3);
        for (size_t j = 0; j < handout.count; j++)
            assert_int_equal(times[handout.first + j]++, given++ / COUNT);
    }
    handouts_free(handouts);
}

static void what_was_not_taken_is_offered_again(void **state)
{
    struct handouts *handouts = handouts_new();

    (void)state;
    assert_handout(ask(handouts, 0, 20, UINT64_MAX), 0, 20);
    handouts_return(handouts, &content, (struct handout){5, 15});
    assert_handout(ask(handouts, 0, 20, UINT64_MAX), 5, 20);
    handouts_return(handouts, &content, (struct handout){COUNT, 7});
    handouts_return(handouts, &(struct content_id){.bytes = {2}}, (struct handout){0, 7});
    assert_handout(ask(handouts, 0, 5, UINT64_MAX), 25, 5);
    handouts_free(handouts);
}

static void odd_wishes(void **state)
{
    struct handouts *handouts = handouts_new();
    const uint8_t bits[] = {0xff};
    const struct handout_wish wishes[] = {
        {.content = &content, .piece_count = 0, .alternatives = bits, .bytes = 1},
        {.content = &content, .piece_count = 4, .asked = {4, 1}, .alternatives = bits, .bytes = 1},
        {.content = &content, .piece_count = 4, .asked = {1, SIZE_MAX}},
        {.content = &content, .piece_count = 4, .asked = {SIZE_MAX, 2}},
        {.content = &content, .piece_count = 4, .asked = {0, 1}, .from = SIZE_MAX, .bytes = 1},
        {.content = &content, .piece_count = SIZE_MAX, .asked = {0, 1}},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(wishes); i++) {
        struct handout handout = handouts_choose(handouts, &wishes[i]);
        check_row(i, handout.first == wishes[i].asked.first);
        check_row(i, handout.count == wishes[i].asked.count);
    }
    handouts_free(handouts);
}

static void only_so_many_contents(void **state)
{
    struct handouts *handouts = handouts_new();
    const uint8_t bits[] = {0xff};

    (void)state;
    for (unsigned round = 0; round < 2; round++)
        for (uint8_t i = 0; i < HANDOUTS_CONTENTS_MAX + 1; i++) {
            const struct content_id id = {.bytes = {i}};
            const struct handout_wish wish = {.content = &id,
                                              .piece_count = 8,
                                              .asked = {0, 1},
                                              .alternatives = bits,
                                              .bytes = 1};
            assert_handout(handouts_choose(handouts, &wish), 0, 1); /* forgotten meanwhile */
            assert_handout(handouts_choose(handouts, &wish), 1, 1);
        }
    handouts_free(handouts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_gets_others),
        cmocka_unit_test(every_piece_once_before_any_twice),
        cmocka_unit_test(what_was_not_taken_is_offered_again),
        cmocka_unit_test(odd_wishes),
        cmocka_unit_test(only_so_many_contents),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
