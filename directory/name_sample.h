/*
 * How many names some letters stand in, more or less, from a sample of the names: so that a search
 * for words begins with what is rare. What is found never depends on it. Pure, one thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Names, from all over: 5 ms for them. What is in one of 1,000 names is in 4 of them. */
#define NAME_SAMPLE_MAX 4096

struct name_sample; /* 256 KiB */

struct name_sample *name_sample_new(void);
void name_sample_free(struct name_sample *sample); /* NULL is allowed */

void name_sample_add(struct name_sample *sample, const char *folded, size_t length);
/* So many of all names have these one to three characters. Rather too many than too few: a name
 * that has them twice counts twice, and what is equal by its hash is not told apart. */
int64_t name_sample_estimate(const struct name_sample *sample, const char *text, size_t length,
                             int64_t all);
