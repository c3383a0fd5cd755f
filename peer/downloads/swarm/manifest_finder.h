/*
 * The hashes of the content that a job is to fetch, from the first source that gives them. Used by
 * job.c.
 *
 * Sources are asked in their order. One that fails is followed by the next at once; one that says
 * nothing for MANIFEST_HEDGE_MS is still waited for, but holds up nobody: the next one is asked
 * meanwhile, and the first good answer counts.
 */
#pragma once

#include "common/content.h"
#include "common/file_name.h"
#include "peer/network/directory_client.h"
#include "peer/network/interrupt.h"

#include <stdbool.h>

#define MANIFEST_HEDGE_MS 1000 /* far more than an answer takes that comes at all */
#define MANIFEST_ASKS_MAX 16   /* addresses that are asked before a file is fetched without */
#define MANIFEST_AT_ONCE  4    /* a thread each */

/* Borrowed. */
struct manifest_search {
    const struct directory_sources *sources;
    const char *peer; /* only what this one has; "": of anybody */
    const struct file_name *name;
    struct interrupt *interrupt;
};

/* The hashes of the content that is wanted (sources_wanted_content), from who has it; else of what
 * any source has, for the directory may be behind. Blocks; ends soon after the interrupt is raised.
 * *manifest is owned by the caller. False: nobody knows any. */
bool manifest_find(const struct manifest_search *search, struct manifest *manifest);
