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
};

/* "NAME  45 % [=====>      ]  12.3 MiB  4.5 MiB/s  0:12", at most `columns` wide. What does not fit
 * goes: the bar first, then the name's end, then what is at the right. Returns out. */
const char *progress_line(const struct progress *progress, size_t columns,
                          char out[PROGRESS_LINE_BYTES]);

/* Seconds to go; -1 when nothing can be said. */
int64_t progress_seconds_left(const struct progress *progress);
