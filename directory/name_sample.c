#include "directory/name_sample.h"

#include "common/memory.h"

#include <stdlib.h>

enum { COUNTS = 1 << 17, RUN_MAX = 3 };

struct name_sample {
    int64_t names;
    uint16_t counts[COUNTS];
};

struct name_sample *name_sample_new(void)
{
    return memory_new(1, sizeof(struct name_sample));
}

void name_sample_free(struct name_sample *sample)
{
    free(sample);
}

/* FNV-1a, a byte at a time. */
static uint32_t mix(uint32_t hash, char byte)
{
    return (hash ^ (unsigned char)byte) * 16777619;
}

static const uint32_t begin = 2166136261;

static size_t slot_of(uint32_t hash)
{
    return (hash ^ hash >> 17) % COUNTS;
}

/* All runs of one to three characters that begin where the text does. */
static void count_runs(struct name_sample *sample, const char *text, const char *end)
{
    uint32_t hash = begin;

    for (int run = 0; run < RUN_MAX && text < end; run++) {
        do
            hash = mix(hash, *text++);
        while (text < end && (*text & 0xc0) == 0x80);
        uint16_t *count = &sample->counts[slot_of(hash)];
        *count += *count < UINT16_MAX;
    }
}

void name_sample_add(struct name_sample *sample, const char *folded, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if ((folded[i] & 0xc0) != 0x80)
            count_runs(sample, folded + i, folded + length);
    sample->names++;
}

int64_t name_sample_estimate(const struct name_sample *sample, const char *text, size_t length,
                             int64_t all)
{
    uint32_t hash = begin;

    if (sample->names == 0)
        return 0;
    for (size_t i = 0; i < length; i++)
        hash = mix(hash, text[i]);
    return sample->counts[slot_of(hash)] * (all / sample->names + 1);
}
