/*
 * What every fuzz target includes. A target is one file NAME.c with LLVMFuzzerTestOneInput for one
 * parser. Beyond "does not crash" it checks what must hold for every input (fuzz_check), such as
 * that what was accepted is accepted again and means the same.
 *
 * In the fuzz preset a target is a libFuzzer program; in every other one it replays its corpus.
 */
#pragma once

#include "common/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the input shows to be wrong with the code under test ends the process. */
#define fuzz_check(condition)                                                              \
    do {                                                                                   \
        if (!(condition)) {                                                                \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                       \
        }                                                                                  \
    } while (0)

/* Cuts the next part off the input: up to the next 0x1f byte (which is dropped), or all that is
 * left. Returns its start. */
static inline const char *fuzz_part(const uint8_t **data, size_t *size, size_t *length)
{
    const uint8_t *start = *data;
    const uint8_t *end = *size ? memchr(start, 0x1f, *size) : NULL;

    *length = end ? (size_t)(end - start) : *size;
    size_t used = *length + (end ? 1 : 0);
    *data += used;
    *size -= used;
    return (const char *)start;
}
