/*
 * The sum of a list of shared files: two lists with equal sums are equal, and the directory and a
 * peer compare sums (`index_etag`) instead of lists. Pure, but for the hashing; any thread.
 *
 * It is the sum, modulo 2^256, of one SHA-256 for each file and one for the usual urls, taken as
 * big-endian numbers. So the order does not matter, and a list that loses and gains some files has
 * the old sum less the hashes of those and plus the hashes of these. What is hashed:
 *
 *   a file           its name, a NUL, and of what follows only what there is:
 *                    0x01 and the size as 8 bytes, big-endian
 *                    0x02 and the 32 bytes of its content id
 *                    0x03 when it is partial
 *                    0x04 and its urls, each with a NUL, when they are not the usual ones
 *   the usual urls   0x04 and the urls, each with a NUL. They are those of the list's first file;
 *                    of a list without files, none
 *
 * Urls are those that the peer gives, before the directory puts an address in the place of a
 * wildcard. No name begins with 0x04, so that a file's hash is never that of usual urls.
 *
 * Sums are no proof against who chooses the files: with some 2^32 hashes one finds other files with
 * the same sum (Wagner, A Generalized Birthday Problem, 2002). A peer that does so fools the
 * directory about its own list only, which it may fill with lies anyway.
 */
#pragma once

#include "common/content_id.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INDEX_SUM_BYTES  32
#define INDEX_SUM_DIGITS (2 * INDEX_SUM_BYTES)

struct index_sum {
    uint8_t bytes[INDEX_SUM_BYTES]; /* big-endian; all zero is the sum of nothing */
};

/* Urls one after the other, each with its NUL. */
struct index_sum_urls {
    const char *text;
    size_t length;
};

struct index_sum_file {
    const char *name;
    int64_t size_bytes;                /* negative: unknown */
    const struct content_id *id;       /* NULL: unknown */
    bool partial;                      /* it is still arriving */
    const struct index_sum_urls *urls; /* NULL: the usual ones */
};

void index_sum_add(struct index_sum *sum, const struct index_sum_file *file);
void index_sum_subtract(struct index_sum *sum, const struct index_sum_file *file);
void index_sum_add_usual(struct index_sum *sum, const struct index_sum_urls *urls);

bool index_sum_equal(const struct index_sum *left, const struct index_sum *right);

/* 64 lower-case hexadecimal digits and a NUL. Returns out. */
const char *index_sum_format(const struct index_sum *sum, char out[INDEX_SUM_DIGITS + 1]);
/* False when text is anything but that. */
bool index_sum_parse(const char *text, size_t length, struct index_sum *sum);
