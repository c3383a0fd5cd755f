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

#include <stddef.h>
#include <stdint.h>

#define TRIGRAMS_TOKENIZER "p2p_trigrams" /* its name */

/* Sizes of blocks, as powers of two. */
enum { TRIGRAMS_SMALL_BLOCK = 14, TRIGRAMS_LARGE_BLOCK = 18 };

/* The text that the index is given for a name: its folded text, and a line for each block. */
void trigrams_write_document(struct buffer *out, const char *folded, int64_t id);

/* A query for a part of the names' ids (the block that id lies in), and what all of the terms are
 * made of: some of their trigrams, enough to have each character of a term once, at most
 * TRIGRAMS_QUERY_MAX. Terms have three characters or more. */
#define TRIGRAMS_QUERY_MAX 12
void trigrams_write_query(struct buffer *out, int64_t id, int block, const char *const *terms,
                          size_t count);
/* A query for what begins with a term of one or two characters. */
void trigrams_write_prefix(struct buffer *out, const char *term);

/* For FTS5: a document's tokens; a part of a query is one token as it is. */
extern const struct database_tokenizer trigrams_tokenizer;
