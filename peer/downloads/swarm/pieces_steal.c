#include "peer/downloads/swarm/pieces_state.h"

#include <math.h>

#define SOONER 0.75 /* a piece is fetched twice only if that takes this part of the time */

uint64_t pieces_todo_shared(const struct pieces *pieces, const struct piece_source *source)
{
    uint64_t shared = 0;

    for (size_t i = 0; i < PIECES_SOURCES_MAX; i++) {
        const struct piece_source *other = &pieces->sources[i];
        if (other == source || other->todo == 0)
            continue;
        if (other->first >= source->first && other->first - source->first < PIECES_RUN_MAX)
            shared |= other->todo << (other->first - source->first);
        else if (other->first < source->first && source->first - other->first < PIECES_RUN_MAX)
            shared |= other->todo >> (source->first - other->first);
    }
    return shared & source->todo;
}

/* Without the pieces that are under way: as many as what has come would fill, and one. */
static uint64_t todo_not_begun(const struct pieces *pieces, const struct piece_source *source)
{
    uint64_t bits = source->todo;

    for (size_t begun = source->got_bytes / pieces->piece_bytes + 1; begun > 0 && bits != 0;
         begun--)
        bits &= bits - 1;
    return bits;
}

/* How long the source needs for n pieces, of which some bytes are there. */
static double time_for(const struct pieces *pieces, const struct piece_source *source, unsigned n,
                       double rate)
{
    double bytes = (double)n * (double)pieces->piece_bytes - (double)source->got_bytes;

    if (bytes < 0)
        bytes = 0;
    return rate > 0 ? bytes / rate : (double)INFINITY;
}

static uint64_t bits_that_it_has(const struct piece_source *source, size_t first, uint64_t bits)
{
    if (!source->partial)
        return bits;
    for (uint64_t rest = bits; rest != 0; rest &= rest - 1) {
        size_t i = (size_t)__builtin_ctzll(rest);
        if (!piece_set_has(&source->have, first + i))
            bits &= ~(UINT64_C(1) << i);
    }
    return bits;
}

/* How many pieces at the end of the victim's run the thief would bring sooner: as many as let both
 * end together. They are the highest bits of *spare. */
static size_t steal_count(const struct pieces *pieces, const struct piece_source *thief,
                          double thief_rate, const struct piece_source *victim, double victim_rate,
                          uint64_t *spare)
{
    double one_ms = (double)pieces->piece_bytes / thief_rate;
    double left_ms =
        time_for(pieces, victim, (unsigned)__builtin_popcountll(victim->todo), victim_rate);

    *spare = todo_not_begun(pieces, victim) & ~pieces_todo_shared(pieces, victim);
    *spare = bits_that_it_has(thief, victim->first, *spare);
    if (*spare == 0 || one_ms >= left_ms)
        return 0;
    size_t most = thief->limit;
    if (victim_rate > 0) {
        double fair = left_ms / one_ms * victim_rate / (thief_rate + victim_rate);
        if (fair < (double)most)
            most = fair > 1 ? (size_t)fair : 1;
    }
    size_t count = 1;
    unsigned top = 63 - (unsigned)__builtin_clzll(*spare);
    while (count < most && count <= top && (*spare >> (top - count) & 1) != 0)
        count++;
    return count;
}

struct pieces_run pieces_take_over(struct pieces *pieces, struct piece_source *thief,
                                   const double rates[PIECES_SOURCES_MAX])
{
    struct pieces_run run = {0};
    struct piece_source *from = NULL;
    double longest_ms = -1;
    double thief_rate = rates[thief - pieces->sources];

    for (size_t i = 0; i < PIECES_SOURCES_MAX; i++) {
        struct piece_source *victim = &pieces->sources[i];
        uint64_t spare;
        if (victim->todo == 0)
            continue;
        double left_ms =
            time_for(pieces, victim, (unsigned)__builtin_popcountll(victim->todo), rates[i]);
        if (left_ms <= longest_ms)
            continue;
        size_t count = steal_count(pieces, thief, thief_rate, victim, rates[i], &spare);
        if (count == 0)
            continue;
        longest_ms = left_ms;
        from = victim;
        run.count = count;
        run.first = victim->first + 64 - (size_t)__builtin_clzll(spare) - count;
    }
    if (from)
        for (size_t i = 0; i < run.count; i++)
            from->todo &= ~pieces_todo_bit(from, run.first + i);
    return run;
}

struct pieces_run pieces_take_twice(struct pieces *pieces, const struct piece_source *source,
                                    const double rates[PIECES_SOURCES_MAX])
{
    struct pieces_run run = {0};
    double latest_ms = (double)pieces->piece_bytes / rates[source - pieces->sources] / SOONER;

    for (size_t i = 0; i < PIECES_SOURCES_MAX; i++) {
        const struct piece_source *other = &pieces->sources[i];
        uint64_t once = other->todo & ~pieces_todo_shared(pieces, other);
        once = bits_that_it_has(source, other->first, once);
        if (once == 0)
            continue;
        unsigned last = 63 - (unsigned)__builtin_clzll(once);
        uint64_t until = other->todo & (UINT64_MAX >> (63 - last));
        double ms = time_for(pieces, other, (unsigned)__builtin_popcountll(until), rates[i]);
        if (ms <= latest_ms)
            continue;
        latest_ms = ms;
        run = (struct pieces_run){.first = other->first + last, .count = 1};
    }
    return run;
}
