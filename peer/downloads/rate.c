#include "peer/downloads/rate.h"

#define RATE_MIN_SPAN_MS 50 /* less says nothing */

void rate_init(struct rate *rate, int64_t now_ms, int64_t bytes)
{
    *rate = (struct rate){.count = 1};
    rate->samples[0].at_ms = now_ms;
    rate->samples[0].bytes = bytes;
}

int64_t rate_add(struct rate *rate, int64_t now_ms, int64_t bytes)
{
    size_t last = (rate->first + rate->count - 1) % RATE_SAMPLES;

    if (now_ms - rate->samples[last].at_ms >= RATE_INTERVAL_MS) {
        size_t next = (last + 1) % RATE_SAMPLES;
        rate->samples[next].at_ms = now_ms;
        rate->samples[next].bytes = bytes;
        if (rate->count == RATE_SAMPLES)
            rate->first = (rate->first + 1) % RATE_SAMPLES;
        else
            rate->count++;
    }
    int64_t span_ms = now_ms - rate->samples[rate->first].at_ms;
    if (span_ms < RATE_MIN_SPAN_MS)
        return 0;
    return (bytes - rate->samples[rate->first].bytes) * 1000 / span_ms;
}
