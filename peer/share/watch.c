#include "peer/share/watch.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/stop_event.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

/* A new file counts when its writer closes it: IN_CREATE tells only of hard links. */
#define WATCHED_EVENTS                                                                  \
    (IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ATTRIB | \
     IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

#define EVENT_BUFFER_BYTES 16384

/* A rescan takes at most one part in this many of a core. */
#define RESCAN_SHARE 20

/* A folder in the folder that inotify watches. */
struct watched {
    int descriptor;
    char *path;
};

struct watched_list {
    struct watched *items; /* by descriptor */
    size_t count, capacity;
};

struct watch {
    struct share *share;
    void (*changed)(void *context);
    void *context;
    struct stop_event *stop;
    pthread_t thread;
    /* From here on: the watch's thread alone, once it runs. */
    int events;     /* inotify; -1 where the system gives none */
    int descriptor; /* of the folder in it; -1 while it is not watched */
    bool warned;    /* that events do not work */
    struct watched_list folders;
    bool lacks;           /* some of them are not watched, */
    bool warned_lack;     /* that was said, */
    bool warned_left_out; /* and that not all is shared */
    uint64_t content;     /* hash of the list that was last told */
    int64_t due_ms;       /* next scan, on the boot clock */
    bool settling;        /* an event has brought the next scan forward */
};

/* ---- the folders in the folder ---- */

static int compare_descriptors(const void *left, const void *right)
{
    const struct watched *a = left;
    const struct watched *b = right;

    return (a->descriptor > b->descriptor) - (a->descriptor < b->descriptor);
}

static const struct watched *find_watched(const struct watched_list *list, int descriptor)
{
    const struct watched wanted = {.descriptor = descriptor};

    return list->count == 0 ? NULL
                            : bsearch(&wanted, list->items, list->count, sizeof *list->items,
                                      compare_descriptors);
}

static void add_watched(struct watched_list *list, int descriptor, const char *path)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? list->capacity * 2 : 16;
        list->items = memory_resize(list->items, list->capacity, sizeof *list->items);
    }
    list->items[list->count++] =
        (struct watched){.descriptor = descriptor, .path = memory_copy_string(path)};
}

static void watched_list_done(struct watched_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i].path);
    free(list->items);
    *list = (struct watched_list){0};
}

/* A look at all of it: which folders there are now. */
struct look {
    struct watch *watch;
    struct watched_list folders;
    int reason; /* why a folder is not watched; 0: all are */
};

/* Before the folder is read: what comes later makes an event. For a folder that is watched already
 * this changes nothing. */
static void arm_folder(void *context, const char *path)
{
    struct look *look = context;
    struct watch *watch = look->watch;

    if (watch->events < 0)
        return;
    auto_free char *whole = memory_format("%s/%s", share_path(watch->share), path);
    int descriptor =
        inotify_add_watch(watch->events, whole, WATCHED_EVENTS | IN_DONT_FOLLOW | IN_EXCL_UNLINK);
    if (descriptor >= 0)
        add_watched(&look->folders, descriptor, path);
    else if (errno != ENOENT && errno != ENOTDIR && errno != EACCES)
        look->reason = errno;
}

/* Takes the new list in place of the old one. With `all` it is whole, and what is not in it is
 * watched no longer: folders that were moved away would still tell. */
static void take_folders(struct watch *watch, struct look *look, bool all)
{
    struct watched_list old = watch->folders;

    for (size_t i = 0; i < old.count && !all; i++)
        add_watched(&look->folders, old.items[i].descriptor, old.items[i].path);
    if (look->folders.count > 0)
        qsort(look->folders.items, look->folders.count, sizeof *look->folders.items,
              compare_descriptors);
    for (size_t i = 0; i < old.count; i++)
        if (!find_watched(&look->folders, old.items[i].descriptor))
            inotify_rm_watch(watch->events, old.items[i].descriptor);
    watched_list_done(&old);
    watch->folders = look->folders;
    watch->lacks = look->reason != 0;
}

static void warn(struct watch *watch, const struct look *look, size_t left_out)
{
    if (look->reason != 0 && !watch->warned_lack) {
        log_line(LOG_WARNING, "watch",
                 "no file events for some folders in the shared one (%s): looking every %d ms or "
                 "more instead%s",
                 strerror(look->reason), WATCH_POLL_MS,
                 look->reason == ENOSPC ? "; fs.inotify.max_user_watches sets the limit" : "");
        watch->warned_lack = true;
    }
    if (left_out > 0 && !watch->warned_left_out) {
        log_line(LOG_WARNING, "watch",
                 "%zu files or folders are not shared: at most %d files, %d folders, paths of %d "
                 "bytes and %d parts",
                 left_out, SHARE_FILES_MAX, SHARE_FOLDERS_MAX, FILE_PATH_MAX_BYTES,
                 FILE_PATH_PARTS_MAX);
        watch->warned_left_out = true;
    }
}

/* False while it cannot be told; a folder that is gone holds nothing. */
static bool read_content(struct watch *watch, uint64_t *content)
{
    struct look look = {.watch = watch};
    const struct share_visitor visitor = {.visit = arm_folder, .context = &look};
    struct share_list list = {0};
    enum error_code code = share_walk(watch->share, &visitor, &list, NULL);
    bool certain = code == ERROR_NONE || code == ERROR_NOT_FOUND;

    take_folders(watch, &look, certain);
    warn(watch, &look, list.left_out);
    *content = share_list_hash(&list, false);
    share_list_done(&list);
    return certain;
}

/* ---- the folder ---- */

/* Watches what the path means now. For a folder that is watched already this changes nothing. */
static void arm(struct watch *watch)
{
    int descriptor = watch->events < 0 ? -1
                                       : inotify_add_watch(watch->events, share_path(watch->share),
                                                           WATCHED_EVENTS);
    int reason = errno;

    if (watch->descriptor >= 0 && watch->descriptor != descriptor)
        inotify_rm_watch(watch->events, watch->descriptor);
    watch->descriptor = descriptor;
    if (watch->events >= 0 && (descriptor >= 0 || reason == ENOENT || reason == ENOTDIR))
        return;
    if (!watch->warned)
        log_line(LOG_WARNING, "watch", "no file events (%s): looking every %d ms or more instead",
                 watch->events < 0 ? "inotify is not available" : strerror(reason), WATCH_POLL_MS);
    watch->warned = true;
}

static int64_t rescan_ms(const struct watch *watch, int64_t cost_ms)
{
    int64_t wait = watch->descriptor >= 0 && !watch->lacks ? WATCH_RESCAN_MS : WATCH_POLL_MS;

    if (wait < cost_ms * RESCAN_SHARE)
        wait = cost_ms * RESCAN_SHARE;
    return wait;
}

static void scan(struct watch *watch)
{
    int64_t start = clock_boot_ms();
    uint64_t content;

    arm(watch);
    if (read_content(watch, &content) && content != watch->content) {
        watch->content = content;
        watch->changed(watch->context);
    }
    int64_t end = clock_boot_ms();
    watch->due_ms = end + rescan_ms(watch, end - start);
    watch->settling = false;
}

static bool is_hard_link(const struct watch *watch, const struct inotify_event *event)
{
    const struct watched *in = find_watched(&watch->folders, event->wd);
    auto_free char *path = memory_format("%s/%s%s%s", share_path(watch->share), in ? in->path : "",
                                         in ? "/" : "", event->name);
    struct stat status;

    return lstat(path, &status) == 0 && S_ISREG(status.st_mode) && status.st_nlink > 1;
}

static bool is_of_interest(const struct watch *watch, const struct inotify_event *event)
{
    bool hidden = event->len > 0 && event->name[0] == '.';

    if (hidden) /* a received file loses its temporary name last of all */
        return event->mask & IN_DELETE;
    return !(event->mask & IN_CREATE) || event->mask & IN_ISDIR || is_hard_link(watch, event);
}

/* Takes all events that are there. */
static void read_events(struct watch *watch)
{
    _Alignas(struct inotify_event) char data[EVENT_BUFFER_BYTES];
    bool interesting = false;
    ssize_t got;

    while ((got = read(watch->events, data, sizeof data)) > 0) {
        for (ssize_t at = 0; at < got;) {
            const struct inotify_event *event = (const void *)(data + at);
            interesting = interesting || is_of_interest(watch, event);
            at += (ssize_t)(sizeof *event + event->len);
        }
    }
    if (!interesting || watch->settling)
        return;
    watch->settling = true;
    watch->due_ms = clock_boot_ms() + WATCH_SETTLE_MS;
}

static void wait_for_events(struct watch *watch, int64_t timeout_ms)
{
    struct pollfd items[] = {
        {.fd = stop_event_descriptor(watch->stop), .events = POLLIN},
        {.fd = watch->events, .events = POLLIN}, /* poll skips -1 */
    };

    poll(items, ARRAY_LENGTH(items), timeout_ms > INT_MAX ? INT_MAX : (int)timeout_ms);
    if (items[1].revents)
        read_events(watch);
}

static void *run(void *context)
{
    struct watch *watch = context;

    while (!stop_event_raised(watch->stop)) {
        int64_t left = watch->due_ms - clock_boot_ms();
        if (left > 0 && watch->settling)
            stop_event_wait_ms(watch->stop, left); /* a burst wakes us once, not once a file */
        else if (left > 0)
            wait_for_events(watch, left);
        else
            scan(watch);
    }
    return NULL;
}

enum error_code watch_start(struct share *share, void (*changed)(void *context), void *context,
                            struct watch **watch, struct error *error)
{
    struct watch *made = memory_new(1, sizeof *made);
    int reason;

    *made = (struct watch){
        .share = share, .changed = changed, .context = context, .stop = stop_event_new()};
    made->descriptor = -1;
    made->events = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    arm(made);
    (void)read_content(made, &made->content);
    made->due_ms = clock_boot_ms() + rescan_ms(made, 0);
    reason = stop_event_descriptor(made->stop) < 0 ? EMFILE
                                                   : pthread_create(&made->thread, NULL, run, made);
    if (reason != 0) {
        if (made->events >= 0)
            close(made->events);
        watched_list_done(&made->folders);
        stop_event_free(made->stop);
        free(made);
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
    if (watch->events >= 0)
        close(watch->events);
    watched_list_done(&watch->folders);
    stop_event_free(watch->stop);
    free(watch);
}
