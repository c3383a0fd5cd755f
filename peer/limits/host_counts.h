/*
 * How many of something each host has, and how many it may have. Any thread.
 *
 * With leaves_room a host has at most `host` of them, and never more than are still free: who has
 * many leaves as many for others. So four hosts that take all they can get leave a fifth of all,
 * and who has none yet finds a place.
 */
#pragma once

#include "peer/limits/host_key.h"

#include <stdbool.h>
#include <stddef.h>

enum admission { ADMISSION_GRANTED, ADMISSION_FULL, ADMISSION_HOST_FULL };

struct host_counts;

struct host_counts *host_counts_new(size_t total, size_t host, bool leaves_room);
void host_counts_free(struct host_counts *counts); /* NULL is fine */

/* Granted: it has one more, until host_counts_give gives that back. */
enum admission host_counts_take(struct host_counts *counts, const struct host_key *host);
void host_counts_give(struct host_counts *counts, const struct host_key *host);

/* What one host had is another's (or its own again), whatever the limits. */
void host_counts_move(struct host_counts *counts, const struct host_key *from,
                      const struct host_key *to);

size_t host_counts_of(struct host_counts *counts, const struct host_key *host);
