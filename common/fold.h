/*
 * Text as it is compared when people look for words: what differs only in case or accents is the
 * same. Pure. The only module that knows utf8proc.
 *
 * Unicode's full case folding and canonical decomposition, without what combines with a letter
 * (categories Mn and Me). Only the tilde of an n stays, since ñ is a letter of its own: it is
 * U+00F1 however it was written.
 *
 * utf8proc, because it does this a character at a time, with no memory and no locale: 340 KiB of
 * tables, of which only the pages in use are ever read. libunistring has 2 MiB and wants whole
 * strings, ICU 36 MiB.
 */
#pragma once

#include <stddef.h>

/* A Hangul syllable of 3 bytes is 3 letters of 3 bytes; no other character grows so far. */
#define FOLD_GROWTH 4

/* Folds length bytes of well-formed UTF-8 (without a NUL) into out, which has FOLD_GROWTH * length
 * + 1 bytes, NUL-terminated. Returns the new length. */
size_t fold_text(const char *text, size_t length, char *out);

/* The rules that this build folds by: Unicode's version, and a number of our own after it. What was
 * folded by others has to be folded again. */
long fold_version(void);

/* Bytes of the white space that the text begins with (one character), else 0. */
size_t fold_space(const char *text, size_t length);
