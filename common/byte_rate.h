/*
 * Limits of bytes per second as people write them. Pure.
 */
#pragma once

#include "common/error.h"

#include <stdint.h>

/* Below it a transfer would run into the time-outs of whoever is at the other end. */
#define BYTE_RATE_MIN 1024
#define BYTE_RATE_MAX ((int64_t)1 << 40)

#define BYTE_RATE_TEXT_BYTES 32

/* Whole bytes per second, or with a suffix k, M or G (powers of 1024; "KiB", "MiB", "GiB" too),
 * space before it and "/s" after it allowed: "500k", "2 MiB/s". 0 and "none" mean no limit, which
 * is 0. KB, MB and Mbit are refused: people mean different things by them. */
MUST_CHECK enum error_code byte_rate_parse(const char *text, int64_t *bytes_per_second,
                                           struct error *error);

/* Whether a number may be a limit: 0, or within the bounds. */
MUST_CHECK enum error_code byte_rate_check(int64_t bytes_per_second, struct error *error);
