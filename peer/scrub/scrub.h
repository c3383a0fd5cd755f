/*
 * The slow check of all that is shared: each file is read again and compared with its hashes once
 * in so many days, the one that was not checked for longest first. What comes out, the catalogue
 * knows (catalogue_check.h).
 *
 * One thread, with the last turn at the disk and a bounded rate: it works a few minutes a day, and
 * sleeps otherwise. Its place is in the catalogue's database, so that a restart begins nothing
 * anew.
 */
#pragma once

#include "common/error.h"
#include "peer/catalogue/catalogue.h"

#include <stdint.h>

/* The rate is twice what all files need in the time that they have, so that they are done in half
 * of it (the peer may be off at times), and within these: not slower, or a large file would take
 * weeks by itself; not faster, so that others hardly notice. At the highest rate 80 TiB fit into 30
 * days; with more to read, a round takes longer. */
#define SCRUB_MIN_BYTES_PER_SECOND ((int64_t)1 << 20)
#define SCRUB_MAX_BYTES_PER_SECOND ((int64_t)32 << 20)

#define SCRUB_DAY_S ((int64_t)24 * 3600)

struct scrub;

/* The catalogue is borrowed until scrub_stop. 0 days: *scrub is NULL, nothing is checked. *scrub is
 * owned by the caller. ERROR_IO: no thread. */
MUST_CHECK enum error_code scrub_start(struct catalogue *catalogue, int64_t days,
                                       struct scrub **scrub, struct error *error);
void scrub_stop(
    struct scrub *scrub); /* within a moment, also in a file; joins, frees; NULL is fine */

/* Pure. */
int64_t scrub_rate(int64_t shared_bytes, int64_t days);
/* Seconds until a file that was last checked then is due; 0: now. A time in the future is no time.
 */
int64_t scrub_due_in_s(int64_t checked_s, int64_t now_s, int64_t days);
