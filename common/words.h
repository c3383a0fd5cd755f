/*
 * What somebody looks for in names: words in any order, each of which must stand somewhere in the
 * name, and words after a '-' that must not. Compared as common/fold.h has it. Pure.
 */
#pragma once

#include "common/error.h"
#include "common/fold.h"

#include <stdbool.h>
#include <stddef.h>

#define WORDS_QUERY_MAX_BYTES 1024 /* twice the longest name */
#define WORDS_MAX             64
#define WORDS_ENDING_MAX      64 /* bytes of an ending, as it is given */

/* Points into itself: not to be copied. */
struct words {
    /* Folded. Those of three characters and more come first. */
    const char *wanted[WORDS_MAX + 1];
    size_t wanted_count, long_count;
    const char *excluded[WORDS_MAX];
    size_t excluded_count;
    const char *ending; /* "." and what the name must end with after it; NULL: anything */
    size_t ending_bytes;
    char texts[FOLD_GROWTH * (WORDS_QUERY_MAX_BYTES + 1 + WORDS_ENDING_MAX) + WORDS_MAX + 4];
};

/* Words have white space (Unicode's) between them. A '-' alone is a word like others.
 * ERROR_INVALID, in Spanish: no word, too many, too long, or no UTF-8. */
MUST_CHECK enum error_code words_parse(const char *text, size_t length, struct words *words,
                                       struct error *error);
/* After words_parse, and only once: names must end with "." and this, which may begin with a '.'
 * itself. The ending counts as a wanted word, too. */
MUST_CHECK enum error_code words_parse_ending(const char *text, size_t length, struct words *words,
                                              struct error *error);

/* Whether the folded name is what is looked for. */
bool words_match(const struct words *words, const char *folded, size_t length);
