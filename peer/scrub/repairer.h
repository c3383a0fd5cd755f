/*
 * Repairs what the catalogue knows as damaged (repair.h): at once when it is found, and when nobody
 * had it, again and again, ever less often. What could not be repaired is withdrawn meanwhile, and
 * that is said.
 *
 * One thread.
 */
#pragma once

#include "common/error.h"
#include "peer/scrub/repair.h"

#include <stdint.h>

/* Between tries, doubled each time, and by chance up to half of it shorter. */
#define REPAIRER_FIRST_MS ((int64_t)30 * 1000)
#define REPAIRER_MOST_MS  ((int64_t)3600 * 1000)

struct repairer;

struct repairer_options {
    struct share *share; /* all are borrowed until repairer_stop */
    struct catalogue *catalogue;
    const struct source_finder *finder;
    struct limits *limits; /* may be NULL */
};

/* *repairer is owned by the caller. ERROR_IO: no thread. */
MUST_CHECK enum error_code repairer_start(const struct repairer_options *options,
                                          struct repairer **repairer, struct error *error);

/* Something was found damaged (again): all is tried now. Any thread, does not block. */
void repairer_wake(struct repairer *repairer);

void repairer_stop(struct repairer *repairer); /* within a moment; joins, frees; NULL is fine */

/* Pure. random is any number. */
int64_t repairer_delay_ms(unsigned failures, uint32_t random);
