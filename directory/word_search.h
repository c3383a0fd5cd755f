/*
 * GET /buscar: files by words that stand in their names. Names are gone through by rising id, one
 * way or another, and each one is compared for real; so what is answered never depends on the way:
 *
 *   words of three characters and more   the names that have some of their trigrams, the rarest
 *                                        (directory/trigrams.h): of all names at once, or, where
 *                                        that is too much work, of a block of ids at a time
 *   a shorter word that is rare          those that have a trigram which begins with it
 *   else                                 all names
 *
 * What is rare a sample of the names says (directory/name_sample.h).
 *
 * A request takes no longer than its budget, and what one more step takes: some 5 ms. What it has
 * found until then is the page, and the cursor says how far it came: a page may be short, or empty,
 * and still not be the last one. The cursor names what was given or looked at last, by ids that are
 * never given again, so a walk over all pages has everything once that is there throughout.
 */
#pragma once

#include "directory/search.h"

#define WORD_SEARCH_LIMIT     50 /* hits in a page, unless the request says another number */
#define WORD_SEARCH_LIMIT_MAX 500

/* The loop's other requests wait so long. What is found never depends on it: a page goes on by
 * something even without any time. */
struct word_search_limits {
    int64_t budget_us; /* of a page */
    /* Steps (database_next_within) for the next name: of all names, or of one large block of them.
     */
    int effort;
    int prefix_effort; /* likewise, by a short word: all that has it is merged before the first */
};
extern const struct word_search_limits word_search_limits;

/* As search_one. */
MUST_CHECK enum error_code word_search(const struct search_request *request,
                                       const struct word_search_limits *limits,
                                       struct http_reply *reply, struct error *error);
