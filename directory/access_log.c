#include "directory/access_log.h"

#include "common/buffer.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/stop_event.h"
#include "common/text.h"
#include "directory/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    LOOK_MS = 50,
    LINES_BYTES = 64 << 10, /* that are written at once */
    LINE_MAX_BYTES = 1024,
    METHOD_BYTES = 16,
    CACHE_LINE_BYTES = 128,
};

struct entry {
    int64_t wall_ms;
    int64_t taken_us;
    unsigned status;
    char method[METHOD_BYTES];
    char host[ACCESS_LOG_HOST_BYTES];
    char path[ACCESS_LOG_PATH_BYTES];
};

/* Of one writing and one reading thread. Both numbers only rise. */
struct ring {
    alignas(CACHE_LINE_BYTES) atomic_size_t put; /* the answering thread's */
    alignas(CACHE_LINE_BYTES) atomic_size_t got; /* the log's */
    struct entry *entries;
};

struct access_log {
    char *path;
    int file; /* the thread's, once it runs */
    struct ring *rings;
    size_t ring_count;
    struct stop_event *stop;
    pthread_t thread;
    bool running;
    atomic_bool reopen;
    bool failing; /* said so; this and what follows are the thread's */
    struct buffer lines;
    size_t line_count;
};

/* ---- the answering threads ---- */

/* The path of a target, which may be followed by a query with a password in it. One in another form
 * than a path may have one before it. */
static void copy_path(const char *target, char out[ACCESS_LOG_PATH_BYTES])
{
    size_t length = target && *target == '/' ? strcspn(target, "?#") : 0;

    if (length == 0) {
        target = "-";
        length = 1;
    }
    if (length >= ACCESS_LOG_PATH_BYTES)
        length = ACCESS_LOG_PATH_BYTES - 1;
    memcpy(out, target, length);
    out[length] = '\0';
}

static void copy_text(char *out, size_t size, const char *text)
{
    size_t length = strnlen(text, size - 1);

    memcpy(out, text, length);
    out[length] = '\0';
}

void access_log_note(struct access_log *log, size_t number, const struct access_request *request)
{
    struct ring *ring = &log->rings[number];
    size_t put = atomic_load_explicit(&ring->put, memory_order_relaxed);

    if (put - atomic_load_explicit(&ring->got, memory_order_acquire) >= ACCESS_LOG_ENTRIES) {
        metrics_add(METRICS_ACCESS_DROPPED, 1);
        return;
    }
    struct entry *entry = &ring->entries[put % ACCESS_LOG_ENTRIES];
    entry->wall_ms = clock_wall_ms();
    entry->taken_us = request->taken_us;
    entry->status = request->status;
    copy_text(entry->method, sizeof entry->method, request->method);
    copy_text(entry->host, sizeof entry->host, request->host);
    copy_path(request->target, entry->path);
    atomic_store_explicit(&ring->put, put + 1, memory_order_release);
}

/* ---- the log's thread ---- */

static int open_file(const char *path)
{
    /* Not to wait for whoever reads from a pipe. */
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
}

static void say_failure(struct access_log *log, int number)
{
    if (number && !log->failing)
        log_line(LOG_ERROR, "directory", "cannot write the access log %s: %s", log->path,
                 strerrordesc_np(number));
    else if (!number && log->failing)
        log_line(LOG_INFO, "directory", "the access log is written again");
    log->failing = number != 0;
}

static void write_lines(struct access_log *log)
{
    size_t done = 0;
    int failure = 0;

    while (done < log->lines.length && !failure) {
        ssize_t written = write(log->file, log->lines.data + done, log->lines.length - done);
        if (written > 0)
            done += (size_t)written;
        else
            failure = written < 0 ? errno : EIO;
        if (failure == EINTR)
            failure = 0;
    }
    if (failure)
        metrics_add(METRICS_ACCESS_DROPPED, log->line_count);
    if (log->line_count > 0)
        say_failure(log, failure);
    buffer_clear(&log->lines);
    log->line_count = 0;
}

static void add_line(struct access_log *log, const struct entry *entry)
{
    time_t seconds = (time_t)(entry->wall_ms / 1000);
    char clean[3 * ACCESS_LOG_PATH_BYTES];
    char method[3 * METHOD_BYTES];
    char stamp[32];
    struct tm utc;

    gmtime_r(&seconds, &utc);
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    buffer_printf(&log->lines, "%s.%03dZ %s %u %" PRId64 ".%06d %s %s\n", stamp,
                  (int)(entry->wall_ms % 1000), entry->host, entry->status,
                  entry->taken_us / 1000000, (int)(entry->taken_us % 1000000),
                  text_clean(entry->method, method, sizeof method),
                  text_clean(entry->path, clean, sizeof clean));
    log->line_count++;
    if (log->lines.length > LINES_BYTES - LINE_MAX_BYTES)
        write_lines(log);
}

static void empty_ring(struct access_log *log, struct ring *ring)
{
    size_t got = atomic_load_explicit(&ring->got, memory_order_relaxed);
    size_t put = atomic_load_explicit(&ring->put, memory_order_acquire);

    for (; got != put; got++) {
        add_line(log, &ring->entries[got % ACCESS_LOG_ENTRIES]);
        atomic_store_explicit(&ring->got, got + 1, memory_order_release);
    }
}

static void open_again(struct access_log *log)
{
    int file = open_file(log->path);

    if (file < 0) {
        log_line(LOG_ERROR, "directory", "the access log stays as it was: %s: %s", log->path,
                 strerrordesc_np(errno));
        return;
    }
    close(log->file);
    log->file = file;
}

static void *run(void *context)
{
    struct access_log *log = context;
    bool stopping;

    do {
        stopping = stop_event_wait_ms(log->stop, LOOK_MS);
        for (size_t i = 0; i < log->ring_count; i++)
            empty_ring(log, &log->rings[i]);
        write_lines(log);
        if (atomic_exchange(&log->reopen, false))
            open_again(log);
    } while (!stopping);
    return NULL;
}

/* ---- the whole ---- */

enum error_code access_log_open(const char *path, size_t rings, struct access_log **log,
                                struct error *error)
{
    int file = open_file(path);

    if (file < 0)
        return error_set_errno(error, errno, "%s", path);
    struct access_log *made = memory_new(1, sizeof *made);
    made->path = memory_copy_string(path);
    made->file = file;
    made->stop = stop_event_new();
    buffer_init(&made->lines, LINES_BYTES);
    made->ring_count = rings;
    made->rings = aligned_alloc(CACHE_LINE_BYTES, rings * sizeof *made->rings);
    if (!made->rings)
        abort(); /* as memory_new does */
    memset(made->rings, 0, rings * sizeof *made->rings);
    for (size_t i = 0; i < rings; i++)
        made->rings[i].entries = memory_new(ACCESS_LOG_ENTRIES, sizeof *made->rings[i].entries);
    int failed = pthread_create(&made->thread, NULL, run, made);
    made->running = failed == 0;
    if (failed) {
        access_log_close(made);
        return error_set_errno(error, failed, "cannot start a thread");
    }
    *log = made;
    return ERROR_NONE;
}

void access_log_close(struct access_log *log)
{
    if (!log)
        return;
    stop_event_raise(log->stop);
    if (log->running)
        pthread_join(log->thread, NULL);
    for (size_t i = 0; i < log->ring_count; i++)
        free(log->rings[i].entries);
    free(log->rings);
    buffer_done(&log->lines);
    stop_event_free(log->stop);
    close(log->file);
    free(log->path);
    free(log);
}

void access_log_reopen(struct access_log *log)
{
    atomic_store(&log->reopen, true);
}
