#include "peer/rpc/acceptor.h"

#include "common/accept_trouble.h"
#include "common/address.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/stop_event.h"
#include "peer/rpc/greeting.h"
#include "peer/rpc/listener.h"
#include "peer/rpc/unseen.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define MODULE "rpc"

/* A client sends its greeting at once; slow lines take a few seconds. */
#define GREETING_MS 15000

/* How often those that are late are looked for, while any is silent. */
#define LATE_INTERVAL_MS 1000

/* Accepted in one go, before those that have greeted are looked at again. */
#define ACCEPT_BATCH 64

#define EVENTS_MAX 64

/* No more will come. */
#define OVER (EPOLLRDHUP | EPOLLHUP | EPOLLERR)

enum trouble_kind { TROUBLE_SYSTEM, TROUBLE_FULL, TROUBLE_HOST_FULL, TROUBLES };

/* The thread's alone while it runs, but for connections. */
struct acceptor {
    struct acceptor_options options;
    char *address; /* for texts */
    struct listener listener;
    struct connections *connections;
    struct stop_event *stop;
    int epoll;
    pthread_t thread;
    bool running;

    bool paused;
    int64_t paused_until_ms;
    int64_t late_look_ms;
    struct trouble troubles[TROUBLES];
};

static bool is_news(struct acceptor *acceptor, enum trouble_kind kind)
{
    return trouble_begins(&acceptor->troubles[kind], clock_boot_ms());
}

static bool is_listener(const struct acceptor *acceptor, int descriptor)
{
    for (size_t i = 0; i < acceptor->listener.count; i++)
        if (acceptor->listener.sockets[i] == descriptor)
            return true;
    return false;
}

static int watch(const struct acceptor *acceptor, int operation, int descriptor, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = descriptor};

    return unseen(epoll_ctl(acceptor->epoll, operation, descriptor, &event));
}

/* ---- accepting ---- */

static void watch_listeners(struct acceptor *acceptor, bool on)
{
    for (size_t i = 0; i < acceptor->listener.count; i++)
        (void)watch(acceptor, EPOLL_CTL_MOD, acceptor->listener.sockets[i], on ? EPOLLIN : 0);
}

static void pause_accepting(struct acceptor *acceptor, int errno_value)
{
    if (is_news(acceptor, TROUBLE_SYSTEM))
        log_line(LOG_WARNING, MODULE, "%s: cannot accept connections, trying on: %s",
                 acceptor->address, strerror(errno_value));
    watch_listeners(acceptor, false);
    acceptor->paused = true;
    acceptor->paused_until_ms = clock_boot_ms() + ACCEPT_PAUSE_MS;
}

static void go_on_accepting(struct acceptor *acceptor)
{
    if (!acceptor->paused || clock_boot_ms() < acceptor->paused_until_ms)
        return;
    acceptor->paused = false;
    watch_listeners(acceptor, true);
}

static void refuse(struct acceptor *acceptor, enum admission admission,
                   const struct sockaddr_storage *address)
{
    struct connection_limits limits = connections_limits(acceptor->connections);
    char name[PEER_NAME_BYTES];

    if (admission == ADMISSION_FULL && is_news(acceptor, TROUBLE_FULL))
        log_line(LOG_WARNING, MODULE, "%s: %zu connections are open, no more are taken",
                 acceptor->address, limits.total);
    if (admission == ADMISSION_HOST_FULL && is_news(acceptor, TROUBLE_HOST_FULL))
        log_line(LOG_WARNING, MODULE,
                 "%s: %zu connections of one host are open, no more of it are taken: %s",
                 acceptor->address, limits.host, peer_name_format(address, name));
}

static void make_way(const struct displaced *displaced)
{
    if (displaced->silent)
        close(displaced->descriptor);
    else if (displaced->descriptor >= 0)
        connection_end(displaced);
}

static void take_in(struct acceptor *acceptor, int accepted, const struct sockaddr_storage *address)
{
    auto_close int descriptor = accepted;
    int64_t now_ms = clock_boot_ms();
    struct displaced displaced;
    enum admission admission = connections_admit(acceptor->connections, descriptor, address, now_ms,
                                                 now_ms + GREETING_MS, &displaced);

    make_way(&displaced);
    if (admission != ADMISSION_GRANTED)
        refuse(acceptor, admission, address);
    /* Edges: bytes that stay in the socket until the greeting is whole are told of once. */
    else if (watch(acceptor, EPOLL_CTL_ADD, descriptor, EPOLLIN | EPOLLRDHUP | EPOLLET) != 0)
        connections_drop(acceptor->connections, descriptor);
    else
        (void)take_descriptor(&descriptor);
}

static void accept_some(struct acceptor *acceptor, int listener)
{
    for (int i = 0; i < ACCEPT_BATCH && !acceptor->paused; i++) {
        struct sockaddr_storage address = {0};
        socklen_t length = sizeof address;
        int descriptor = unseen_accept4(listener, (struct sockaddr *)&address, &length,
                                        SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (descriptor >= 0)
            take_in(acceptor, descriptor, &address);
        else if (errno == EAGAIN)
            return;
        else if (!accept_lost_one(errno))
            pause_accepting(acceptor, errno);
    }
}

/* ---- silent connections ---- */

static enum greeting read_greeting(int descriptor)
{
    uint8_t head[GREETING_HEAD_BYTES];
    ssize_t got = unseen(recv(descriptor, head, sizeof head, MSG_PEEK | MSG_DONTWAIT));
    int bytes = 0;

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return GREETING_PART;
    if (got <= 0 || ioctl(descriptor, FIONREAD, &bytes) != 0)
        return GREETING_WRONG;
    return greeting_check(head, (size_t)got, (size_t)bytes);
}

/* The event may be of another connection, which was closed since and whose number this one got. */
static bool is_over(int descriptor)
{
    struct pollfd item = {.fd = descriptor, .events = POLLRDHUP};

    return poll(&item, 1, 0) > 0;
}

/* Says good-bye by closing only: who sends what is no greeting does not know HTTP/2's. */
static void listen_to(struct acceptor *acceptor, int descriptor, uint32_t events)
{
    enum greeting greeting;

    if (!connections_is_silent(acceptor->connections, descriptor))
        return; /* it was closed since the event came */
    greeting = read_greeting(descriptor);
    if (greeting == GREETING_PART && !(events & OVER && is_over(descriptor)))
        return;
    if (greeting == GREETING_WHOLE) {
        (void)watch(acceptor, EPOLL_CTL_DEL, descriptor, 0);
        connections_greeted(acceptor->connections, descriptor, clock_boot_ms());
        acceptor->options.hand_over(acceptor->options.context, descriptor);
        return;
    }
    connections_drop(acceptor->connections, descriptor);
    close(descriptor);
}

static void close_late(struct acceptor *acceptor, int64_t now_ms)
{
    int descriptor;

    while ((descriptor = connections_take_late(acceptor->connections, now_ms)) >= 0)
        close(descriptor);
}

static void close_late_now_and_then(struct acceptor *acceptor)
{
    int64_t now_ms = clock_boot_ms();

    if (now_ms - acceptor->late_look_ms < LATE_INTERVAL_MS)
        return;
    acceptor->late_look_ms = now_ms;
    close_late(acceptor, now_ms);
}

/* ---- the thread ---- */

static int wait_ms(struct acceptor *acceptor)
{
    if (acceptor->paused)
        return ACCEPT_PAUSE_MS;
    return connections_silent(acceptor->connections) > 0 ? LATE_INTERVAL_MS : -1;
}

static void *run(void *argument)
{
    struct acceptor *acceptor = argument;
    struct epoll_event events[EVENTS_MAX];

    while (!stop_event_raised(acceptor->stop)) {
        int count = epoll_wait(acceptor->epoll, events, EVENTS_MAX, wait_ms(acceptor));

        for (int i = 0; i < count; i++) {
            int descriptor = events[i].data.fd;

            if (is_listener(acceptor, descriptor))
                accept_some(acceptor, descriptor);
            else
                listen_to(acceptor, descriptor, events[i].events);
        }
        go_on_accepting(acceptor);
        close_late_now_and_then(acceptor);
    }
    return NULL;
}

/* With the port that was taken. */
static char *address_text(const char *wanted, uint16_t port)
{
    struct address address;
    char text[ADDRESS_TEXT_BYTES];

    if (listener_is_unix(wanted) || address_parse(wanted, true, &address, NULL))
        return memory_copy_string(wanted);
    address.port = port;
    return memory_copy_string(address_format(&address, text));
}

enum error_code acceptor_open(const struct acceptor_options *options, struct acceptor **acceptor,
                              struct error *error)
{
    struct listener listener;
    enum error_code code = listener_open(options->address, &listener, error);
    struct acceptor *made;

    if (code)
        return code;
    made = memory_new(1, sizeof *made);
    made->options = *options;
    made->listener = listener;
    made->epoll = -1;
    made->address = address_text(options->address, listener.port);
    made->connections = connections_new(options->limits);
    made->stop = stop_event_new();
    *acceptor = made;
    return ERROR_NONE;
}

enum error_code acceptor_start(struct acceptor *acceptor, struct error *error)
{
    int wake = stop_event_descriptor(acceptor->stop);
    int result;

    if (wake < 0)
        return error_set_errno(error, EMFILE, "cannot wait for connections");
    acceptor->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (acceptor->epoll < 0 || watch(acceptor, EPOLL_CTL_ADD, wake, EPOLLIN) != 0)
        return error_set_errno(error, errno, "cannot wait for connections");
    for (size_t i = 0; i < acceptor->listener.count; i++)
        if (watch(acceptor, EPOLL_CTL_ADD, acceptor->listener.sockets[i], EPOLLIN) != 0)
            return error_set_errno(error, errno, "cannot wait for connections");
    result = pthread_create(&acceptor->thread, NULL, run, acceptor);
    if (result)
        return error_set_errno(error, result, "cannot start a thread");
    pthread_setname_np(acceptor->thread, "acceptor");
    acceptor->running = true;
    return ERROR_NONE;
}

void acceptor_stop(struct acceptor *acceptor)
{
    stop_event_raise(acceptor->stop);
    if (acceptor->running)
        pthread_join(acceptor->thread, NULL);
    acceptor->running = false;
    listener_close(&acceptor->listener);
    close_late(acceptor, INT64_MAX);
    if (acceptor->epoll >= 0)
        close(acceptor->epoll);
    acceptor->epoll = -1;
}

void acceptor_free(struct acceptor *acceptor)
{
    if (!acceptor)
        return;
    acceptor_stop(acceptor);
    stop_event_free(acceptor->stop);
    connections_free(acceptor->connections);
    free(acceptor->address);
    free(acceptor);
}

uint16_t acceptor_port(const struct acceptor *acceptor)
{
    return acceptor->listener.port;
}

struct connections *acceptor_connections(const struct acceptor *acceptor)
{
    return acceptor->connections;
}
