#include "peer/downloads/swarm/pieces.h"

#include "common/memory.h"
#include "peer/downloads/swarm/pieces_state.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RUN_GROWTH      4    /* a run: what came in one burst out of a buffer says little */
#define AHEAD_SILENT_MS 1000 /* a run that is asked for begins much sooner */
#define GAP_MAX         256  /* pieces that are looked at to each side, at a jump */
#define LOCKSTEP_PIECES 2    /* behind us that tell whether another one goes the same way */
#define WORTH_PART      8 /* of a run is taken together, rare or not: each request has its cost */

static_assert(PIECES_RUN_MAX == 64, "what is left of a run is one word");

/* splitmix64 (Vigna, public domain) */
static uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* ---- the state of a piece ---- */

static bool is_missing(const struct pieces *pieces, size_t index)
{
    return piece_set_has(&pieces->missing[pieces->partial_owners[index]], index);
}

static void missing_add(struct pieces *pieces, size_t index)
{
    piece_set_add(&pieces->missing[pieces->partial_owners[index]], index);
    pieces->missing_count++;
}

static void missing_remove(struct pieces *pieces, size_t index)
{
    piece_set_remove(&pieces->missing[pieces->partial_owners[index]], index);
    pieces->missing_count--;
}

static void change_owners(struct pieces *pieces, size_t index, bool more)
{
    bool missing = is_missing(pieces, index);

    if (missing)
        piece_set_remove(&pieces->missing[pieces->partial_owners[index]], index);
    pieces->partial_owners[index] = (uint8_t)(pieces->partial_owners[index] + (more ? 1 : -1));
    if (missing)
        piece_set_add(&pieces->missing[pieces->partial_owners[index]], index);
}

static bool source_has(const struct piece_source *source, size_t index)
{
    return !source->partial || piece_set_has(&source->have, index);
}

/* Takes these bits out of what the source is to fetch. */
static void todo_drop(struct pieces *pieces, struct piece_source *source, uint64_t bits)
{
    uint64_t alone = bits & source->todo & ~pieces_todo_shared(pieces, source);

    source->todo &= ~bits;
    for (; alone != 0; alone &= alone - 1)
        missing_add(pieces, source->first + (size_t)__builtin_ctzll(alone));
}

/* ---- which pieces ---- */

/* Whether the source could take this one, of that level. */
static bool is_candidate(const struct pieces *pieces, const struct piece_source *source,
                         unsigned level, size_t index)
{
    return piece_set_has(&pieces->missing[level], index) && source_has(source, index);
}

/* A new place for a run of the source, in the gap around index. The others go upwards from where
 * they began, and what they have under way we do not see yet: it lies at the low end of gaps. So
 * the place is in the upper half. */
static size_t place_in_gap(struct pieces *pieces, const struct piece_source *source, unsigned level,
                           size_t index)
{
    size_t begin = index;
    size_t end = index + 1;

    while (begin > 0 && index - begin < GAP_MAX && is_candidate(pieces, source, level, begin - 1))
        begin--;
    while (end < pieces->count && end - index < GAP_MAX && is_candidate(pieces, source, level, end))
        end++;
    begin += (end - begin) / 2;
    return begin + (size_t)(random_next(&pieces->random) % (end - begin));
}

/* Whether another one goes the same way as the run that would go on at index: it has what we have
 * just fetched as a rarity. Both would go on so and have nothing to give to each other. */
static bool is_lockstep(const struct pieces *pieces, unsigned level, size_t index)
{
    for (size_t back = 1; back <= LOCKSTEP_PIECES && back <= index; back++)
        if (pieces->partial_owners[index - back] > level)
            return true;
    return false;
}

static size_t find_at_level(struct pieces *pieces, const struct piece_source *source,
                            unsigned level, size_t from)
{
    const struct piece_set *have = source->partial ? &source->have : NULL;
    size_t index = piece_set_next(&pieces->missing[level], have, from);

    if (index == PIECE_NONE && from > 0)
        index = piece_set_next(&pieces->missing[level], have, 0);
    return index;
}

static size_t find_in_order(struct pieces *pieces, const struct piece_source *source)
{
    size_t best = PIECE_NONE;

    for (unsigned level = 0; level <= pieces->partial_sources; level++) {
        size_t index = find_at_level(pieces, source, level, 0);
        if (index < best)
            best = index;
    }
    return best;
}

/* A piece that the fewest sources have. While all are complete, runs follow each other; in a swarm
 * each source has its own way. */
static size_t find_rarest(struct pieces *pieces, const struct piece_source *source)
{
    bool swarm = pieces->partial_sources > 0;
    size_t from = swarm ? source->cursor : pieces->cursor;

    for (unsigned level = 0; level <= pieces->partial_sources; level++) {
        size_t index = find_at_level(pieces, source, level, from);
        if (index == PIECE_NONE)
            continue;
        if (!swarm || (index == from && !is_lockstep(pieces, level, index)))
            return index;
        from = (size_t)(random_next(&pieces->random) % pieces->count);
        return place_in_gap(pieces, source, level, find_at_level(pieces, source, level, from));
    }
    return PIECE_NONE;
}

/* What the source should take at once: what it brings in PIECES_RUN_MS, no more than its part of
 * all that is missing. */
static size_t run_length(const struct pieces *pieces, const struct piece_source *source,
                         double rate, double sum)
{
    double length = rate * (pieces->partial_sources > 0 ? PIECES_SWARM_MS : PIECES_RUN_MS) /
                    (double)pieces->piece_bytes;
    double part = ceil((double)pieces->missing_count * (sum > 0 ? rate / sum : 1));

    if (length > part)
        length = part;
    if (length > (double)source->limit)
        return source->limit;
    return length > 1 ? (size_t)length : 1;
}

static struct pieces_run take_missing(struct pieces *pieces, struct piece_source *source,
                                      size_t length)
{
    struct pieces_run run = {0};

    run.first = pieces->in_order ? find_in_order(pieces, source) : find_rarest(pieces, source);
    if (run.first == PIECE_NONE)
        return (struct pieces_run){0};
    unsigned level = pieces->partial_owners[run.first];
    size_t least = pieces->in_order ? length : length / WORTH_PART;
    for (size_t i = run.first; run.count < length && i < pieces->count; i++) {
        if (!is_missing(pieces, i) || !source_has(source, i) ||
            (pieces->partial_owners[i] != level && run.count >= least))
            break;
        missing_remove(pieces, i);
        run.count++;
    }
    pieces->cursor = source->cursor = (run.first + run.count) % pieces->count;
    return run;
}

static void drop_ahead(struct pieces *pieces, struct piece_source *source)
{
    for (; source->ahead_todo != 0; source->ahead_todo &= source->ahead_todo - 1)
        missing_add(pieces, source->ahead_first + (size_t)__builtin_ctzll(source->ahead_todo));
}

/* What was to follow a run that does not end. */
static void drop_silent_ahead(struct pieces *pieces, int64_t now_ms)
{
    for (size_t i = 0; i < PIECES_SOURCES_MAX; i++)
        if (now_ms - pieces->sources[i].last_ms >= AHEAD_SILENT_MS)
            drop_ahead(pieces, &pieces->sources[i]);
}

static void grow_limit(struct piece_source *source)
{
    source->limit *= RUN_GROWTH;
    if (source->limit > PIECES_RUN_MAX)
        source->limit = PIECES_RUN_MAX;
}

struct pieces_run pieces_next(struct pieces *pieces, unsigned number, int64_t now_ms)
{
    struct piece_source *source = pieces_source_at(pieces, number);
    double rates[PIECES_SOURCES_MAX];

    if (!source)
        return (struct pieces_run){0};
    pieces_give_back(pieces, number);
    if (pieces_complete(pieces))
        return (struct pieces_run){0};
    drop_silent_ahead(pieces, now_ms);
    double sum = pieces_rates_expected(pieces, now_ms, rates);
    struct pieces_run run =
        take_missing(pieces, source, run_length(pieces, source, rates[number], sum));
    if (run.count == 0 && rates[number] > 0) {
        run = pieces_take_over(pieces, source, rates);
        if (run.count == 0)
            run = pieces_take_twice(pieces, source, rates);
    }
    if (run.count > 0) {
        source->first = run.first;
        source->todo = UINT64_MAX >> (PIECES_RUN_MAX - run.count);
        source->last_ms = now_ms;
        grow_limit(source);
    }
    return run;
}

struct pieces_run pieces_next_ahead(struct pieces *pieces, unsigned number, int64_t now_ms)
{
    struct piece_source *source = pieces_source_at(pieces, number);
    double rates[PIECES_SOURCES_MAX];

    if (!source || source->ahead_todo != 0)
        return (struct pieces_run){0};
    double sum = pieces_rates_expected(pieces, now_ms, rates);
    struct pieces_run run =
        take_missing(pieces, source, run_length(pieces, source, rates[number], sum));
    source->ahead_first = run.first;
    source->ahead_todo = run.count > 0 ? UINT64_MAX >> (PIECES_RUN_MAX - run.count) : 0;
    if (run.count > 0)
        grow_limit(source);
    return run;
}

bool pieces_begin_ahead(struct pieces *pieces, unsigned number, int64_t now_ms)
{
    struct piece_source *source = pieces_source_at(pieces, number);

    if (!source)
        return false;
    todo_drop(pieces, source, source->todo);
    source->first = source->ahead_first;
    source->todo = source->ahead_todo;
    source->ahead_todo = 0;
    source->got_bytes = 0;
    source->last_ms = now_ms;
    return source->todo != 0;
}

bool pieces_any_partial(const struct pieces *pieces)
{
    return pieces->partial_sources > 0;
}

size_t pieces_alternatives(const struct pieces *pieces, unsigned number,
                           const struct pieces_run *run, size_t from, size_t count, uint8_t *bits)
{
    const struct piece_source *source = &pieces->sources[number];
    size_t found = 0;

    memset(bits, 0, count / 8);
    if (run->first >= pieces->count)
        return 0;
    unsigned level = pieces->partial_owners[run->first];
    for (size_t i = 0; i < count && from + i < pieces->count; i++) {
        if (!is_candidate(pieces, source, level, from + i))
            continue;
        bits[i / 8] |= (uint8_t)(1U << i % 8);
        found++;
    }
    return found;
}

void pieces_move_run(struct pieces *pieces, unsigned number, struct pieces_run run)
{
    struct piece_source *source = pieces_source_at(pieces, number);

    if (!source || run.count == 0 || run.count > PIECES_RUN_MAX || run.first >= pieces->count ||
        run.count > pieces->count - run.first)
        return;
    todo_drop(pieces, source, source->todo);
    source->first = run.first;
    for (size_t i = run.first; i < run.first + run.count; i++)
        if (is_missing(pieces, i)) {
            missing_remove(pieces, i);
            source->todo |= pieces_todo_bit(source, i);
        }
    source->cursor = (run.first + run.count) % pieces->count;
}

bool pieces_wanted(const struct pieces *pieces, unsigned source, size_t index)
{
    const struct piece_source *at = &pieces->sources[source < PIECES_SOURCES_MAX ? source : 0];

    return source < PIECES_SOURCES_MAX &&
           ((at->todo & pieces_todo_bit(at, index)) != 0 ||
            (at->ahead_todo & pieces_run_bit(at->ahead_first, index)) != 0);
}

/* ---- what became of them ---- */

static void piece_reported(struct pieces *pieces, struct piece_source *source)
{
    source->got_bytes -=
        source->got_bytes < pieces->piece_bytes ? source->got_bytes : pieces->piece_bytes;
}

bool pieces_hold(struct pieces *pieces, unsigned number, size_t index, int64_t now_ms)
{
    struct piece_source *source = pieces_source_at(pieces, number);

    if (index >= pieces->count)
        return false;
    if (source) {
        piece_reported(pieces, source);
        pieces_received(pieces, number, 0, now_ms);
    }
    if (pieces_is_held(pieces, index))
        return false;
    if (is_missing(pieces, index))
        missing_remove(pieces, index);
    for (size_t i = 0; i < PIECES_SOURCES_MAX; i++) {
        struct piece_source *other = &pieces->sources[i];
        other->todo &= ~pieces_todo_bit(other, index);
        other->ahead_todo &= ~pieces_run_bit(other->ahead_first, index);
    }
    pieces->held[index / 8] |= (uint8_t)(1U << index % 8);
    pieces->held_count++;
    return true;
}

void pieces_miss(struct pieces *pieces, unsigned number, size_t index)
{
    struct piece_source *source = pieces_source_at(pieces, number);

    if (!source || index >= pieces->count)
        return;
    piece_reported(pieces, source);
    todo_drop(pieces, source, pieces_todo_bit(source, index));
    uint64_t bit = pieces_run_bit(source->ahead_first, index);
    if ((source->ahead_todo & bit) != 0)
        missing_add(pieces, index);
    source->ahead_todo &= ~bit;
}

void pieces_give_back(struct pieces *pieces, unsigned number)
{
    struct piece_source *source = pieces_source_at(pieces, number);

    if (!source)
        return;
    if (source->todo != 0) /* it broke off: what it showed before says little */
        pieces_rate_forget(source);
    todo_drop(pieces, source, source->todo);
    drop_ahead(pieces, source);
    source->got_bytes = 0;
}

size_t pieces_held(const struct pieces *pieces)
{
    return pieces->held_count;
}

bool pieces_is_held(const struct pieces *pieces, size_t index)
{
    return index < pieces->count && (pieces->held[index / 8] >> index % 8 & 1) != 0;
}

bool pieces_is_missing(const struct pieces *pieces, size_t index)
{
    return index < pieces->count && is_missing(pieces, index);
}

bool pieces_complete(const struct pieces *pieces)
{
    return pieces->held_count == pieces->count;
}

const uint8_t *pieces_bits(const struct pieces *pieces)
{
    return pieces->held;
}

/* ---- sources ---- */

static bool is_all(const struct pieces *pieces, const uint8_t *have)
{
    for (size_t i = 0; i < pieces->count / 8; i++)
        if (have[i] != UINT8_MAX)
            return false;
    for (size_t i = pieces->count / 8 * 8; i < pieces->count; i++)
        if ((have[i / 8] >> i % 8 & 1) == 0)
            return false;
    return true;
}

/* have NULL: none of them any more. */
static void replace_have(struct pieces *pieces, struct piece_source *source, const uint8_t *have)
{
    for (size_t word = 0; word < source->have.lengths[0]; word++) {
        uint64_t before = source->have.words[0][word];
        uint64_t after = have ? piece_bits_word(have, pieces->count, word) : 0;
        for (uint64_t rest = before ^ after; rest != 0; rest &= rest - 1) {
            unsigned bit = (unsigned)__builtin_ctzll(rest);
            change_owners(pieces, word * 64 + bit, (after >> bit & 1) != 0);
        }
        if (before != after)
            piece_set_replace_word(&source->have, word, after);
    }
}

static void become_complete(struct pieces *pieces, struct piece_source *source)
{
    if (!source->partial)
        return;
    replace_have(pieces, source, NULL);
    piece_set_done(&source->have);
    source->partial = false;
    pieces->partial_sources--;
}

void pieces_source_has(struct pieces *pieces, unsigned number, const uint8_t *have)
{
    struct piece_source *source = pieces_source_at(pieces, number);

    if (!source)
        return;
    if (!have || is_all(pieces, have)) {
        become_complete(pieces, source);
        return;
    }
    if (!source->partial) {
        piece_set_init(&source->have, pieces->count);
        source->partial = true;
        pieces->partial_sources++;
    }
    replace_have(pieces, source, have);
}

void pieces_add_source(struct pieces *pieces, unsigned number, const uint8_t *have, int64_t now_ms)
{
    assert(number < PIECES_SOURCES_MAX && !pieces->sources[number].used);
    pieces->sources[number] = (struct piece_source){.used = true, .last_ms = now_ms};
    pieces_rate_forget(&pieces->sources[number]);
    pieces->sources[number].cursor = PIECE_NONE;
    pieces_source_has(pieces, number, have);
}

void pieces_remove_source(struct pieces *pieces, unsigned number)
{
    struct piece_source *source = pieces_source_at(pieces, number);

    if (!source)
        return;
    pieces_give_back(pieces, number);
    become_complete(pieces, source);
    *source = (struct piece_source){0};
}

struct pieces *pieces_new(const struct pieces_options *options)
{
    struct pieces *pieces = memory_new(1, sizeof(*pieces));

    pieces->count = options->count;
    pieces->piece_bytes = options->piece_bytes > 0 ? options->piece_bytes : 1;
    pieces->in_order = options->in_order;
    pieces->random = options->seed;
    pieces->held = memory_new(options->count / 8 + 1, 1);
    pieces->partial_owners = memory_new(options->count, 1);
    for (size_t i = 0; i < PIECES_LEVELS; i++)
        piece_set_init(&pieces->missing[i], options->count);
    for (size_t i = 0; i < options->count; i++) {
        if (options->held && (options->held[i / 8] >> i % 8 & 1) != 0) {
            pieces->held[i / 8] |= (uint8_t)(1U << i % 8);
            pieces->held_count++;
        } else {
            missing_add(pieces, i);
        }
    }
    if (options->count > 0)
        pieces->cursor = (size_t)(random_next(&pieces->random) % options->count);
    return pieces;
}

void pieces_free(struct pieces *pieces)
{
    if (!pieces)
        return;
    for (size_t i = 0; i < PIECES_SOURCES_MAX; i++)
        piece_set_done(&pieces->sources[i].have);
    for (size_t i = 0; i < PIECES_LEVELS; i++)
        piece_set_done(&pieces->missing[i]);
    free(pieces->held);
    free(pieces->partial_owners);
    free(pieces);
}
