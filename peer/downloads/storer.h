/*
 * Gives files that are complete their names. While the disk is waited for with some, the next ones
 * gather and go together: so a thousand small files cost a few waits, and one alone no more than
 * its own.
 */
#pragma once

#include "common/error.h"
#include "common/file_name.h"
#include "peer/share/share.h"

#include <sys/queue.h>

/* Waiting at once; each has two descriptors. */
#define STORER_WAITING_MAX 256

struct storer;

/* One file; the caller's memory until it is done. */
struct storer_item {
    struct share_commit commit;
    TAILQ_ENTRY(storer_item) next;
};

struct storer_options {
    /* These have their names, or an error each. On the storer's thread; it may free the items. */
    void (*done)(void *context, struct storer_item *const *items, size_t count);
    void *context;
};

MUST_CHECK enum error_code storer_start(const struct storer_options *options,
                                        struct storer **storer, struct error *error);
/* After what was added is done. NULL is fine. */
void storer_stop(struct storer *storer);

/* Waits while there are too many. Any thread; not after storer_stop. */
void storer_add(struct storer *storer, struct storer_item *item);
