/*
 * Notices that the shared folder has changed: inotify at once, and a slow rescan for file systems
 * and containers whose events do not arrive.
 *
 * One thread of its own. Bursts are gathered for WATCH_SETTLE_MS, so that copying a thousand files
 * is a handful of calls.
 */
#pragma once

#include "common/error.h"
#include "peer/share/share.h"

#define WATCH_SETTLE_MS 300   /* well within the two seconds until the directory must know */
#define WATCH_RESCAN_MS 15000 /* one readdir of the folder; cheap against a missed file */

struct watch;

/* changed is called on the watch's thread after the list of shared files (name, size or time) has
 * become another one. *watch is owned by the caller. */
MUST_CHECK enum error_code watch_start(struct share *share, void (*changed)(void *context),
                                       void *context, struct watch **watch, struct error *error);
void watch_stop(struct watch *watch); /* joins and frees */
