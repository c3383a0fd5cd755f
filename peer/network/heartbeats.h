/*
 * A heartbeat for each of our directories: they do not talk to each other, and who searches may ask
 * any of them.
 */
#pragma once

#include "common/error.h"
#include "peer/network/directories.h"
#include "peer/network/heartbeat.h"

#include <stddef.h>

struct heartbeats;

/* The options of one, without login_url and number, which come from its directories (not NULL).
 * *heartbeats is owned by the caller. ERROR_IO: no thread. */
MUST_CHECK enum error_code heartbeats_start(const struct heartbeat_options *options,
                                            struct heartbeats **heartbeats, struct error *error);
void heartbeats_stop(struct heartbeats *heartbeats); /* joins and frees; NULL is fine */

/* Any thread; as of one heartbeat. */
void heartbeats_share_changed(struct heartbeats *heartbeats);
void heartbeats_read_status(struct heartbeats *heartbeats, size_t number,
                            struct heartbeat_status *status);
