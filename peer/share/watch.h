/*
 * Notices that the shared folder, or a folder in it, has changed: inotify at once, and a slow
 * rescan for file systems and containers whose events do not arrive.
 *
 * One thread of its own. Bursts are gathered for WATCH_SETTLE_MS, so that copying a thousand files
 * is a handful of calls. A file counts when its writer closes it or when it is renamed to its
 * place; one that is still being written may be told early by a rescan or by another file's event.
 *
 * Each folder takes one of inotify's watches, which are limited for each user. Where inotify gives
 * nothing (its limits are used up, be it for some of the folders only, or the file system has none)
 * it is said once and all is looked at every WATCH_POLL_MS instead, a large folder less often. What
 * the share leaves out for its limits is said once, too.
 */
#pragma once

#include "common/error.h"
#include "peer/share/share.h"

#define WATCH_SETTLE_MS 300   /* well within the two seconds until the directory must know */
#define WATCH_RESCAN_MS 15000 /* one readdir of the folder; cheap against a missed file */
#define WATCH_POLL_MS   1000  /* without events, or while the folder is gone */

struct watch;

/* changed is called on the watch's thread after the list of shared files (name, size or time) has
 * become another one than at watch_start or at the last call. *watch is owned by the caller. */
MUST_CHECK enum error_code watch_start(struct share *share, void (*changed)(void *context),
                                       void *context, struct watch **watch, struct error *error);
void watch_stop(struct watch *watch); /* joins and frees */
