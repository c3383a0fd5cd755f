/*
 * Why each source of a download failed, as one line, and the one code that fits them all. Pure.
 */
#pragma once

#include "common/error.h"

struct failures {
    struct error worst; /* ERROR_NONE and "" while there are none */
};

/* "who: why", after what is there already. The text is cut where it grows too long. */
void failures_add(struct failures *failures, const char *who, const struct error *why);
