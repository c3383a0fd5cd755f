/* Which source fetches which pieces: single rules, random use, and a simulated network. */
#include "unit.h"

#include "peer/downloads/swarm/piece_set.h"
#include "peer/downloads/swarm/pieces.h"
#include "swarm.h"

#include <time.h>

#define PIECE 1000

static struct pieces *make(size_t count, const uint8_t *held, bool in_order, uint64_t seed)
{
    const struct pieces_options options = {
        .count = count, .piece_bytes = PIECE, .held = held, .in_order = in_order, .seed = seed};

    return pieces_new(&options);
}

/* The whole run comes, a piece in each_ms. Returns when. */
static int64_t bring(struct pieces *pieces, unsigned source, struct pieces_run run, int64_t now_ms,
                     int64_t each_ms)
{
    assert_true(run.count > 0);
    for (size_t i = run.first; i < run.first + run.count; i++) {
        now_ms += each_ms;
        pieces_received(pieces, source, PIECE, now_ms);
        assert_true(pieces_wanted(pieces, source, i));
        assert_true(pieces_hold(pieces, source, i, now_ms));
    }
    return now_ms;
}

/* ---- the set ---- */

static void set_finds_the_next(void **state)
{
    static const size_t members[] = {0, 63, 64, 4095, 4096, 262143, 262144, 999999};
    struct piece_set a;
    struct piece_set b;

    (void)state;
    piece_set_init(&a, 1000000);
    piece_set_init(&b, 1000000);
    assert_true(piece_set_next(&a, NULL, 0) == PIECE_NONE);
    for (size_t i = 0; i < ARRAY_LENGTH(members); i++)
        piece_set_add(&a, members[i]);
    for (size_t i = 0; i < ARRAY_LENGTH(members); i++) {
        check_row(i, piece_set_has(&a, members[i]));
        check_row(i, piece_set_next(&a, NULL, members[i]) == members[i]);
        check_row(i, piece_set_next(&a, NULL, members[i] + 1) ==
                         (i + 1 < ARRAY_LENGTH(members) ? members[i + 1] : PIECE_NONE));
    }
    piece_set_add(&b, 65); /* a word with members in both, none of them common */
    piece_set_add(&b, 262144);
    assert_int_equal(piece_set_next(&a, &b, 0), 262144);
    piece_set_replace_word(&b, 262144 / 64, 0);
    assert_true(piece_set_next(&a, &b, 0) == PIECE_NONE);
    for (size_t i = 0; i < ARRAY_LENGTH(members); i++)
        piece_set_remove(&a, members[i]);
    assert_true(piece_set_next(&a, NULL, 0) == PIECE_NONE);
    piece_set_done(&a);
    piece_set_done(&b);
}

/* ---- single rules ---- */

static void nothing_to_fetch(void **state)
{
    const uint8_t all[1] = {0xff};

    (void)state;
    struct pieces *pieces = make(0, all, false, 1);
    assert_true(pieces_complete(pieces));
    pieces_add_source(pieces, 0, NULL, 0);
    pieces_add_source(pieces, 1, all, 0);
    assert_int_equal(pieces_next(pieces, 0, 0).count, 0);
    assert_int_equal(pieces_next(pieces, 1, 0).count, 0);
    assert_false(pieces_hold(pieces, 0, 0, 0));
    pieces_miss(pieces, 0, 0);
    pieces_free(pieces);
    pieces_free(NULL);
}

static void one_piece(void **state)
{
    (void)state;
    struct pieces *pieces = make(1, NULL, false, 1);
    pieces_add_source(pieces, 15, NULL, 0);
    struct pieces_run run = pieces_next(pieces, 15, 0);
    assert_true(run.first == 0 && run.count == 1);
    (void)bring(pieces, 15, run, 0, 10);
    assert_true(pieces_complete(pieces));
    assert_int_equal(pieces_bits(pieces)[0], 1);
    pieces_free(pieces);
}

static void bits_beyond_the_count(void **state)
{
    const uint8_t held[2] = {0x0f, 0xfc}; /* of 10 pieces: 0 to 3 */
    const uint8_t have[2] = {0xf0, 0xfc}; /* 4 to 7 */

    (void)state;
    struct pieces *pieces = make(10, held, false, 1);
    assert_int_equal(pieces_held(pieces), 4);
    assert_int_equal(pieces_bits(pieces)[1], 0);
    assert_false(pieces_is_held(pieces, 10));
    pieces_add_source(pieces, 0, have, 0);
    int64_t now_ms = 0;
    for (struct pieces_run run; (run = pieces_next(pieces, 0, now_ms)).count > 0;) {
        assert_true(run.first >= 4 && run.first + run.count <= 8);
        now_ms = bring(pieces, 0, run, now_ms, 10);
    }
    assert_int_equal(pieces_held(pieces), 8);
    assert_false(pieces_complete(pieces));
    assert_false(pieces_hold(pieces, 0, 10, 0));
    assert_false(pieces_wanted(pieces, 0, SIZE_MAX));
    pieces_free(pieces);
}

static void strangers_and_removing_twice(void **state)
{
    (void)state;
    struct pieces *pieces = make(8, NULL, false, 1);
    pieces_remove_source(pieces, 3);
    pieces_remove_source(pieces, 99);
    assert_int_equal(pieces_next(pieces, 3, 0).count, 0);
    assert_int_equal(pieces_next(pieces, 99, 0).count, 0);
    assert_int_equal(pieces_rate(pieces, 99, 0), 0);
    assert_false(pieces_wanted(pieces, 99, 0));
    pieces_give_back(pieces, 99);
    pieces_received(pieces, 99, 1, 0);
    pieces_source_has(pieces, 99, NULL);
    pieces_add_source(pieces, 3, (const uint8_t[]){0x01}, 0);
    assert_int_equal(pieces_next(pieces, 3, 0).count, 1);
    pieces_remove_source(pieces, 3);
    pieces_remove_source(pieces, 3);
    pieces_add_source(pieces, 3, NULL, 0);
    for (size_t left = 8; left > 0;) {
        struct pieces_run run = pieces_next(pieces, 3, 0);
        assert_in_range(run.count, 1, left);
        (void)bring(pieces, 3, run, 0, 0);
        left -= run.count;
    }
    assert_true(pieces_complete(pieces));
    pieces_free(pieces);
}

static void held_once_missed_and_lost(void **state)
{
    (void)state;
    struct pieces *pieces = make(2, NULL, true, 1);
    pieces_add_source(pieces, 0, NULL, 0);
    assert_int_equal(pieces_next(pieces, 0, 0).count, 2);
    assert_true(pieces_hold(pieces, 0, 0, 1));
    assert_false(pieces_hold(pieces, 0, 0, 1));
    assert_int_equal(pieces_held(pieces), 1);
    pieces_miss(pieces, 0, 0);
    assert_true(pieces_is_held(pieces, 0)); /* what is held is right, whoever failed */
    pieces_miss(pieces, 0, 1);
    pieces_miss(pieces, 0, 1);
    assert_false(pieces_wanted(pieces, 0, 1));
    struct pieces_run run = pieces_next(pieces, 0, 2);
    assert_true(run.first == 1 && run.count == 1);
    assert_true(pieces_hold(pieces, 0, 1, 3));
    assert_true(pieces_complete(pieces));
    pieces_free(pieces);
}

static void complete_sources_go_round_from_a_random_place(void **state)
{
    size_t starts[4];

    (void)state;
    for (size_t seed = 0; seed < ARRAY_LENGTH(starts); seed++) {
        struct pieces *pieces = make(1000, NULL, false, seed);
        int64_t now_ms = 0;
        size_t expected = SIZE_MAX;
        pieces_add_source(pieces, 0, NULL, 0);
        for (struct pieces_run run; (run = pieces_next(pieces, 0, now_ms)).count > 0;) {
            if (expected == SIZE_MAX)
                starts[seed] = run.first;
            else
                assert_int_equal(run.first, expected);
            expected = (run.first + run.count) % 1000;
            now_ms = bring(pieces, 0, run, now_ms, 10);
        }
        assert_true(pieces_complete(pieces));
        pieces_free(pieces);
    }
    assert_false(starts[0] == starts[1] && starts[1] == starts[2] && starts[2] == starts[3]);
}

static void runs_grow_with_what_was_shown(void **state)
{
    int64_t now_ms = 0;
    struct pieces_run run;

    (void)state;
    struct pieces *pieces = make(100000, NULL, true, 1);
    pieces_add_source(pieces, 0, NULL, 0);
    run = pieces_next(pieces, 0, now_ms);
    assert_in_range(run.count, 1, 4);
    assert_int_equal(pieces_rate(pieces, 0, now_ms), 0);
    for (int i = 0; i < 8; i++) {
        now_ms = bring(pieces, 0, run, now_ms, 100);
        run = pieces_next(pieces, 0, now_ms);
    }
    assert_in_range(run.count, PIECES_RUN_MS / 100 - 1, PIECES_RUN_MS / 100 + 1);
    assert_in_range(pieces_rate(pieces, 0, now_ms), 9900, 10100);
    assert_in_range(pieces_rate(pieces, 0, now_ms + 2000), 3000, 7000);
    assert_int_equal(pieces_rate(pieces, 0, now_ms + PIECES_STALL_MS), 0);
    for (int i = 0; i < 8; i++) {
        now_ms = bring(pieces, 0, run, now_ms, 1);
        run = pieces_next(pieces, 0, now_ms);
    }
    assert_true(run.count > 40 && run.count <= PIECES_RUN_MAX);
    for (int i = 0; i < 8; i++) {
        now_ms = bring(pieces, 0, run, now_ms, 5000);
        run = pieces_next(pieces, 0, now_ms);
    }
    assert_int_equal(run.count, 1);
    pieces_free(pieces);
}

static void rarest_first(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct pieces *pieces = make(16, NULL, false, seed);
        pieces_add_source(pieces, 0, NULL, 0);
        pieces_add_source(pieces, 1, (const uint8_t[]){0xff, 0x0f}, 0);
        pieces_add_source(pieces, 2, (const uint8_t[]){0xf7, 0x0f}, 0);
        struct pieces_run run = pieces_next(pieces, 0, 0); /* who has all: what nobody else has */
        assert_in_range(run.first, 12, 15);
        run = pieces_next(pieces, 1, 0);
        assert_true(run.first == 3 && run.count == 1);
        run = pieces_next(pieces, 2, 0);
        assert_true(run.count > 0 && run.first + run.count <= 12);
        pieces_source_has(pieces, 1, (const uint8_t[]){0xff, 0xff}); /* it has all now */
        pieces_source_has(pieces, 2, (const uint8_t[]){0xff, 0xf0});
        pieces_give_back(pieces, 0);
        pieces_give_back(pieces, 1);
        pieces_give_back(pieces, 2);
        run = pieces_next(pieces, 1, 0);
        assert_in_range(run.first, 8, 11);
        pieces_free(pieces);
    }
}

/* All is held but the run of 20 pieces that source 1 has, which brings a piece in 100 ms. */
static struct pieces *end_of_a_file(struct pieces_run *run, int64_t *now_ms)
{
    struct pieces *pieces = make(100, NULL, false, 1);

    *now_ms = 0;
    pieces_add_source(pieces, 1, NULL, 0);
    while ((*run = pieces_next(pieces, 1, *now_ms)).count < 20)
        *now_ms = bring(pieces, 1, *run, *now_ms, 100);
    for (size_t i = 0; i < 100; i++)
        if (i < run->first || i >= run->first + run->count)
            (void)pieces_hold(pieces, 1, i, *now_ms);
    assert_int_equal(pieces_held(pieces), 80);
    return pieces;
}

static void takes_over_the_end_of_a_run(void **state)
{
    struct pieces_run slow;
    int64_t now_ms;
    struct pieces_run run;

    (void)state;
    struct pieces *pieces = end_of_a_file(&slow, &now_ms);
    pieces_add_source(pieces, 0, NULL, now_ms);
    run = pieces_next(pieces, 0, now_ms);
    assert_in_range(run.count, 1, 4); /* nothing is known of it */
    assert_int_equal(run.first + run.count, slow.first + slow.count);
    for (size_t i = run.first; i < run.first + run.count; i++)
        assert_true(pieces_wanted(pieces, 0, i) && !pieces_wanted(pieces, 1, i));
    for (size_t i = slow.first; i < run.first; i++)
        assert_true(pieces_wanted(pieces, 1, i) && !pieces_wanted(pieces, 0, i));
    pieces_received(pieces, 1, PIECE + 1, now_ms); /* it is at its second piece */
    while ((run = pieces_next(pieces, 0, now_ms)).first > slow.first + 1)
        now_ms = bring(pieces, 0, run, now_ms, 10);
    assert_true(run.count == 1); /* one of those that are under way, a second time */
    assert_true(pieces_wanted(pieces, 1, slow.first) && pieces_wanted(pieces, 1, slow.first + 1));
    assert_true(pieces_hold(pieces, 0, run.first, now_ms));
    assert_false(pieces_wanted(pieces, 1, run.first));
    assert_false(pieces_hold(pieces, 1, run.first, now_ms));
    pieces_free(pieces);
}

static void leaves_a_run_to_who_is_sooner(void **state)
{
    struct pieces_run run;
    int64_t now_ms;

    (void)state;
    struct pieces *pieces = end_of_a_file(&run, &now_ms);
    pieces_add_source(pieces, 0, NULL, now_ms);
    pieces_received(pieces, 0, PIECE / 20, now_ms + 1000); /* 20 s for one; the other needs 2 s */
    assert_int_equal(pieces_next(pieces, 0, now_ms + 1).count, 0);
    pieces_add_source(pieces, 2, (const uint8_t[13]){0}, now_ms); /* has nothing */
    pieces_received(pieces, 2, 100 * PIECE, now_ms + 1000);
    assert_int_equal(pieces_next(pieces, 2, now_ms + 1).count, 0);
    now_ms += PIECES_STALL_MS; /* the other one has stalled: late is sooner than never */
    assert_in_range(pieces_next(pieces, 0, now_ms).count, 1, 4);
    assert_int_equal(pieces_next(pieces, 2, now_ms).count, 0);
    pieces_free(pieces);
}

static void a_stalled_source_keeps_nothing(void **state)
{
    struct pieces_run slow;
    struct pieces_run run;
    int64_t now_ms;

    (void)state;
    struct pieces *pieces = end_of_a_file(&slow, &now_ms);
    pieces_add_source(pieces, 0, NULL, now_ms);
    pieces_add_source(pieces, 2, NULL, now_ms);
    now_ms += PIECES_STALL_MS;
    while ((run = pieces_next(pieces, 0, now_ms)).first != slow.first)
        now_ms = bring(pieces, 0, run, now_ms, 100);
    assert_int_equal(run.count, 1);
    assert_int_equal(pieces_next(pieces, 2, now_ms).count, 0); /* twice, not three times */
    pieces_remove_source(pieces, 1);                           /* it is still coming from 0 */
    assert_int_equal(pieces_next(pieces, 2, now_ms).count, 0);
    pieces_remove_source(pieces, 0);
    assert_int_equal(pieces_next(pieces, 2, now_ms).count, 1);
    pieces_free(pieces);
}

/* ---- random use ---- */

#define RANDOM_SOURCES 6
#define RANDOM_PIECES  200

struct random_use {
    struct pieces *pieces;
    size_t count;
    int64_t now_ms;
    bool used[RANDOM_SOURCES];
    uint8_t have[RANDOM_SOURCES][RANDOM_PIECES / 8 + 1];
    struct pieces_run run[RANDOM_SOURCES];
    uint64_t random;
};

static size_t random_below(struct random_use *use, size_t n)
{
    use->random = use->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (size_t)(use->random >> 33) % n;
}

static void random_have(struct random_use *use, unsigned source)
{
    size_t of_ten = random_below(use, 11);

    for (size_t i = 0; i < use->count; i++) /* sometimes one loses pieces */
        if (random_below(use, 10) < of_ten)
            use->have[source][i / 8] |= (uint8_t)(1U << i % 8);
        else if (of_ten == 0)
            use->have[source][i / 8] &= (uint8_t) ~(1U << i % 8);
}

/* The source sends others, now and then. */
static struct pieces_run random_move(struct random_use *use, unsigned source, struct pieces_run run)
{
    uint8_t others[RANDOM_PIECES / 8 + 1];
    size_t bits = sizeof others * 8;

    if (run.count == 0)
        return run;
    size_t found = pieces_alternatives(use->pieces, source, &run, 0, bits, others);
    if (found == 0 || random_below(use, 2) == 0)
        return run;
    size_t first = random_below(use, bits);
    while (!(others[first / 8] >> first % 8 & 1))
        first = (first + 1) % bits;
    size_t count = 1;
    while (count < run.count && first + count < bits &&
           (others[(first + count) / 8] >> (first + count) % 8 & 1) != 0)
        count++;
    pieces_move_run(use->pieces, source, (struct pieces_run){first, count});
    for (size_t i = run.first; i < run.first + run.count; i++)
        assert_true(pieces_wanted(use->pieces, source, i) == (i >= first && i < first + count));
    return (struct pieces_run){first, count};
}

static void check_run(struct random_use *use, unsigned source)
{
    struct pieces_run run = pieces_next(use->pieces, source, use->now_ms);

    assert_true(run.count <= PIECES_RUN_MAX);
    run = use->run[source] = random_move(use, source, run);
    for (size_t i = run.first; i < run.first + run.count; i++) {
        unsigned fetching = 0;
        assert_true(i < use->count && !pieces_is_held(use->pieces, i));
        assert_true((use->have[source][i / 8] >> i % 8 & 1) != 0);
        assert_true(pieces_wanted(use->pieces, source, i));
        for (unsigned other = 0; other < RANDOM_SOURCES; other++)
            fetching += pieces_wanted(use->pieces, other, i);
        assert_in_range(fetching, 1, 2);
    }
}

/* Nobody else fetches what is to follow. */
static void check_ahead(struct random_use *use, unsigned source)
{
    struct pieces_run run = pieces_next_ahead(use->pieces, source, use->now_ms);

    assert_true(run.count <= PIECES_RUN_MAX);
    for (size_t i = run.first; i < run.first + run.count; i++) {
        assert_true(i < use->count && !pieces_is_held(use->pieces, i));
        assert_true((use->have[source][i / 8] >> i % 8 & 1) != 0);
        for (unsigned other = 0; other < RANDOM_SOURCES; other++)
            assert_true(pieces_wanted(use->pieces, other, i) == (other == source));
    }
    if (run.count > 0)
        assert_int_equal(pieces_next_ahead(use->pieces, source, use->now_ms).count, 0);
}

static void random_report(struct random_use *use, unsigned source)
{
    struct pieces_run run = use->run[source];

    if (run.count == 0)
        return;
    size_t index = run.first + random_below(use, run.count);
    if (random_below(use, 8) == 0) {
        bool held = pieces_is_held(use->pieces, index);
        pieces_miss(use->pieces, source, index);
        assert_true(pieces_is_held(use->pieces, index) == held);
        assert_false(pieces_wanted(use->pieces, source, index));
        return;
    }
    bool held = pieces_is_held(use->pieces, index);
    pieces_received(use->pieces, source, random_below(use, 2 * PIECE), use->now_ms);
    assert_true(pieces_hold(use->pieces, source, index, use->now_ms) == !held);
    for (unsigned other = 0; other < RANDOM_SOURCES; other++)
        assert_false(pieces_wanted(use->pieces, other, index));
}

static void random_step(struct random_use *use)
{
    unsigned source = (unsigned)random_below(use, RANDOM_SOURCES);

    use->now_ms += (int64_t)random_below(use, 100) == 0 ? 4000 : (int64_t)random_below(use, 50);
    if (!use->used[source]) {
        random_have(use, source);
        pieces_add_source(use->pieces, source, use->have[source], use->now_ms);
        use->used[source] = true;
        return;
    }
    switch (random_below(use, 20)) {
    case 0:
        pieces_remove_source(use->pieces, source);
        use->used[source] = false;
        use->run[source].count = 0;
        break;
    case 1:
        random_have(use, source);
        pieces_source_has(use->pieces, source, use->have[source]);
        break;
    case 2:
        pieces_give_back(use->pieces, source);
        break;
    case 3:
        check_ahead(use, source);
        break;
    case 4:
        use->run[source].count = 0; /* done with it, or not */
        (void)pieces_begin_ahead(use->pieces, source, use->now_ms);
        break;
    case 5:
    case 6:
    case 7:
        check_run(use, source);
        break;
    default:
        random_report(use, source);
    }
}

/* One complete source must get every piece that is not held, each once. */
static void drain(struct random_use *use)
{
    size_t left = use->count - pieces_held(use->pieces);

    for (unsigned source = 0; source < RANDOM_SOURCES; source++)
        pieces_remove_source(use->pieces, source);
    pieces_add_source(use->pieces, 7, NULL, use->now_ms);
    for (struct pieces_run run; (run = pieces_next(use->pieces, 7, use->now_ms)).count > 0;) {
        assert_true(run.count <= left);
        left -= run.count;
        use->now_ms = bring(use->pieces, 7, run, use->now_ms, 1);
    }
    assert_int_equal(left, 0);
    assert_true(pieces_complete(use->pieces));
}

static void a_source_that_chooses(void **state)
{
    struct pieces *pieces = make(20, (const uint8_t[]){1, 0, 0}, false, 1);
    uint8_t others[3];

    (void)state;
    pieces_add_source(pieces, 0, NULL, 0);
    pieces_add_source(pieces, 1, (const uint8_t[]){0xff, 0, 0}, 0);
    assert_true(pieces_any_partial(pieces));
    struct pieces_run run = pieces_next(pieces, 0, 0);
    assert_true(run.count > 0 && run.first >= 8);
    size_t found = pieces_alternatives(pieces, 0, &run, 0, 24, others);
    assert_int_equal(found, 12 - run.count); /* as rare, and missing */
    assert_true(others[0] == 0 && (others[run.first / 8] >> run.first % 8 & 1) == 0);
    assert_true(pieces_alternatives(pieces, 0, &run, 16, 8, others) <= 4);
    pieces_move_run(pieces, 0, (struct pieces_run){.first = 0, .count = 3});
    assert_false(pieces_wanted(pieces, 0, 0)); /* it is held */
    assert_true(pieces_wanted(pieces, 0, 1) && pieces_wanted(pieces, 0, 2));
    assert_false(pieces_wanted(pieces, 0, run.first));
    pieces_move_run(pieces, 0, (struct pieces_run){.first = 19, .count = 2}); /* not possible */
    assert_true(pieces_wanted(pieces, 0, 1) && pieces_wanted(pieces, 0, 2));
    run = pieces_next(pieces, 1, 0);
    pieces_move_run(pieces, 0, run); /* another one fetches them */
    for (size_t i = 0; i < run.count; i++)
        assert_false(pieces_wanted(pieces, 0, run.first + i));
    pieces_free(pieces);
}

static void the_next_run_is_known_before(void **state)
{
    struct pieces *pieces = make(12, NULL, false, 1);

    (void)state;
    pieces_add_source(pieces, 0, NULL, 0);
    pieces_add_source(pieces, 1, NULL, 0);
    struct pieces_run run = pieces_next(pieces, 0, 0);
    struct pieces_run ahead = pieces_next_ahead(pieces, 0, 0);
    assert_true(run.count > 0 && ahead.count > 0);
    assert_true(pieces_wanted(pieces, 0, ahead.first));
    (void)bring(pieces, 0, run, 0, 10);
    assert_true(pieces_begin_ahead(pieces, 0, 20));
    assert_false(pieces_begin_ahead(pieces, 0, 20)); /* there is no other */
    assert_false(pieces_wanted(pieces, 0, ahead.first));
    /* With the run, what was to follow it is given back, too. */
    (void)pieces_next(pieces, 0, 20);
    (void)pieces_next_ahead(pieces, 0, 20);
    pieces_remove_source(pieces, 0);
    size_t left = 12 - run.count;
    for (int64_t now_ms = 100; left > 0; now_ms += 100) {
        run = pieces_next(pieces, 1, now_ms);
        left -= run.count;
        (void)bring(pieces, 1, run, now_ms, 1);
    }
    assert_true(pieces_complete(pieces));
    pieces_free(pieces);
}

/* Others take over what it has, and what was to follow. */
static void what_follows_a_stall(void **state)
{
    struct pieces *pieces = make(4, NULL, false, 1);
    size_t held = 0;

    (void)state;
    pieces_add_source(pieces, 0, NULL, 0);
    (void)pieces_next(pieces, 0, 0);
    (void)pieces_next_ahead(pieces, 0, 0);
    pieces_add_source(pieces, 1, NULL, 0);
    for (int64_t now_ms = PIECES_STALL_MS; held < 4; now_ms += 10) {
        struct pieces_run run = pieces_next(pieces, 1, now_ms);
        held += run.count;
        (void)bring(pieces, 1, run, now_ms, 1);
    }
    assert_true(pieces_complete(pieces));
    pieces_free(pieces);
}

static void random_use_forgets_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct random_use use = {.random = seed};
        use.count = 1 + random_below(&use, RANDOM_PIECES);
        use.pieces = make(use.count, NULL, seed % 3 == 0, seed);
        for (size_t steps = random_below(&use, 3000); steps > 0; steps--)
            random_step(&use);
        drain(&use);
        pieces_free(use.pieces);
    }
}

/* ---- many pieces ---- */

static double cpu_seconds(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

static void fetch_all(struct pieces *pieces, unsigned sources, int64_t now_ms)
{
    for (bool more = true; more; now_ms++) {
        more = false;
        for (unsigned source = 0; source < sources; source++) {
            struct pieces_run run = pieces_next(pieces, source, now_ms);
            more |= run.count > 0;
            for (size_t i = run.first; i < run.first + run.count; i++) {
                pieces_received(pieces, source, PIECE, now_ms + 10);
                assert_true(pieces_hold(pieces, source, i, now_ms + 10));
            }
        }
    }
    assert_true(pieces_complete(pieces));
}

/* Four times the pieces take four times as long, and more where they no longer fit a cache; what
 * looks at every piece for every piece takes sixteen times as long. On any machine. */
static void check_growth(double (*measure)(size_t count), size_t count)
{
    double quarter = measure(count / 4);
    double whole = measure(count);

    print_message("%.3f s, a quarter %.3f s\n", whole, quarter);
    assert_true(whole < 12 * quarter + 0.1);
}

static double fetch_from_eight(size_t count)
{
    double before = cpu_seconds();
    struct pieces *pieces = make(count, NULL, false, 1);

    for (unsigned source = 0; source < 8; source++)
        pieces_add_source(pieces, source, NULL, 0);
    fetch_all(pieces, 8, 0);
    pieces_free(pieces);
    return cpu_seconds() - before;
}

static void a_tebibyte_from_eight(void **state)
{
    (void)state;
    check_growth(fetch_from_eight, 1048576);
}

/* The first has all, the others every other piece, a half, random ones. */
static double fetch_from_partial_sources(size_t count)
{
    uint8_t *have = calloc(count / 8, 1);
    uint64_t random = 1;
    double before = cpu_seconds();
    struct pieces *pieces = make(count, NULL, false, 1);

    pieces_add_source(pieces, 0, NULL, 0);
    for (unsigned source = 1; source < PIECES_SOURCES_MAX; source++) {
        for (size_t i = 0; i < count / 8; i++) {
            random = random * UINT64_C(6364136223846793005) + 1;
            have[i] = source % 3 == 0   ? (source % 2 != 0 ? 0x55 : 0xaa)
                      : source % 3 == 1 ? (i < count / 16 ? 0xff : 0)
                                        : (uint8_t)(random >> 50);
        }
        pieces_add_source(pieces, source, have, 0);
    }
    fetch_all(pieces, PIECES_SOURCES_MAX, 0);
    pieces_free(pieces);
    free(have);
    return cpu_seconds() - before;
}

static void many_pieces_from_partial_sources(void **state)
{
    (void)state;
    check_growth(fetch_from_partial_sources, 262144);
}

/* ---- in a simulated network ---- */

#define FILE_BYTES UINT64_C(200000000)
#define LINK_MS    16000.0 /* for the file at 100 Mbit/s */

/* Node 0 fetches at 1 Gbit/s from four at 100 Mbit/s. */
static void four_sources(struct swarm *swarm)
{
    swarm_init(swarm, FILE_BYTES, 5, 100);
    swarm->node[0].down *= 10;
}

static double finish(struct swarm *swarm, const uint8_t *held)
{
    swarm_receiver(swarm, 0, held);
    double last_ms = swarm_run(swarm);
    assert_true(last_ms < SWARM_NEVER);
    assert_true(pieces_complete(swarm->node[0].job));
    swarm_done(swarm);
    return last_ms;
}

static void four_equal_sources(void **state)
{
    struct swarm swarm;

    (void)state;
    four_sources(&swarm);
    assert_true(finish(&swarm, NULL) < LINK_MS / 4 * 1.05);
    assert_in_range(swarm.fetched, swarm.count, swarm.count + 4);
    for (unsigned i = 1; i < 5; i++)
        assert_in_range(swarm.sent_bytes[i], FILE_BYTES * 23 / 100, FILE_BYTES * 27 / 100);
}

static void one_source_is_slow(void **state)
{
    struct swarm swarm;

    (void)state;
    four_sources(&swarm);
    swarm.node[2].up /= 20;
    assert_true(finish(&swarm, NULL) < LINK_MS / 3.05 * 1.3);
}

static void one_source_dies(void **state)
{
    struct swarm swarm;

    (void)state;
    four_sources(&swarm);
    swarm.node[3].dies_ms = 2000; /* half-way: two more seconds' worth from three */
    assert_true(finish(&swarm, NULL) < (2000 + 2000 * 4 / 3.0) * 1.1);
}

static void one_source_stalls(void **state)
{
    struct swarm swarm;

    (void)state;
    four_sources(&swarm);
    swarm.node[1].stalls_ms = 2000;
    assert_true(finish(&swarm, NULL) < 2000 + PIECES_STALL_MS + 300); /* what was under way */
    four_sources(&swarm);
    swarm.node[1].stalls_ms = 3900; /* at the very end */
    assert_true(finish(&swarm, NULL) < 3900 + PIECES_STALL_MS + 1500);
}

static void one_source_lies(void **state)
{
    struct swarm swarm;

    (void)state;
    four_sources(&swarm);
    swarm.node[4].lies = true;
    assert_true(finish(&swarm, NULL) < LINK_MS / 3 * 1.1);
    assert_false(swarm.flow[0][4].usable);
}

static void one_of_each(void **state)
{
    struct swarm swarm;

    (void)state;
    four_sources(&swarm);
    swarm.node[1].up /= 20;
    swarm.node[2].lies = true;
    swarm.node[3].dies_ms = 3000;
    /* 100 Mbit/s all the time, as much for 3 s more, and the slow one */
    assert_true(finish(&swarm, NULL) < (LINK_MS - 3000) * 1.3);
}

static void partial_sources_gain(void **state)
{
    uint8_t first_half[25] = {0};
    struct swarm swarm;

    (void)state;
    for (size_t i = 0; i < 12; i++)
        first_half[i] = 0xff;
    four_sources(&swarm);
    swarm.node[1].gain_every_ms = 30; /* all after 5.7 s */
    swarm.node[2].gain_every_ms = 40; /* after 7.6 s */
    swarm.node[3].have = first_half;
    swarm.node[4].have = first_half;
    /* The first half comes within 2.9 s, then one gives of the other, after 3.8 s two; and each is
     * asked once a second. */
    assert_true(finish(&swarm, NULL) < 7330 + 1600);
}

static void in_order_ascends(void **state)
{
    struct swarm swarm;

    (void)state;
    four_sources(&swarm);
    swarm.in_order = true;
    swarm.node[2].gain_every_ms = 20;
    assert_true(finish(&swarm, NULL) < LINK_MS / 4 * 1.3);
    /* Never a piece while an earlier one, which the source had, was waiting. */
    four_sources(&swarm);
    swarm.in_order = true;
    assert_true(finish(&swarm, NULL) < LINK_MS / 4 * 1.05);
    assert_false(swarm.out_of_order);
}

static void resumes_with_what_is_held(void **state)
{
    uint8_t held[24];
    struct swarm swarm;

    (void)state;
    memset(held, 0x55, sizeof(held));
    four_sources(&swarm);
    assert_true(finish(&swarm, held) < LINK_MS / 8 * 1.3);
    assert_in_range(swarm.fetched, swarm.count / 2, swarm.count / 2 + 5);
}

static void one_seeder_and_eight_receivers(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct swarm swarm;
        swarm_init(&swarm, FILE_BYTES, 9, 100);
        swarm.seed = seed;
        swarm.meet_ms = 1000;
        swarm.latency_ms = 100; /* what leaves waits behind the data that leave */
        for (unsigned i = 1; i < 9; i++)
            swarm_receiver(&swarm, i, NULL);
        double last_ms = swarm_run(&swarm);
        print_message("seed %u: %.2f of the bound, the seeder sent %.2f of the file\n",
                      (unsigned)seed, last_ms / LINK_MS,
                      (double)swarm.sent_bytes[0] / (double)FILE_BYTES);
        assert_true(last_ms < LINK_MS * 1.2);
        assert_true(swarm.sent_bytes[0] < FILE_BYTES * 12 / 10);
        assert_in_range(swarm.fetched, 8 * swarm.count, 8 * swarm.count * 102 / 100);
        swarm_done(&swarm);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_finds_the_next),
        cmocka_unit_test(nothing_to_fetch),
        cmocka_unit_test(one_piece),
        cmocka_unit_test(bits_beyond_the_count),
        cmocka_unit_test(strangers_and_removing_twice),
        cmocka_unit_test(held_once_missed_and_lost),
        cmocka_unit_test(complete_sources_go_round_from_a_random_place),
        cmocka_unit_test(runs_grow_with_what_was_shown),
        cmocka_unit_test(rarest_first),
        cmocka_unit_test(takes_over_the_end_of_a_run),
        cmocka_unit_test(leaves_a_run_to_who_is_sooner),
        cmocka_unit_test(a_stalled_source_keeps_nothing),
        cmocka_unit_test(a_source_that_chooses),
        cmocka_unit_test(the_next_run_is_known_before),
        cmocka_unit_test(what_follows_a_stall),
        cmocka_unit_test(random_use_forgets_nothing),
        cmocka_unit_test(a_tebibyte_from_eight),
        cmocka_unit_test(many_pieces_from_partial_sources),
        cmocka_unit_test(four_equal_sources),
        cmocka_unit_test(one_source_is_slow),
        cmocka_unit_test(one_source_dies),
        cmocka_unit_test(one_source_stalls),
        cmocka_unit_test(one_source_lies),
        cmocka_unit_test(one_of_each),
        cmocka_unit_test(partial_sources_gain),
        cmocka_unit_test(in_order_ascends),
        cmocka_unit_test(resumes_with_what_is_held),
        cmocka_unit_test(one_seeder_and_eight_receivers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
