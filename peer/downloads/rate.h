/*
 * How fast bytes arrive, over the last few seconds. Pure: time is passed in.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define RATE_SAMPLES     8
#define RATE_INTERVAL_MS 500 /* between samples: the window is 4 s, so a pause shows soon */

struct rate {
    struct {
        int64_t at_ms;
        int64_t bytes;
    } samples[RATE_SAMPLES]; /* a ring; the oldest is the base of the rate */
    size_t first;
    size_t count;
};

void rate_init(struct rate *rate, int64_t now_ms, int64_t bytes);

/* Bytes so far, growing. Returns bytes a second lately; 0 before anything can be said. */
int64_t rate_add(struct rate *rate, int64_t now_ms, int64_t bytes);
