/*
 * GET /buscar: files by words that stand in their names. Names are gone through by rising id, one
 * way or another, and each one is compared for real; so what is answered never depends on the way:
 *
 *   words of three characters and more   the names that have some of their trigrams, a block of ids
 *                                        at a time (directory/trigrams.h)
 *   shorter words only                   all names; and when a sample of them says that the word is
 *                                        rare, those that have a trigram which begins with it
 *
 * A request takes some WORD_SEARCH_BUDGET_MS at most. What it has found until then is the page, and
 * the cursor says how far it came: a page may be short, or empty, and still not be the last one.
 * The cursor names what was given or looked at last, by ids that are never given again, so a walk
 * over all pages has everything once that is there throughout.
 */
#pragma once

#include "directory/search.h"

/* The loop's other requests wait so long. */
#define WORD_SEARCH_BUDGET_MS 20
#define WORD_SEARCH_LIMIT     50 /* hits in a page, unless the request says another number */
#define WORD_SEARCH_LIMIT_MAX 500

/* As search_one. */
MUST_CHECK enum error_code word_search(const struct search_request *request,
                                       struct http_reply *reply, struct error *error);
