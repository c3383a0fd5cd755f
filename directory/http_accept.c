#include "common/accept_trouble.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "directory/http_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BATCH = 64,     /* in one go, before those that are there are looked at again */
    STUCK_MS = 500, /* who has not come round for so long, when asked to, gets no connection */
    DESCRIPTORS_OF_OURS = 128,
};

struct http_dealt {
    struct http_dealt *next;
    int descriptor;
    socklen_t length;
    struct sockaddr_storage address;
};

size_t http_connection_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 512;
    rlim_t descriptors = limit.rlim_cur < (1 << 20) ? limit.rlim_cur : (1 << 20);
    return descriptors > 2 * DESCRIPTORS_OF_OURS ? descriptors - DESCRIPTORS_OF_OURS
                                                 : descriptors / 2;
}

/* ---- places ---- */

static bool take_place(struct http *http)
{
    if (atomic_fetch_add(&http->connection_count, 1) < http->connection_limit)
        return true;
    atomic_fetch_sub(&http->connection_count, 1);
    return false;
}

/* After a connection was accepted: a place that was taken to try for one is none. */
static void say_if_full(struct http_loop *loop)
{
    struct http *http = loop->http;

    if (atomic_load(&http->connection_count) >= http->connection_limit &&
        trouble_begins(&http->full, loop->now_ms))
        log_line(LOG_WARNING, "directory", "%zu connections are open, the next ones have to wait",
                 http->connection_limit);
}

void http_give_place(struct http_loop *loop)
{
    atomic_fetch_sub(&loop->share, 1);
    atomic_fetch_sub(&loop->http->connection_count, 1);
}

int http_pause_ms(const struct http_loop *loop)
{
    int64_t left_ms =
        atomic_load_explicit(&loop->http->paused_until_ms, memory_order_relaxed) - loop->now_ms;

    return left_ms <= 0 ? 0 : left_ms > ACCEPT_PAUSE_MS ? ACCEPT_PAUSE_MS : (int)left_ms;
}

bool http_may_accept(const struct http_loop *loop)
{
    const struct http *http = loop->http;

    return atomic_load_explicit(&http->connection_count, memory_order_relaxed) <
               http->connection_limit &&
           http_pause_ms(loop) == 0 && !atomic_load_explicit(&http->stopping, memory_order_relaxed);
}

static void pause_accepting(struct http_loop *loop, int errno_value)
{
    struct http *http = loop->http;

    if (trouble_begins(&http->exhausted, loop->now_ms))
        log_line(LOG_WARNING, "directory", "cannot accept connections, trying on: %s",
                 strerror(errno_value));
    atomic_store(&http->paused_until_ms, loop->now_ms + ACCEPT_PAUSE_MS);
}

/* ---- dealing ---- */

static bool is_stuck(struct http_loop *loop, int64_t now_ms)
{
    int64_t asked_ms = atomic_load_explicit(&loop->asked_ms, memory_order_relaxed);

    return asked_ms != 0 && now_ms - asked_ms > STUCK_MS;
}

/* The one with the fewest, but for those that do not come round. It has one more then. */
static struct http_loop *choose(struct http_loop *own)
{
    struct http *http = own->http;
    struct http_loop *chosen = own;

    pthread_mutex_lock(&http->dealing); /* or two that choose at once would choose the same */
    for (unsigned i = 0; i < http->loop_count; i++)
        if (atomic_load(&http->loops[i].share) < atomic_load(&chosen->share) &&
            !is_stuck(&http->loops[i], own->now_ms))
            chosen = &http->loops[i];
    atomic_fetch_add(&chosen->share, 1);
    pthread_mutex_unlock(&http->dealing);
    return chosen;
}

static void deal(struct http_loop *own, const struct http_dealt *accepted)
{
    struct http_dealt *dealt = memory_new(1, sizeof *dealt);
    struct http_loop *loop = choose(own);

    *dealt = *accepted;
    pthread_mutex_lock(&loop->lock);
    bool first = loop->dealt == NULL;
    dealt->next = loop->dealt;
    loop->dealt = dealt;
    pthread_mutex_unlock(&loop->lock);
    if (first && loop != own)
        eventfd_write(loop->wake, 1);
}

void http_accept_some(struct http_loop *loop)
{
    struct http *http = loop->http;

    for (int i = 0; i < BATCH && take_place(http); i++) {
        struct http_dealt accepted = {.length = sizeof accepted.address};

        accepted.descriptor = accept4(http->listener, (struct sockaddr *)&accepted.address,
                                      &accepted.length, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (accepted.descriptor >= 0) {
            deal(loop, &accepted);
            say_if_full(loop);
            continue;
        }
        atomic_fetch_sub(&http->connection_count, 1);
        if (accept_lost_one(errno))
            continue;
        if (errno != EAGAIN)
            pause_accepting(loop, errno);
        return;
    }
}

static struct http_dealt *take_dealt(struct http_loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    struct http_dealt *dealt = loop->dealt;
    loop->dealt = NULL;
    pthread_mutex_unlock(&loop->lock);
    return dealt;
}

void http_add_dealt(struct http_loop *loop)
{
    for (struct http_dealt *dealt = take_dealt(loop); dealt;) {
        struct http_dealt *next = dealt->next;
        size_t begun = loop->begun_count;

        /* Closes it where that fails, perhaps before there is an exchange. */
        MHD_add_connection(loop->daemon, dealt->descriptor, (struct sockaddr *)&dealt->address,
                           dealt->length);
        if (loop->begun_count == begun)
            http_give_place(loop);
        free(dealt);
        dealt = next;
    }
}

void http_drop_dealt(struct http_loop *loop)
{
    for (struct http_dealt *dealt = take_dealt(loop); dealt;) {
        struct http_dealt *next = dealt->next;

        close(dealt->descriptor);
        free(dealt);
        dealt = next;
    }
}
