#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/thread_order.h"
#include "directory/http_private.h"
#include "directory/listener.h"
#include "directory/metrics.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    SWEEP_MS = 1000,
    FLUSH_MS = 250, /* for sending what is answered when stopping */
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

static struct http_exchange *new_exchange(struct http_loop *loop, struct MHD_Connection *connection)
{
    struct http_exchange *exchange = memory_new(1, sizeof *exchange);

    /* libmicrohttpd, where its memory is its own, gives the connection what another loop's had
     * until it was unmapped; the thread sanitizer does not see the library's mmap and munmap. */
    thread_order_after(loop->http);
    exchange->loop = loop;
    exchange->connection = connection;
    exchange->descriptor =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    format_host(
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr,
        exchange->request.client_host);
    buffer_init(&exchange->target, HTTP_TARGET_MAX_BYTES);
    buffer_init(&exchange->body, HTTP_BODY_MAX_BYTES);
    http_set_phase(exchange, PHASE_HEAD);
    exchange->next = loop->exchanges;
    if (loop->exchanges)
        loop->exchanges->previous = exchange;
    loop->exchanges = exchange;
    loop->exchange_count++;
    loop->begun_count++;
    metrics_add(METRICS_CONNECTIONS_OPENED, 1);
    return exchange;
}

static void free_exchange(struct http_exchange *exchange)
{
    struct http_loop *loop = exchange->loop;

    if (exchange->previous)
        exchange->previous->next = exchange->next;
    else
        loop->exchanges = exchange->next;
    if (exchange->next)
        exchange->next->previous = exchange->previous;
    loop->exchange_count--;
    http_give_place(loop);
    metrics_add(METRICS_CONNECTIONS_CLOSED, 1);
    http_clear_request(exchange);
    buffer_done(&exchange->target);
    buffer_done(&exchange->body);
    thread_order_before(loop->http);
    free(exchange);
}

static void on_connection(void *context, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        *socket_context = new_exchange(context, connection);
    } else {
        free_exchange(*socket_context);
        *socket_context = NULL;
    }
}

static bool is_late(const struct http_exchange *exchange, int64_t now_ms)
{
    int64_t age_ms = now_ms - exchange->phase_since_ms;
    size_t bytes = exchange->body.length + exchange->discarded_bytes;

    switch (exchange->phase) {
    case PHASE_HEAD:
        return age_ms > HTTP_HEAD_MS;
    case PHASE_BODY:
        return age_ms > HTTP_BODY_MS + (int64_t)(bytes / (HTTP_BODY_BYTES_PER_S / 1000));
    case PHASE_HANDLED:
        break;
    }
    return false;
}

static void rest(const struct http_loop *loop)
{
    const struct http_settings *settings = &loop->http->settings;

    if (settings->thread_rest)
        settings->thread_rest(settings->context, loop->context);
}

/* Shuts the sockets of those that are too slow; libmicrohttpd then sees their end and closes. */
static void sweep(struct http_loop *loop)
{
    if (loop->now_ms - loop->swept_ms < SWEEP_MS)
        return;
    loop->swept_ms = loop->now_ms;
    rest(loop); /* under load the loop may never wait */
    for (struct http_exchange *exchange = loop->exchanges; exchange; exchange = exchange->next)
        if (is_late(exchange, loop->now_ms))
            shutdown(exchange->descriptor, SHUT_RDWR);
}

/* ---- loops ---- */

static bool must_rest(const struct http_loop *loop)
{
    const struct http_settings *settings = &loop->http->settings;

    return settings->thread_must_rest &&
           settings->thread_must_rest(settings->context, loop->context);
}

/* Says so before it waits, where somebody wants to know. */
static int wait_for_work(const struct http_loop *loop, struct pollfd *items, nfds_t count,
                         int limit_ms)
{
    if (limit_ms != 0 && must_rest(loop)) {
        int ready = poll(items, count, 0);
        if (ready != 0)
            return ready;
        rest(loop);
    }
    return poll(items, count, limit_ms);
}

static void run_once(struct http_loop *loop, int64_t limit_ms)
{
    struct pollfd items[] = {
        {.fd = loop->epoll, .events = POLLIN},
        {.fd = loop->wake, .events = POLLIN},
        {.fd = http_may_accept(loop) ? loop->http->listener : -1, .events = POLLIN}};
    int64_t pause_ms = http_pause_ms(loop);
    MHD_UNSIGNED_LONG_LONG wish_ms;
    eventfd_t ignored;

    if (loop->exchange_count > 0 && (limit_ms < 0 || limit_ms > SWEEP_MS))
        limit_ms = SWEEP_MS;
    if (pause_ms > 0 && (limit_ms < 0 || limit_ms > pause_ms))
        limit_ms = pause_ms;
    if (MHD_get_timeout(loop->daemon, &wish_ms) == MHD_YES &&
        (limit_ms < 0 || wish_ms < (unsigned long long)limit_ms))
        limit_ms = (int64_t)wish_ms;
    int ready = wait_for_work(loop, items, ARRAY_LENGTH(items), (int)limit_ms);
    loop->now_ms = clock_boot_ms();
    if (ready > 0 && items[1].revents)
        eventfd_read(loop->wake, &ignored);
    if (ready > 0 && items[2].revents)
        http_accept_some(loop);
    if (atomic_load_explicit(&loop->asked_ms, memory_order_relaxed))
        atomic_store_explicit(&loop->asked_ms, 0, memory_order_relaxed);
    http_add_dealt(loop);
    http_resume_answered(loop);
    send_batch_begin(loop->batch);
    MHD_run(loop->daemon);
    send_batch_end();
    sweep(loop);
}

static void *run_loop(void *context)
{
    struct http_loop *loop = context;

    while (!atomic_load_explicit(&loop->http->stopping, memory_order_relaxed))
        run_once(loop, -1);
    int64_t end_ms = clock_boot_ms() + FLUSH_MS;
    do
        run_once(loop, 10);
    while (loop->kept_count > 0 || (loop->sending_count > 0 && loop->now_ms < end_ms));
    MHD_stop_daemon(loop->daemon);
    loop->daemon = NULL;
    send_batch_free(loop->batch); /* here, for all loops at the same time */
    loop->batch = NULL;
    return NULL;
}

static enum error_code make_loop(struct http *http, struct http_loop *loop, struct error *error)
{
    const struct http_settings *settings = &http->settings;

    loop->http = http;
    loop->now_ms = clock_boot_ms();
    pthread_mutex_init(&loop->lock, NULL);
    loop->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->wake < 0)
        return error_set_errno(error, errno, "cannot make an eventfd");
    loop->batch = send_batch_new();
    enum error_code code = settings->thread_begin(settings->context, &loop->context, error);
    if (code)
        return code;
    loop->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL,
        http_on_request, loop, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_CONNECTION_BYTES,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)http->connection_limit,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)(HTTP_HEAD_MS / 1000), MHD_OPTION_URI_LOG_CALLBACK,
        http_take_target, loop, MHD_OPTION_UNESCAPE_CALLBACK, http_leave_encoded, NULL,
        MHD_OPTION_NOTIFY_COMPLETED, http_on_completed, NULL, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, loop, MHD_OPTION_END);
    if (!loop->daemon)
        return error_set(error, ERROR_IO, "libmicrohttpd does not start");
    loop->epoll = MHD_get_daemon_info(loop->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    return ERROR_NONE;
}

static enum error_code start_loop(struct http_loop *loop, struct error *error)
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
    made->connection_limit = http_connection_limit();
    pthread_mutex_init(&made->dealing, NULL);
    made->loops = memory_new(settings->threads, sizeof *made->loops);
    enum error_code code = listener_open(&settings->listen, &made->listener, &made->address, error);
    for (unsigned i = 0; i < settings->threads && !code; i++) {
        made->loop_count++;
        code = make_loop(made, &made->loops[i], error);
    }
    if (!code && !made->loops[0].batch)
        log_line(LOG_INFO, "directory", "each reply is sent by itself: io_submit is not available");
    /* Each deals to all. */
    for (unsigned i = 0; i < made->loop_count && !code; i++)
        code = start_loop(&made->loops[i], error);
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
        int64_t asked_ms = atomic_load_explicit(&loop->asked_ms, memory_order_relaxed);
        if (asked_ms == 0) {
            atomic_store_explicit(&loop->asked_ms, now_ms, memory_order_relaxed);
            eventfd_write(loop->wake, 1);
        } else if (now_ms - asked_ms > longest_ms) {
            longest_ms = now_ms - asked_ms;
        }
    }
    return longest_ms;
}

static void end_loop(struct http *http, struct http_loop *loop)
{
    if (loop->daemon)
        MHD_stop_daemon(loop->daemon);
    if (loop->context)
        http->settings.thread_end(http->settings.context, loop->context);
    http_drop_dealt(loop);
    send_batch_free(loop->batch);
    close(loop->wake);
    pthread_mutex_destroy(&loop->lock);
}

void http_stop(struct http *http)
{
    if (!http)
        return;
    atomic_store(&http->stopping, true);
    for (unsigned i = 0; i < http->loop_count; i++)
        eventfd_write(http->loops[i].wake, 1);
    for (unsigned i = 0; i < http->loop_count; i++)
        if (http->loops[i].running)
            pthread_join(http->loops[i].thread, NULL);
    for (unsigned i = 0; i < http->loop_count; i++)
        end_loop(http, &http->loops[i]);
    if (http->listener >= 0)
        close(http->listener);
    pthread_mutex_destroy(&http->dealing);
    free(http->loops);
    free(http);
}
