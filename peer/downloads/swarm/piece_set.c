#include "peer/downloads/swarm/piece_set.h"

#include "common/memory.h"

#include <stdlib.h>

#define WORD_BITS 64

void piece_set_init(struct piece_set *set, size_t count)
{
    size_t bits = count;

    set->count = count;
    for (unsigned level = 0; level < PIECE_SET_LEVELS; level++) {
        set->lengths[level] = (bits + WORD_BITS - 1) / WORD_BITS;
        set->words[level] = memory_new(set->lengths[level] + 1, sizeof(uint64_t));
        bits = set->lengths[level];
    }
}

void piece_set_done(struct piece_set *set)
{
    for (unsigned level = 0; level < PIECE_SET_LEVELS; level++)
        free(set->words[level]);
    *set = (struct piece_set){0};
}

void piece_set_add(struct piece_set *set, size_t index)
{
    for (unsigned level = 0; level < PIECE_SET_LEVELS; level++) {
        uint64_t *word = &set->words[level][index / WORD_BITS];
        bool was_empty = *word == 0;
        *word |= UINT64_C(1) << index % WORD_BITS;
        if (!was_empty)
            return;
        index /= WORD_BITS;
    }
}

void piece_set_remove(struct piece_set *set, size_t index)
{
    for (unsigned level = 0; level < PIECE_SET_LEVELS; level++) {
        uint64_t *word = &set->words[level][index / WORD_BITS];
        *word &= ~(UINT64_C(1) << index % WORD_BITS);
        if (*word != 0)
            return;
        index /= WORD_BITS;
    }
}

bool piece_set_has(const struct piece_set *set, size_t index)
{
    return (set->words[0][index / WORD_BITS] >> index % WORD_BITS & 1) != 0;
}

void piece_set_replace_word(struct piece_set *set, size_t word, uint64_t bits)
{
    set->words[0][word] = bits;
    for (unsigned level = 1; level < PIECE_SET_LEVELS; level++) {
        uint64_t *summary = &set->words[level][word / WORD_BITS];
        uint64_t mask = UINT64_C(1) << word % WORD_BITS;
        bits = *summary = bits != 0 ? *summary | mask : *summary & ~mask;
        word /= WORD_BITS;
    }
}

static size_t next_at(const struct piece_set *a, const struct piece_set *b, unsigned level,
                      size_t from)
{
    size_t word = from / WORD_BITS;
    uint64_t mask = UINT64_MAX << from % WORD_BITS;

    while (word < a->lengths[level]) {
        uint64_t bits = a->words[level][word] & mask;
        if (b)
            bits &= b->words[level][word];
        if (bits != 0)
            return word * WORD_BITS + (size_t)__builtin_ctzll(bits);
        mask = UINT64_MAX;
        word++;
        if (level + 1 < PIECE_SET_LEVELS)
            word = next_at(a, b, level + 1, word);
    }
    return PIECE_NONE;
}

size_t piece_set_next(const struct piece_set *a, const struct piece_set *b, size_t from)
{
    return next_at(a, b, 0, from);
}

uint64_t piece_bits_word(const uint8_t *bits, size_t count, size_t word)
{
    uint64_t value = 0;
    size_t first = word * WORD_BITS;
    size_t n = first + WORD_BITS <= count ? WORD_BITS : count - first;

    for (size_t i = 0; i < (n + 7) / 8; i++)
        value |= (uint64_t)bits[first / 8 + i] << 8 * i;
    return n == WORD_BITS ? value : value & ((UINT64_C(1) << n) - 1);
}
