/*
 * A token bucket: how fast bytes may pass. Pure; the time is passed in.
 *
 * Who takes may go below zero and then all wait until the debt is paid: a message goes as a whole,
 * and who it belongs to need not be known before. What was not used is kept for a fifth of a
 * second, which makes up for a thread that wakes late and lets nobody save a burst.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define BUCKET_KEEPS_MS 200

struct bucket {
    int64_t rate;       /* bytes per second; 0: no limit */
    double level_bytes; /* negative: a debt */
    int64_t level_ms;   /* when level_bytes was right */
};

/* Another rate begins without debt and without savings: a debt at the old rate could take hours at
 * the new one. */
void bucket_set_rate(struct bucket *bucket, int64_t rate, int64_t now_ms);

/* Whether there is no debt. */
bool bucket_is_open(struct bucket *bucket, int64_t now_ms);

void bucket_take(struct bucket *bucket, int64_t bytes, int64_t now_ms);

/* When it will be open, if nobody takes more; now_ms when it is. */
int64_t bucket_open_ms(struct bucket *bucket, int64_t now_ms);

/* Whether it is as good as new. */
bool bucket_is_full(struct bucket *bucket, int64_t now_ms);
