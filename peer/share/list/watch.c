#include "peer/share/list/watch.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/stop_event.h"
#include "peer/share/list/kept.h"
#include "peer/share/list/listing.h"
#include "peer/share/list/pending.h"
#include "peer/share/list/walk.h"
#include "peer/share/list/watched.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

/* A new file counts when its writer closes it: IN_CREATE tells only of hard links. */
#define WATCHED_EVENTS                                                                  \
    (IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ATTRIB | \
     IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

#define EVENT_BUFFER_BYTES 16384

/* A look at all takes at most one part in this many of a core. */
#define RESCAN_SHARE 20

struct watch {
    struct share *share;
    void (*changed)(void *context);
    void *context;
    struct stop_event *stop;
    int wake; /* eventfd: somebody wants the list */
    pthread_t thread;
    /* From here on: the watch's thread alone, once it runs. */
    int events;     /* inotify; -1 where the system gives none */
    int descriptor; /* of the folder in it; -1 while it is not watched */
    bool warned;    /* that events do not work */
    struct watched_list folders;
    bool lacks;           /* some of them are not watched, */
    bool warned_lack;     /* that was said, */
    bool warned_left_out; /* and that not all is shared */
    bool shared_watch;    /* one folder is in several places: its events name only one */
    struct pending pending;
    struct listing *listing; /* NULL before the first look */
    bool stale;              /* it is not known what has happened since then */
    struct error error;      /* why there is no list; code ERROR_NONE when there is */
    struct listing *told;    /* of which others know */
    int64_t rescan_ms;       /* next look at all, on the boot clock */
    int64_t settle_ms;       /* when others are told of a burst of events; 0: there is none */
};

/* ---- which folders are watched ---- */

/* Of what is walked: the folders that it has now. */
struct arming {
    struct watch *watch;
    struct watched_list *folders;
    int reason; /* why a folder is not watched; 0: all are */
    bool twice; /* one was there under another name already */
};

/* Before the folder is read: what comes later makes an event. For a folder that is watched already
 * this changes nothing. */
static void arm_folder(void *context, const char *path)
{
    struct arming *arming = context;
    struct watch *watch = arming->watch;

    if (watch->events < 0)
        return;
    auto_free char *whole = memory_format("%s/%s", share_path(watch->share), path);
    int descriptor =
        inotify_add_watch(watch->events, whole, WATCHED_EVENTS | IN_DONT_FOLLOW | IN_EXCL_UNLINK);
    if (descriptor >= 0)
        arming->twice = !watched_put(arming->folders, descriptor, path) || arming->twice;
    else if (errno != ENOENT && errno != ENOTDIR && errno != EACCES)
        arming->reason = errno;
}

static void disarm(void *context, int descriptor)
{
    struct watch *watch = context;

    inotify_rm_watch(watch->events, descriptor);
}

/* Watches what the path means now. For a folder that is watched already this changes nothing. */
static void arm(struct watch *watch)
{
    int descriptor = watch->events < 0 ? -1
                                       : inotify_add_watch(watch->events, share_path(watch->share),
                                                           WATCHED_EVENTS);
    int reason = errno;

    if (watch->descriptor != descriptor) {
        if (watch->descriptor >= 0)
            inotify_rm_watch(watch->events, watch->descriptor);
        watched_drop(&watch->folders, watch->descriptor);
        watch->descriptor = descriptor;
        watch->stale = true;
    }
    if (watch->events >= 0 && (descriptor >= 0 || reason == ENOENT || reason == ENOTDIR))
        return;
    if (!watch->warned)
        log_line(LOG_WARNING, "watch", "no file events (%s): looking every %d ms or more instead",
                 watch->events < 0 ? "inotify is not available" : strerror(reason), WATCH_POLL_MS);
    watch->warned = true;
}

/* Takes the new folders in place of the old ones. With `all` they are all, and what is not among
 * them is watched no longer: folders that were moved away would still tell. */
static void take_folders(struct watch *watch, struct watched_list *fresh, bool all)
{
    struct watched_list old = watch->folders;

    for (size_t i = 0; i < old.count; i++) {
        int descriptor = old.items[i].descriptor;
        if (!all)
            watched_put(fresh, descriptor, old.items[i].path);
        else if (!watched_path(fresh, descriptor))
            inotify_rm_watch(watch->events, descriptor);
    }
    watched_done(&old);
    watch->folders = *fresh;
}

/* ---- what happens ---- */

static bool is_hard_link(const struct watch *watch, const char *folder, const char *name)
{
    auto_free char *path =
        memory_format("%s/%s%s%s", share_path(watch->share), folder, folder[0] ? "/" : "", name);
    struct stat status;

    return lstat(path, &status) == 0 && S_ISREG(status.st_mode) && status.st_nlink > 1;
}

/* Of a folder itself. What becomes of one in the shared one, that one's events tell as well, but
 * for a file system that goes. Returns whether it is of interest, as the next two. */
static bool take_own_event(struct watch *watch, const struct inotify_event *event)
{
    bool of_top = event->wd == watch->descriptor;

    if (event->mask & IN_IGNORED) {
        watched_drop(&watch->folders, event->wd);
        watch->descriptor = of_top ? -1 : watch->descriptor;
        watch->stale = watch->stale || of_top;
    }
    if (!of_top && !(event->mask & IN_UNMOUNT))
        return false;
    pending_add_all(&watch->pending);
    return true;
}

/* Where names cannot be kept from being taken, a received file is a link to its hidden name until
 * that is removed, which changes it once more. */
static bool take_hidden_event(struct watch *watch, const struct inotify_event *event)
{
    if (!(event->mask & IN_DELETE))
        return false;
    if (watch->listing && listing_linked(watch->listing) > 0)
        pending_add_all(&watch->pending);
    return pending_any(&watch->pending);
}

static bool take_event(struct watch *watch, const struct inotify_event *event)
{
    const char *folder = watched_path(&watch->folders, event->wd);

    if (event->mask & IN_Q_OVERFLOW) {
        pending_add_all(&watch->pending);
        return true;
    }
    if (!folder) /* it is watched no longer */
        return false;
    if (event->len == 0)
        return take_own_event(watch, event);
    if (event->name[0] == '.')
        return take_hidden_event(watch, event);
    bool counts = !(event->mask & IN_CREATE) || event->mask & IN_ISDIR ||
                  is_hard_link(watch, folder, event->name);
    pending_add(&watch->pending, folder, event->name);
    if (event->mask & IN_ISDIR && event->mask & IN_MOVED_FROM) {
        auto_free char *path = memory_format("%s%s%s", folder, folder[0] ? "/" : "", event->name);
        watched_drop_folder(&watch->folders, path, disarm, watch);
    }
    return counts;
}

/* Takes all events that are there. */
static void read_events(struct watch *watch)
{
    _Alignas(struct inotify_event) char data[EVENT_BUFFER_BYTES];
    bool interesting = false;
    ssize_t got;

    while (watch->events >= 0 && (got = read(watch->events, data, sizeof data)) > 0) {
        for (ssize_t at = 0; at < got;) {
            const struct inotify_event *event = (const void *)(data + at);
            interesting = take_event(watch, event) || interesting;
            at += (ssize_t)(sizeof *event + event->len);
        }
    }
    if (interesting && watch->settle_ms == 0)
        watch->settle_ms = clock_boot_ms() + WATCH_SETTLE_MS;
}

/* ---- looking ---- */

static void warn(struct watch *watch, int reason)
{
    if (reason != 0 && !watch->warned_lack) {
        log_line(LOG_WARNING, "watch",
                 "no file events for some folders in the shared one (%s): looking every %d ms or "
                 "more instead%s",
                 strerror(reason), WATCH_POLL_MS,
                 reason == ENOSPC ? "; fs.inotify.max_user_watches sets the limit" : "");
        watch->warned_lack = true;
    }
    if (listing_left_out(watch->listing) > 0 && !watch->warned_left_out) {
        log_line(LOG_WARNING, "watch",
                 "%zu files or folders are not shared: at most %d files, %d folders, paths of %d "
                 "bytes and %d parts",
                 listing_left_out(watch->listing), SHARE_FILES_MAX, SHARE_FOLDERS_MAX,
                 FILE_PATH_MAX_BYTES, FILE_PATH_PARTS_MAX);
        watch->warned_left_out = true;
    }
}

static void take_listing(struct watch *watch, struct listing *fresh)
{
    listing_release(watch->listing);
    watch->listing = fresh;
}

static struct listing *no_files(void)
{
    return listing_builder_finish(listing_builder_new(), 0, NULL);
}

static int64_t rescan_wait_ms(const struct watch *watch, int64_t cost_ms)
{
    int64_t wait = watch->descriptor >= 0 && !watch->lacks ? WATCH_RESCAN_MS : WATCH_POLL_MS;

    if (wait < cost_ms * RESCAN_SHARE)
        wait = cost_ms * RESCAN_SHARE;
    return wait;
}

/* At all. A folder that is gone holds nothing. */
static void look_at_all(struct watch *watch)
{
    struct watched_list folders = {0};
    struct arming arming = {.watch = watch, .folders = &folders};
    const struct walk_visitor visitor = {.visit = arm_folder, .context = &arming};
    struct listing *fresh = NULL;
    int64_t start_ms = clock_boot_ms();

    if (watch->descriptor >= 0)
        watched_put(&folders, watch->descriptor, "");
    pending_clear(&watch->pending);
    watch->error = (struct error){0};
    enum error_code code =
        walk_share(watch->share, &visitor, watch->listing, &fresh, &watch->error);
    watch->stale = code != ERROR_NONE && code != ERROR_NOT_FOUND;
    take_folders(watch, &folders, !watch->stale);
    watch->lacks = arming.reason != 0;
    watch->shared_watch = arming.twice;
    if (code == ERROR_NOT_FOUND || !(watch->listing || fresh))
        fresh = no_files();
    if (fresh)
        take_listing(watch, fresh);
    warn(watch, arming.reason);
    int64_t end_ms = clock_boot_ms();
    watch->rescan_ms = end_ms + rescan_wait_ms(watch, end_ms - start_ms);
}

/* At what is pending. False: that is not enough. */
static bool look_at_pending(struct watch *watch)
{
    struct arming arming = {.watch = watch, .folders = &watch->folders};
    const struct walk_visitor visitor = {.visit = arm_folder, .context = &arming};

    if (watch->stale || watch->descriptor < 0 || watch->lacks || watch->shared_watch ||
        watch->error.code || watch->pending.all || listing_count(watch->listing) == SHARE_FILES_MAX)
        return false;
    if (!pending_any(&watch->pending))
        return true;
    struct listing *fresh = pending_apply(&watch->pending, watch->share, &visitor, watch->listing);
    if (!fresh)
        return false;
    take_listing(watch, fresh);
    return arming.reason == 0 && !arming.twice && watch->folders.count <= SHARE_FOLDERS_MAX;
}

/* Afterwards the list is what was there when this began, or later. */
static void look(struct watch *watch, bool all)
{
    arm(watch);
    read_events(watch);
    uint64_t number = kept_take(watch->share, &watch->pending);
    if (all || !look_at_pending(watch))
        look_at_all(watch);
    kept_answer(watch->share, number, watch->error.code ? NULL : watch->listing, &watch->error);
}

static void tell(struct watch *watch)
{
    bool same = listing_equal(watch->told, watch->listing);

    if (watch->told != watch->listing) {
        listing_release(watch->told);
        watch->told = listing_hold(watch->listing);
    }
    if (!same)
        watch->changed(watch->context);
}

/* ---- the thread ---- */

/* Until the time has come, or somebody wants the list. A burst wakes us once, not once a file. */
static void wait_for_events(struct watch *watch, int64_t timeout_ms)
{
    struct pollfd items[] = {
        {.fd = stop_event_descriptor(watch->stop), .events = POLLIN},
        {.fd = watch->wake, .events = POLLIN},
        {.fd = watch->settle_ms != 0 ? -1 : watch->events, .events = POLLIN}, /* poll skips -1 */
    };
    eventfd_t count;

    poll(items, ARRAY_LENGTH(items), timeout_ms > INT_MAX ? INT_MAX : (int)timeout_ms);
    if (items[1].revents) {
        eventfd_read(watch->wake, &count);
        look(watch, false);
    } else if (items[2].revents) {
        read_events(watch);
    }
}

static void *run(void *context)
{
    struct watch *watch = context;

    look(watch, true);
    watch->told = listing_hold(watch->listing);
    while (!stop_event_raised(watch->stop)) {
        int64_t now_ms = clock_boot_ms();
        int64_t due_ms = watch->rescan_ms;
        if (watch->settle_ms != 0 && watch->settle_ms < due_ms)
            due_ms = watch->settle_ms;
        if (now_ms < due_ms) {
            wait_for_events(watch, due_ms - now_ms);
            continue;
        }
        look(watch, now_ms >= watch->rescan_ms);
        watch->settle_ms = 0;
        tell(watch);
    }
    kept_end(watch->share);
    return NULL;
}

static void free_watch(struct watch *watch)
{
    if (watch->events >= 0)
        close(watch->events);
    if (watch->wake >= 0)
        close(watch->wake);
    pending_clear(&watch->pending);
    watched_done(&watch->folders);
    listing_release(watch->listing);
    listing_release(watch->told);
    stop_event_free(watch->stop);
    free(watch);
}

enum error_code watch_start(struct share *share, void (*changed)(void *context), void *context,
                            struct watch **watch, struct error *error)
{
    struct watch *made = memory_new(1, sizeof *made);

    *made = (struct watch){.share = share,
                           .changed = changed,
                           .context = context,
                           .stop = stop_event_new(),
                           .wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
                           .events = inotify_init1(IN_CLOEXEC | IN_NONBLOCK),
                           .descriptor = -1,
                           .stale = true};
    bool can_wait = made->wake >= 0 && stop_event_descriptor(made->stop) >= 0;
    if (can_wait)
        kept_begin(share, made->wake);
    int reason = can_wait ? pthread_create(&made->thread, NULL, run, made) : EMFILE;
    if (reason != 0) {
        kept_end(share);
        free_watch(made);
        return error_set_errno(error, reason, "cannot start the thread of the folder's watch");
    }
    *watch = made;
    return ERROR_NONE;
}

void watch_stop(struct watch *watch)
{
    if (!watch)
        return;
    stop_event_raise(watch->stop);
    pthread_join(watch->thread, NULL);
    free_watch(watch);
}
