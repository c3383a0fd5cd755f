/*
 * A set of piece numbers as a bit field with summaries above it (a bit for each word that is not
 * empty, and one for each such word), so that the next member is found in a few steps however many
 * pieces there are. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PIECE_SET_LEVELS 3
#define PIECE_NONE       SIZE_MAX

struct piece_set {
    size_t count; /* of numbers that can be in it */
    size_t lengths[PIECE_SET_LEVELS];
    uint64_t
        *words[PIECE_SET_LEVELS]; /* [0]: the members; [1]: which words of [0] are not 0; ... */
};

void piece_set_init(struct piece_set *set, size_t count); /* empty */
void piece_set_done(struct piece_set *set);

/* Numbers are below count. */
void piece_set_add(struct piece_set *set, size_t index);
void piece_set_remove(struct piece_set *set, size_t index);
bool piece_set_has(const struct piece_set *set, size_t index);

/* The 64 members from word * 64 on, replaced. */
void piece_set_replace_word(struct piece_set *set, size_t word, uint64_t bits);

/* The first number from `from` on that is in both sets (of the same count; b NULL: in a).
 * PIECE_NONE when there is none. A word that is empty in one of them costs next to nothing; only
 * words where both have members, but no common one, are looked at one by one. */
size_t piece_set_next(const struct piece_set *a, const struct piece_set *b, size_t from);

/* Word number `word` of a bit field of count bits (bit i % 8 of byte i / 8), without what lies
 * beyond count. */
uint64_t piece_bits_word(const uint8_t *bits, size_t count, size_t word);
