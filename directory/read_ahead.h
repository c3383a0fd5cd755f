/*
 * Has the system read the stored peers into its page cache while they are being loaded, from many
 * places at a time. They lie all over the database, some 25 in a page, with files and names
 * between them; one page after the other would each wait for the disk (a million peers with nothing
 * in the page cache: 3.8 seconds until the directory is ready, 240 MiB read).
 *
 * Nothing depends on it: what it does not reach, or cannot read, is read when it is wanted.
 */
#pragma once

#include "directory/index.h"

struct read_ahead;

/* Of a database that is open. NULL: there are too few peers. */
struct read_ahead *read_ahead_start(struct index *index, const char *path, int64_t last_id);

/* Its threads end at once. NULL is allowed. */
void read_ahead_stop(struct read_ahead *ahead);
