/*
 * How names are cut up for the index of words (FTS5 table "words"; directory/names.h). Pure.
 *
 * A name's tokens are all runs of three characters of its folded text, and at its end one of two
 * and one of one: so whatever stands in a name, a token begins with the first three characters of
 * it, and terms of one and two characters can be found by the tokens that begin with them. Beside
 * these each name has one token for every size of block of ids that its own lies in. A question
 * that asks for such a block, too, ends where the block ends, however many names there are: FTS5
 * itself cannot be told to stop.
 */
#pragma once

#include "common/buffer.h"
#include "common/database.h"
#include "directory/name_sample.h"

#include <stddef.h>
#include <stdint.h>

#define TRIGRAMS_TOKENIZER "p2p_trigrams" /* its name */

/* Of the names, by their ids: sizes of blocks, as powers of two, and all. */
enum trigrams_part { TRIGRAMS_ALL = 0, TRIGRAMS_SMALL_BLOCK = 14, TRIGRAMS_LARGE_BLOCK = 18 };
/* The last id of the part that id lies in. */
int64_t trigrams_part_end(int64_t id, enum trigrams_part part);

/* The text that the index is given for a name: its folded text, and a line for each block. */
void trigrams_write_document(struct buffer *out, const char *folded, int64_t id);

/* The trigrams of terms (of three characters or more) that the fewest names have, the rarest first,
 * as far as each makes it quicker. Going on to a name that has all of them costs FTS5 a step in one
 * list or a page of another: more of them cost more than to compare the few names that fewer find.
 * Points into the terms. */
#define TRIGRAMS_CHOSEN_MAX 3
struct trigrams_choice {
    struct trigrams_token {
        const char *text;
        size_t length;
        int64_t names; /* that have it, more or less */
    } tokens[TRIGRAMS_CHOSEN_MAX];
    size_t count;
};
void trigrams_choose(const char *const *terms, size_t count, const struct name_sample *sample,
                     int64_t names, struct trigrams_choice *choice);

/* A query for names that have the chosen, in the part that id lies in. */
void trigrams_write_query(struct buffer *out, int64_t id, enum trigrams_part part,
                          const struct trigrams_choice *choice);
/* A query for what begins with a term of one or two characters. */
void trigrams_write_prefix(struct buffer *out, const char *term);

/* For FTS5: a document's tokens; a part of a query is one token as it is. */
extern const struct database_tokenizer trigrams_tokenizer;
