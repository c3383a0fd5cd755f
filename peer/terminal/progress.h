/*
 * How far a transfer is, as one line that fits the terminal. Pure.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define PROGRESS_LINE_BYTES 1024

struct progress {
    const char *name; /* cleaned */
    int64_t bytes;
    int64_t total_bytes;      /* 0: unknown */
    int64_t bytes_per_second; /* 0: unknown */
    unsigned sources;         /* that send now; 0: not told */
    const char *state;        /* cleaned: "en pausa", why it waits; instead of rate, time and
                               * sources. NULL: it moves */
};

/* "NAME  45 % [=====>      ]  12.3 MiB  4.5 MiB/s  0:12  3 fuentes", at most `columns` wide. What
 * does not fit goes: the bar first, then the sources, then the name's end but for 8 columns, then
 * what is at the right. Returns out. */
const char *progress_line(const struct progress *progress, size_t columns,
                          char out[PROGRESS_LINE_BYTES]);

/* Seconds to go; -1 when nothing can be said. */
int64_t progress_seconds_left(const struct progress *progress);

/* Cuts cleaned text to so many columns; the cut is shown by "…", for which there is room. */
char *progress_cut(char *text, size_t columns);
