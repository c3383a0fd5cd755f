/*
 * FNV-1a of 64 bits (RFC 9923), for tables and orders that nobody gains from attacking; where
 * somebody does, secrets_slot and SHA-256 are the ones to take. Pure.
 */
#pragma once

#include <stdint.h>

#define TEXT_HASH_START UINT64_C(0xcbf29ce484222325)

/* From the hash of what comes before, or from TEXT_HASH_START. The end counts: "ab", "c" and "a",
 * "bc" are not the same. */
static inline uint64_t text_hash(uint64_t before, const char *text)
{
    const uint64_t prime = UINT64_C(0x100000001b3);
    uint64_t hash = before;

    for (const char *c = text; *c; c++)
        hash = (hash ^ (uint8_t)*c) * prime;
    return hash * prime;
}

/* FNV leaves what the last characters changed in the lower bits: for comparing, or taking a part of
 * a range, all bits should count. */
static inline uint64_t text_hash_spread(uint64_t hash)
{
    hash = (hash ^ hash >> 32) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}
