#include "common/clock.h"
#include "common/memory.h"
#include "directory/http_private.h"
#include "directory/listener.h"
#include "directory/metrics.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    SWEEP_MS = 1000,
    FULL_MS = 100,  /* between two looks whether there is room for more connections */
    FLUSH_MS = 250, /* for sending what is answered when stopping */
    DESCRIPTORS_OF_OURS = 128,
    EVENTS_AT_ONCE = 128,
    ACCEPTS_AT_ONCE = 16,
    STEPS_AT_ONCE = 48, /* of one connection: then it is the others' turn */
    DROP_BYTES = 16 << 10,
};

const struct address *http_address(const struct http *http)
{
    return &http->address;
}

/* ---- connections ---- */

static void format_host(const struct sockaddr *address, char out[HTTP_HOST_BYTES])
{
    const struct sockaddr_in6 *six = (const void *)address;
    const struct sockaddr_in *four = (const void *)address;

    out[0] = '\0';
    if (address->sa_family == AF_INET)
        inet_ntop(AF_INET, &four->sin_addr, out, HTTP_HOST_BYTES);
    else if (address->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
        inet_ntop(AF_INET, six->sin6_addr.s6_addr + 12, out, HTTP_HOST_BYTES);
    else if (address->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &six->sin6_addr, out, HTTP_HOST_BYTES);
}

static void close_exchange(struct http_exchange *exchange)
{
    struct http_loop *loop = exchange->loop;

    if (exchange->previous)
        exchange->previous->next = exchange->next;
    else
        loop->exchanges = exchange->next;
    if (exchange->next)
        exchange->next->previous = exchange->previous;
    atomic_fetch_sub(&loop->exchange_count, 1);
    metrics_add(METRICS_CONNECTIONS_CLOSED, 1);
    http_clear_request(exchange);
    free(exchange->in.data);
    close(exchange->descriptor);
    free(exchange);
}

/* Has the loop told of these events, and of errors, until it is called again. */
static bool watch(struct http_exchange *exchange, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = exchange};

    if (exchange->is_watched && exchange->watched == events)
        return true;
    int order = exchange->is_watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    exchange->is_watched =
        epoll_ctl(exchange->loop->epoll, order, exchange->descriptor, &event) == 0;
    exchange->watched = events;
    return exchange->is_watched;
}

/* Not even of errors. */
static void unwatch(struct http_exchange *exchange)
{
    epoll_ctl(exchange->loop->epoll, EPOLL_CTL_DEL, exchange->descriptor, NULL);
    exchange->is_watched = false;
}

static enum http_step step(struct http_exchange *exchange)
{
    switch (exchange->phase) {
    case PHASE_HEAD:
        return http_read_head(exchange);
    case PHASE_BODY:
        return http_read_body(exchange);
    case PHASE_SENDING:
        return http_send(exchange);
    case PHASE_LINGER:
        return STEP_READ;
    case PHASE_KEPT:
        break;
    }
    return STEP_WAIT;
}

void http_advance(struct http_exchange *exchange)
{
    enum http_step next = STEP_ON;
    bool fine = true;

    for (unsigned steps = 0; next == STEP_ON && steps < STEPS_AT_ONCE; steps++)
        next = step(exchange);
    if (next == STEP_READ)
        fine = watch(exchange, EPOLLIN);
    else if (next == STEP_WRITE || next == STEP_ON) /* the latter is told at once, in its turn */
        fine = watch(exchange, EPOLLOUT);
    if (next == STEP_CLOSE || !fine)
        close_exchange(exchange);
}

/* False: the client has seen our end. */
static bool drop_input(struct http_exchange *exchange)
{
    char dropped[DROP_BYTES];
    ssize_t length = recv(exchange->descriptor, dropped, sizeof dropped, 0);

    return length > 0 || (length < 0 && (errno == EAGAIN || errno == EINTR));
}

static void on_event(struct http_exchange *exchange, uint32_t events)
{
    bool fine = true;

    if (exchange->phase == PHASE_KEPT) {
        if (events & (EPOLLHUP | EPOLLERR) || !watch(exchange, 0))
            unwatch(exchange);
        return;
    }
    if (exchange->phase == PHASE_LINGER)
        fine = drop_input(exchange);
    else if (exchange->phase != PHASE_SENDING && exchange->watched == EPOLLIN)
        fine = http_receive(exchange);
    if (fine)
        http_advance(exchange);
    else
        close_exchange(exchange);
}

/* ---- deadlines ---- */

static bool is_late(const struct http_exchange *exchange, int64_t now_ms)
{
    int64_t age_ms = now_ms - exchange->phase_since_ms;
    size_t bytes = exchange->body.length + exchange->discarded_bytes;

    switch (exchange->phase) {
    case PHASE_HEAD:
        return age_ms > HTTP_HEAD_MS;
    case PHASE_BODY:
        return age_ms > HTTP_BODY_MS + (int64_t)(bytes / (HTTP_BODY_BYTES_PER_S / 1000));
    case PHASE_SENDING:
        return age_ms > HTTP_HEAD_MS;
    case PHASE_LINGER:
        return age_ms > HTTP_LINGER_MS;
    case PHASE_KEPT:
        break;
    }
    return false;
}

static void sweep(struct http_loop *loop)
{
    struct http_exchange *next;

    if (loop->now_ms - loop->swept_ms < SWEEP_MS)
        return;
    loop->swept_ms = loop->now_ms;
    for (struct http_exchange *exchange = loop->exchanges; exchange; exchange = next) {
        next = exchange->next;
        if (is_late(exchange, loop->now_ms))
            close_exchange(exchange);
    }
}

/* ---- new connections ---- */

static void listen_or_not(struct http_loop *loop, bool wanted)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.ptr = loop->http};

    if (loop->is_listening == wanted)
        return;
    if (epoll_ctl(loop->epoll, wanted ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, loop->http->listener,
                  &event) == 0)
        loop->is_listening = wanted;
}

static struct http_loop *idlest_loop(struct http_loop *loop)
{
    struct http *http = loop->http;
    struct http_loop *idlest = loop;

    for (unsigned i = 0; i < http->loop_count; i++)
        if (atomic_load(&http->loops[i].exchange_count) < atomic_load(&idlest->exchange_count))
            idlest = &http->loops[i];
    return idlest;
}

static void add_exchange(struct http_loop *loop, struct http_exchange *exchange)
{
    exchange->next = loop->exchanges;
    if (loop->exchanges)
        loop->exchanges->previous = exchange;
    loop->exchanges = exchange;
    http_set_phase(exchange, PHASE_HEAD);
    if (!watch(exchange, EPOLLIN))
        close_exchange(exchange);
}

static void give_exchange(struct http_loop *loop, struct http_exchange *exchange)
{
    pthread_mutex_lock(&loop->lock);
    bool first = loop->accepted == NULL;
    exchange->next_given = loop->accepted;
    loop->accepted = exchange;
    pthread_mutex_unlock(&loop->lock);
    if (first)
        eventfd_write(loop->wake, 1);
}

static void take_accepted(struct http_loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    struct http_exchange *exchange = loop->accepted;
    loop->accepted = NULL;
    pthread_mutex_unlock(&loop->lock);
    while (exchange) {
        struct http_exchange *next = exchange->next_given;
        add_exchange(loop, exchange);
        exchange = next;
    }
}

static void begin_exchange(struct http_loop *loop, int descriptor, const struct sockaddr *address)
{
    struct http_exchange *exchange = memory_new(1, sizeof *exchange);
    struct http_loop *home = idlest_loop(loop);
    int one = 1;

    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    exchange->loop = home;
    exchange->descriptor = descriptor;
    format_host(address, exchange->request.client_host);
    buffer_init(&exchange->body, HTTP_BODY_MAX_BYTES);
    atomic_fetch_add(&home->exchange_count, 1);
    metrics_add(METRICS_CONNECTIONS_OPENED, 1);
    if (home == loop)
        add_exchange(loop, exchange);
    else
        give_exchange(home, exchange);
}

/* For a while: connections wait in the system's queue until some of ours have ended. */
static void stop_listening(struct http_loop *loop)
{
    listen_or_not(loop, false);
    loop->full_since_ms = loop->now_ms;
}

static void accept_some(struct http_loop *loop)
{
    struct http *http = loop->http;

    for (unsigned i = 0; i < ACCEPTS_AT_ONCE; i++) {
        struct sockaddr_storage address = {0};
        socklen_t length = sizeof address;
        if (atomic_load(&loop->exchange_count) >= http->connection_limit) {
            stop_listening(loop);
            return;
        }
        int descriptor = accept4(http->listener, (struct sockaddr *)&address, &length,
                                 SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (descriptor < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
                stop_listening(loop);
            return;
        }
        begin_exchange(loop, descriptor, (const struct sockaddr *)&address);
    }
}

/* ---- loops ---- */

/* The thread says so before it waits. */
static int wait_for_work(struct http_loop *loop, struct epoll_event *events, int limit_ms)
{
    const struct http_settings *settings = &loop->http->settings;
    int count = epoll_wait(loop->epoll, events, EVENTS_AT_ONCE, 0);

    if (count != 0 || limit_ms == 0)
        return count;
    if (settings->thread_rest)
        settings->thread_rest(settings->context, loop->context);
    return epoll_wait(loop->epoll, events, EVENTS_AT_ONCE, limit_ms);
}

static void run_once(struct http_loop *loop, int limit_ms)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    eventfd_t ignored;

    if (limit_ms < 0 && !loop->is_listening)
        limit_ms = FULL_MS;
    else if (limit_ms < 0 && atomic_load(&loop->exchange_count) > 0)
        limit_ms = SWEEP_MS;
    int count = wait_for_work(loop, events, limit_ms);
    loop->now_ms = clock_boot_ms();
    if (atomic_load_explicit(&loop->asked, memory_order_relaxed))
        atomic_store_explicit(&loop->asked, false, memory_order_relaxed);
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr == loop)
            eventfd_read(loop->wake, &ignored);
        else if (events[i].data.ptr == loop->http)
            accept_some(loop);
        else
            on_event(events[i].data.ptr, events[i].events);
    }
    take_accepted(loop);
    http_resume_answered(loop);
    sweep(loop);
    if (!loop->is_listening && !atomic_load_explicit(&loop->http->stopping, memory_order_relaxed) &&
        loop->now_ms - loop->full_since_ms >= FULL_MS)
        listen_or_not(loop, true);
}

static void *run_loop(void *context)
{
    struct http_loop *loop = context;

    while (!atomic_load_explicit(&loop->http->stopping, memory_order_relaxed))
        run_once(loop, -1);
    listen_or_not(loop, false);
    int64_t end_ms = clock_boot_ms() + FLUSH_MS;
    do
        run_once(loop, 10);
    while (loop->kept_count > 0 || (loop->sending_count > 0 && loop->now_ms < end_ms));
    return NULL;
}

static unsigned connection_limit(unsigned threads)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 512;
    rlim_t descriptors = limit.rlim_cur < (1 << 20) ? limit.rlim_cur : (1 << 20);
    rlim_t usable =
        descriptors > 2 * DESCRIPTORS_OF_OURS ? descriptors - DESCRIPTORS_OF_OURS : descriptors / 2;
    return (unsigned)(usable / threads) + 1;
}

static enum error_code start_loop(struct http *http, struct http_loop *loop, struct error *error)
{
    const struct http_settings *settings = &http->settings;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = loop};

    loop->http = http;
    loop->now_ms = clock_boot_ms();
    pthread_mutex_init(&loop->lock, NULL);
    loop->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    enum error_code code = settings->thread_begin(settings->context, &loop->context, error);
    if (code)
        return code;
    if (loop->wake < 0 || loop->epoll < 0 ||
        epoll_ctl(loop->epoll, EPOLL_CTL_ADD, loop->wake, &event) < 0)
        return error_set_errno(error, errno, "cannot wait for connections");
    listen_or_not(loop, true);
    return ERROR_NONE;
}

static enum error_code start_thread(struct http_loop *loop, struct error *error)
{
    int failed = pthread_create(&loop->thread, NULL, run_loop, loop);

    if (failed)
        return error_set_errno(error, failed, "cannot start a thread");
    loop->running = true;
    return ERROR_NONE;
}

enum error_code http_start(const struct http_settings *settings, struct http **http,
                           struct error *error)
{
    struct http *made = memory_new(1, sizeof *made);

    made->settings = *settings;
    made->listener = -1;
    made->connection_limit = connection_limit(settings->threads);
    made->loops = memory_new(settings->threads, sizeof *made->loops);
    enum error_code code = listener_open(&settings->listen, &made->listener, &made->address, error);
    for (unsigned i = 0; i < settings->threads && !code; i++) {
        made->loop_count++;
        code = start_loop(made, &made->loops[i], error);
    }
    for (unsigned i = 0; i < settings->threads && !code; i++)
        code = start_thread(&made->loops[i], error);
    if (code) {
        http_stop(made);
        return code;
    }
    *http = made;
    return ERROR_NONE;
}

int64_t http_check_ms(struct http *http)
{
    int64_t now_ms = clock_boot_ms();
    int64_t longest_ms = 0;

    for (unsigned i = 0; i < http->loop_count; i++) {
        struct http_loop *loop = &http->loops[i];
        if (!atomic_load_explicit(&loop->asked, memory_order_relaxed)) {
            loop->asked_at_ms = now_ms;
            atomic_store_explicit(&loop->asked, true, memory_order_relaxed);
            eventfd_write(loop->wake, 1);
        } else if (now_ms - loop->asked_at_ms > longest_ms) {
            longest_ms = now_ms - loop->asked_at_ms;
        }
    }
    return longest_ms;
}

/* All threads have ended: a connection may have been given to one that had. */
static void end_loop(struct http *http, struct http_loop *loop)
{
    take_accepted(loop);
    while (loop->exchanges)
        close_exchange(loop->exchanges);
    free(loop->spare);
    if (loop->context)
        http->settings.thread_end(http->settings.context, loop->context);
    if (loop->wake >= 0)
        close(loop->wake);
    if (loop->epoll >= 0)
        close(loop->epoll);
    pthread_mutex_destroy(&loop->lock);
}

void http_stop(struct http *http)
{
    if (!http)
        return;
    atomic_store(&http->stopping, true);
    for (unsigned i = 0; i < http->loop_count; i++) {
        struct http_loop *loop = &http->loops[i];
        if (!loop->running)
            continue;
        eventfd_write(loop->wake, 1);
        pthread_join(loop->thread, NULL);
    }
    for (unsigned i = 0; i < http->loop_count; i++)
        end_loop(http, &http->loops[i]);
    if (http->listener >= 0)
        close(http->listener);
    free(http->loops);
    free(http);
}
