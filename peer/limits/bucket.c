#include "peer/limits/bucket.h"

static double capacity(const struct bucket *bucket)
{
    return (double)bucket->rate * BUCKET_KEEPS_MS / 1000;
}

static void fill(struct bucket *bucket, int64_t now_ms)
{
    int64_t passed_ms = now_ms - bucket->level_ms;

    if (passed_ms <= 0)
        return;
    bucket->level_ms = now_ms;
    bucket->level_bytes += (double)bucket->rate * (double)passed_ms / 1000;
    if (bucket->level_bytes > capacity(bucket))
        bucket->level_bytes = capacity(bucket);
}

void bucket_set_rate(struct bucket *bucket, int64_t rate, int64_t now_ms)
{
    if (rate != bucket->rate)
        *bucket = (struct bucket){.rate = rate, .level_ms = now_ms};
}

bool bucket_is_open(struct bucket *bucket, int64_t now_ms)
{
    if (bucket->rate == 0)
        return true;
    fill(bucket, now_ms);
    return bucket->level_bytes >= 0;
}

void bucket_take(struct bucket *bucket, int64_t bytes, int64_t now_ms)
{
    if (bucket->rate == 0)
        return;
    fill(bucket, now_ms);
    bucket->level_bytes -= (double)bytes;
}

int64_t bucket_open_ms(struct bucket *bucket, int64_t now_ms)
{
    if (bucket_is_open(bucket, now_ms))
        return now_ms;
    return now_ms + 1 + (int64_t)(-bucket->level_bytes * 1000 / (double)bucket->rate);
}

bool bucket_is_full(struct bucket *bucket, int64_t now_ms)
{
    if (bucket->rate == 0)
        return true;
    fill(bucket, now_ms);
    return bucket->level_bytes >= capacity(bucket);
}
