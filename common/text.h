/*
 * Pure questions and changes on UTF-8 text: no memory, no locale, no I/O. Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Whether the bytes are well-formed UTF-8 (RFC 3629: no surrogates, nothing overlong, at most
 * U+10FFFF). NUL bytes are well-formed. */
bool text_is_utf8(const char *text, size_t length);

/* Whether well-formed UTF-8 holds a control character: C0 (NUL too), DEL, or C1 (U+0080-U+009F). */
bool text_has_control(const char *text, size_t length);

/* Shortens text to at most `length` bytes without leaving a part of a character at the end. */
void text_cut(char *text, size_t length);

/* Copies text for showing on a terminal or in a log: bytes that are no UTF-8 become '?', control
 * characters, line and paragraph separators and bidirectional overrides (U+202A-U+202E,
 * U+2066-U+2069) become '?'; cut to fit size, NUL-terminated. Returns out. */
const char *text_clean(const char *text, char *out, size_t size);

/* Whole decimal number, nothing around it, in [min, max]. */
bool text_to_integer(const char *text, long long min, long long max, long long *value);

/* Terminal columns that cleaned UTF-8 text takes, as wcwidth(3) in a UTF-8 locale would say for
 * the common ranges (combining marks 0, East Asian wide and emoji 2). */
size_t text_columns(const char *text);
