/*
 * What keeps a daemon from accepting connections, and how often that is said.
 */
#pragma once

#include "common/compiler.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* The system had no descriptor or no memory for a connection: it stays in the queue for so long. */
#define ACCEPT_PAUSE_MS 100

/* Trouble that comes back within this is the same trouble, and was said already. */
#define TROUBLE_EPISODE_MS 60000

/* All zero: there never was any. */
struct trouble {
    atomic_int_least64_t last_ms;
};

/* There is trouble now, by clock_boot_ms. Whether it has to be said: once an episode. Any thread.
 */
bool trouble_begins(struct trouble *trouble, int64_t now_ms);

/* Whether accept(2) failed for the one connection, which is gone then; it passes errors of the
 * network on. The others are the system's, and the connection still waits. */
bool accept_lost_one(int errno_value);
