/*
 * Sizes and times as people read them. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define UNITS_TEXT_BYTES 24

/* "0 B", "999 B", "1.0 KiB", "12.3 MiB", ... Returns out. */
const char *units_bytes(int64_t bytes, char out[UNITS_TEXT_BYTES]);

/* A size as people write it: whole bytes, or with k, M, G, T (powers of 1024; "KiB" and so on, and
 * a space before it, too). False: it is none. */
bool units_parse_bytes(const char *text, int64_t *bytes);

/* "0:07", "12:34", "1:02:03"; above 99 hours "4 d". Returns out. */
const char *units_duration(int64_t seconds, char out[UNITS_TEXT_BYTES]);
