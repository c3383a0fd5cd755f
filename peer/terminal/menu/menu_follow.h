/*
 * The menu's ear: posts a notice when one of the daemon's downloads ends, or many. When the daemon
 * goes away it tries again until that is back.
 */
#pragma once

#include "common/error.h"
#include "peer/terminal/job_follow.h"
#include "peer/terminal/menu/menu_events.h"

/* Waits until following has begun, so that nothing that starts afterwards is missed.
 * ERROR_UNREACHABLE: no daemon. events is borrowed. *follow is the caller's (job_follow_stop). */
MUST_CHECK enum error_code menu_follow_start(const char *socket_path, const char *start_hint,
                                             struct menu_events *events, struct job_follow **follow,
                                             struct error *error);
