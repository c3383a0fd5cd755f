/*
 * Keeps the list of what is shared (share_listing), and notices that it has become another one: by
 * inotify at once, and by a slow look at all for file systems and containers whose events do not
 * arrive.
 *
 * One thread of its own. An event names a file or a folder, and only that is looked at; where not
 * all events are known (there were too many, a folder is not watched, or the shared one has been
 * replaced), where the limits of a share are reached, and when a file with several names changes
 * (who knows the others?), all is. What makes no event in the folder (a file gets another name
 * outside of it or a hidden one, or is written by truncate) is seen by the slow look, or by whom it
 * matters to, who says so (share_look_again). Bursts are gathered for WATCH_SETTLE_MS before others
 * are told, so that copying a thousand files is a handful of calls; who wants the list meanwhile
 * gets it with all that has happened until then. A file counts when its writer closes it or when it
 * is renamed to its place; one that is still being written may be told early by a rescan or by
 * another file's event.
 *
 * Each folder takes one of inotify's watches, which are limited for each user. Where inotify gives
 * nothing (its limits are used up, be it for some of the folders only, or the file system has none)
 * it is said once and all is looked at every WATCH_POLL_MS instead, a large folder less often, and
 * whenever somebody wants the list. What the share leaves out for its limits is said once, too.
 */
#pragma once

#include "common/error.h"
#include "peer/share/share.h"

#define WATCH_SETTLE_MS 300   /* well within the two seconds until the directory must know */
#define WATCH_RESCAN_MS 15000 /* one readdir of the folder; cheap against a missed file */
#define WATCH_POLL_MS   1000  /* without events, or while the folder is gone */

struct watch;

/* Before others than the caller know the share. changed is called on the watch's thread after the
 * list has become another one (names, size or time) than the first or at the last call; the first
 * is made in the background, share_listing waits for it. *watch is owned by the caller. */
MUST_CHECK enum error_code watch_start(struct share *share, void (*changed)(void *context),
                                       void *context, struct watch **watch, struct error *error);
void watch_stop(struct watch *watch); /* joins and frees; then nobody keeps the list */
