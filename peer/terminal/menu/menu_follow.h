/*
 * The menu's ear: a thread that follows the daemon's downloads and posts a notice when one ends.
 * When the daemon goes away it tries again until that is back.
 */
#pragma once

#include "common/error.h"
#include "peer/terminal/menu/menu_events.h"

struct menu_follow;

/* Waits until following has begun, so that nothing that starts afterwards is missed.
 * ERROR_UNREACHABLE: no daemon. Texts are borrowed, as is events. */
MUST_CHECK enum error_code menu_follow_start(const char *socket_path, const char *start_hint,
                                             struct menu_events *events,
                                             struct menu_follow **follow, struct error *error);
void menu_follow_stop(struct menu_follow *follow); /* joins and frees; NULL is fine */
