/*
 * Files of peers that have been away too long go, a slice in a transaction of its own, so that
 * nobody waits for long. On the writer's thread, while it has nothing else to do.
 *
 * From the first slice on the peer has no list any more; who comes back meanwhile is asked for it,
 * and when it has come, nothing more is dropped. A restart begins again with what is left.
 */
#pragma once

#include "directory/index.h"
#include "directory/registry.h"

#include <stdbool.h>
#include <stdint.h>

#define RETENTION_SLICE 500 /* files: some 10 ms */

struct retention {
    struct index *index; /* borrowed */
    struct registry *registry;
    int64_t limit_ms; /* of the run clock; 0: all is kept */
    int64_t peer_id;  /* the retention's: whose files go; 0: nobody's */
};

/* Does one slice. False: there is nothing to do now. */
bool retention_step(struct retention *retention);
