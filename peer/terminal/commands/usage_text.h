/*
 * Help on the terminal, in lines that fit a window of 80 columns. Pure; ASCII only.
 */
#pragma once

#include "common/buffer.h"

#include <stddef.h>

#define USAGE_COLUMNS 28 /* of what is explained, before its explanation */

/* Appends text, ended by a newline, to a line that has so many columns already; further lines begin
 * with indent blanks. It is broken where a blank stands outside of [ ]. */
void usage_wrap(struct buffer *out, const char *text, size_t column, size_t indent);

/* "  --from PEER                 only from ...": a word and its explanation. */
void usage_row(struct buffer *out, const char *word, const char *explanation);
