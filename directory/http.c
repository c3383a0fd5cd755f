#include "directory/http.h"

#include "common/clock.h"
#include "common/memory.h"
#include "common/thread_order.h"
#include "directory/listener.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    SWEEP_MS = 1000,
    FLUSH_MS = 250,          /* for sending what is answered when stopping */
    STREAM_BYTES = 16 << 10, /* one piece of a streamed body */
    DISCARD_TIMES = 4,       /* a body this many times over the cap is not even read */
    KEEP_BYTES = 4096,       /* of a connection's target between requests */
    DESCRIPTORS_OF_OURS = 128,
};

enum phase {
    PHASE_HEAD, /* waiting for a request, or for the rest of its head */
    PHASE_BODY,
    PHASE_HANDLED, /* a handler has it, or its reply is on its way */
};

struct loop;

/* One connection and its current request. All fields are the loop thread's, but while a handler has
 * kept the exchange: then request is the keeper's and reply is filled by http_answer. */
struct http_exchange {
    struct loop *loop;
    struct MHD_Connection *connection;
    struct http_exchange *previous, *next; /* the loop's list of all */
    struct http_exchange *next_answered;   /* guarded by the loop's lock */
    enum phase phase;
    int64_t phase_since_ms;
    int descriptor;
    bool kept, resumed, sending;
    bool first_call_done;

    struct http_request request;
    struct buffer target;
    struct buffer body;
    size_t charged_bytes; /* of the body, to http->body_bytes */
    size_t discarded_bytes;
    struct http_reply reply;
};

struct loop {
    struct http *http;
    struct MHD_Daemon *daemon;
    pthread_t thread;
    bool running;
    void *context; /* what thread_begin made */
    int epoll;
    int wake;
    int64_t now_ms;
    int64_t swept_ms;
    struct http_exchange *exchanges;
    size_t exchange_count;
    size_t kept_count;
    size_t sending_count;
    pthread_mutex_t lock;
    struct http_exchange *answered; /* guarded by lock */
};

struct http {
    struct http_settings settings;
    struct address address;
    int listener;
    atomic_size_t body_bytes;
    atomic_bool stopping;
    struct loop *loops;
    unsigned loop_count;
};

struct http_request *http_request(struct http_exchange *exchange)
{
    return &exchange->request;
}

const struct address *http_address(const struct http *http)
{
    return &http->address;
}

/* ---- replies ---- */

static ssize_t read_stream(void *context, uint64_t position, char *out, size_t size)
{
    struct http_reply *reply = context;

    (void)position;
    long length = reply->stream(reply->stream_context, out, size);
    if (length > 0)
        return (ssize_t)length;
    return length == 0 ? MHD_CONTENT_READER_END_OF_STREAM : MHD_CONTENT_READER_END_WITH_ERROR;
}

static void free_stream(void *context)
{
    struct http_reply *reply = context;

    reply->stream_free(reply->stream_context);
    free(reply);
}

static struct MHD_Response *make_response(struct http_reply *reply)
{
    struct MHD_Response *response;

    if (reply->stream) {
        struct http_reply *kept = memory_new(1, sizeof *kept);
        *kept = *reply;
        response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BYTES, read_stream,
                                                     kept, free_stream);
        if (!response)
            free(kept);
    } else {
        size_t length = reply->body.length;
        char *body = buffer_take(&reply->body);
        response = MHD_create_response_from_buffer(length, body, MHD_RESPMEM_MUST_FREE);
        if (!response)
            free(body);
    }
    if (!response)
        return NULL; /* no memory: the connection is closed */
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
    if (reply->allow)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, reply->allow);
    if (reply->close)
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    return response;
}

static enum MHD_Result send_reply(struct http_exchange *exchange)
{
    struct MHD_Response *response = make_response(&exchange->reply);
    enum MHD_Result result = MHD_NO;

    if (response) {
        exchange->reply = (struct http_reply){.status = exchange->reply.status};
        exchange->sending = true;
        exchange->loop->sending_count++;
        result = MHD_queue_response(exchange->connection, exchange->reply.status, response);
        MHD_destroy_response(response);
    }
    return result;
}

/* A client that is gone when its answer comes leaves it unsent. */
static void drop_reply(struct http_reply *reply)
{
    buffer_done(&reply->body);
    if (reply->stream)
        reply->stream_free(reply->stream_context);
    *reply = (struct http_reply){0};
}

void http_answer(struct http_exchange *exchange, const struct http_reply *reply)
{
    struct loop *loop = exchange->loop;

    exchange->reply = *reply;
    pthread_mutex_lock(&loop->lock);
    bool first = loop->answered == NULL;
    exchange->next_answered = loop->answered;
    loop->answered = exchange;
    pthread_mutex_unlock(&loop->lock);
    /* One wake for all that are answered before the loop comes round. */
    if (first)
        eventfd_write(loop->wake, 1);
}

static void resume_answered(struct loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    struct http_exchange *exchange = loop->answered;
    loop->answered = NULL;
    pthread_mutex_unlock(&loop->lock);
    while (exchange) {
        struct http_exchange *next = exchange->next_answered;
        exchange->resumed = true;
        loop->kept_count--;
        MHD_resume_connection(exchange->connection);
        exchange = next;
    }
}

/* ---- requests ---- */

static void set_phase(struct http_exchange *exchange, enum phase phase)
{
    exchange->phase = phase;
    exchange->phase_since_ms = exchange->loop->now_ms;
}

static void drop_body(struct http_exchange *exchange)
{
    buffer_done(&exchange->body);
    atomic_fetch_sub(&exchange->loop->http->body_bytes, exchange->charged_bytes);
    exchange->charged_bytes = 0;
}

/* Makes the exchange ready for the connection's next request. */
static void clear_request(struct http_exchange *exchange)
{
    drop_body(exchange);
    drop_reply(&exchange->reply);
    exchange->loop->sending_count -= exchange->sending;
    if (exchange->target.capacity > KEEP_BYTES)
        buffer_done(&exchange->target);
    buffer_clear(&exchange->target);
    exchange->discarded_bytes = 0;
    exchange->kept = exchange->resumed = exchange->sending = exchange->first_call_done = false;
    exchange->request.refused = ERROR_NONE;
    exchange->request.target_too_long = false;
    set_phase(exchange, PHASE_HEAD);
}

/* libmicrohttpd calls this with the target before it takes it apart. What is returned is given to
 * every later call of the same request. */
static void *take_target(void *context, const char *target, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct http_exchange *exchange = info->socket_context;

    (void)context;
    buffer_clear(&exchange->target);
    buffer_append_string(&exchange->target, target ? target : "");
    return exchange;
}

/* We decode ourselves: libmicrohttpd lets broken encoding through. */
static size_t leave_encoded(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context;
    (void)connection;
    return strlen(text);
}

static const char *header(struct http_exchange *exchange, const char *name)
{
    return MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, name);
}

static void refuse(struct http_exchange *exchange, enum error_code code)
{
    exchange->request.refused = code;
    drop_body(exchange);
}

struct framing {
    unsigned lengths;
    unsigned encodings;
    bool unknown_encoding;
};

static enum MHD_Result note_framing(void *context, enum MHD_ValueKind kind, const char *name,
                                    const char *value)
{
    struct framing *framing = context;

    (void)kind;
    if (strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0)
        framing->lengths++;
    if (strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0) {
        framing->encodings++;
        framing->unknown_encoding |= !value || strcasecmp(value, "chunked") != 0;
    }
    return MHD_YES;
}

/* Whether the end of the body is a matter of opinion (RFC 9112 6.3): a proxy before us could take
 * for another request what we take for the body, or the other way round. */
static bool is_ambiguous(struct http_exchange *exchange)
{
    struct framing framing = {0};

    MHD_get_connection_values(exchange->connection, MHD_HEADER_KIND, note_framing, &framing);
    return framing.lengths + framing.encodings > 1 || framing.unknown_encoding;
}

/* Looks at the head. Returns true when the request is refused without reading its body. */
static bool begin_request(struct http_exchange *exchange, const char *method)
{
    struct http_request *request = &exchange->request;
    const char *length = header(exchange, MHD_HTTP_HEADER_CONTENT_LENGTH);
    unsigned long long bytes = length ? strtoull(length, NULL, 10) : 0;

    request->method = method;
    request->content_type = header(exchange, MHD_HTTP_HEADER_CONTENT_TYPE);
    request->target = exchange->target.data;
    request->target_length = exchange->target.length;
    request->target_too_long = exchange->target.failed;
    set_phase(exchange, PHASE_BODY);
    if (is_ambiguous(exchange)) {
        refuse(exchange, ERROR_INVALID);
        return true;
    }
    if (request->target_too_long || bytes > HTTP_BODY_MAX_BYTES)
        refuse(exchange, ERROR_TOO_LARGE);
    /* Who asks first (RFC 9110 10.1.1) is told at once. Others are read to the end before they are
     * answered, or they would see a reset instead of the answer. */
    return request->refused && (bytes > (unsigned long long)HTTP_BODY_MAX_BYTES * DISCARD_TIMES ||
                                header(exchange, MHD_HTTP_HEADER_EXPECT));
}

/* False: more than anybody could mean; the connection is closed. */
static bool take_body(struct http_exchange *exchange, const char *data, size_t length)
{
    struct http *http = exchange->loop->http;

    if (exchange->request.refused) {
        exchange->discarded_bytes += length;
        return exchange->discarded_bytes <= (size_t)HTTP_BODY_MAX_BYTES * DISCARD_TIMES;
    }
    size_t all = atomic_fetch_add(&http->body_bytes, length) + length;
    exchange->charged_bytes += length;
    if (all > HTTP_BODIES_MAX_BYTES) {
        refuse(exchange, ERROR_BUSY);
        return true;
    }
    buffer_append(&exchange->body, data, length);
    if (exchange->body.failed)
        refuse(exchange, ERROR_TOO_LARGE);
    return true;
}

static enum MHD_Result handle(struct http_exchange *exchange)
{
    struct loop *loop = exchange->loop;
    const struct http_settings *settings = &loop->http->settings;

    exchange->request.body = exchange->body.data;
    exchange->request.body_length = exchange->body.length;
    set_phase(exchange, PHASE_HANDLED);
    if (settings->handle(settings->context, loop->context, exchange, &exchange->reply))
        return send_reply(exchange);
    exchange->kept = true;
    loop->kept_count++;
    /* An answer may be there already; it waits for this thread to resume it. */
    MHD_suspend_connection(exchange->connection);
    return MHD_YES;
}

/* Called with the head, with each part of the body, with its end, and after a resume. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_length, void **request_context)
{
    struct http_exchange *exchange = *request_context;

    (void)context;
    (void)connection;
    (void)url;
    (void)version;
    if (!exchange->first_call_done) {
        exchange->first_call_done = true;
        return begin_request(exchange, method) ? handle(exchange) : MHD_YES;
    }
    if (*data_length > 0) {
        bool fine = take_body(exchange, data, *data_length);
        *data_length = 0;
        return fine ? MHD_YES : MHD_NO;
    }
    if (exchange->kept)
        return exchange->resumed ? send_reply(exchange) : MHD_YES;
    return handle(exchange);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **request_context,
                         enum MHD_RequestTerminationCode reason)
{
    struct http_exchange *exchange = *request_context;

    (void)context;
    (void)connection;
    (void)reason;
    if (!exchange)
        return;
    clear_request(exchange);
    *request_context = NULL;
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

static struct http_exchange *new_exchange(struct loop *loop, struct MHD_Connection *connection)
{
    struct http_exchange *exchange = memory_new(1, sizeof *exchange);

    /* libmicrohttpd gives the connection memory that another loop's had until it was unmapped; the
     * thread sanitizer does not see the library's mmap and munmap. */
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
    set_phase(exchange, PHASE_HEAD);
    exchange->next = loop->exchanges;
    if (loop->exchanges)
        loop->exchanges->previous = exchange;
    loop->exchanges = exchange;
    loop->exchange_count++;
    return exchange;
}

static void free_exchange(struct http_exchange *exchange)
{
    struct loop *loop = exchange->loop;

    if (exchange->previous)
        exchange->previous->next = exchange->next;
    else
        loop->exchanges = exchange->next;
    if (exchange->next)
        exchange->next->previous = exchange->previous;
    loop->exchange_count--;
    clear_request(exchange);
    buffer_done(&exchange->target);
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

/* Shuts the sockets of those that are too slow; libmicrohttpd then sees their end and closes. */
static void sweep(struct loop *loop)
{
    if (loop->now_ms - loop->swept_ms < SWEEP_MS)
        return;
    loop->swept_ms = loop->now_ms;
    for (struct http_exchange *exchange = loop->exchanges; exchange; exchange = exchange->next)
        if (is_late(exchange, loop->now_ms))
            shutdown(exchange->descriptor, SHUT_RDWR);
}

/* ---- loops ---- */

static void run_once(struct loop *loop, int64_t limit_ms)
{
    struct pollfd items[] = {{.fd = loop->epoll, .events = POLLIN},
                             {.fd = loop->wake, .events = POLLIN}};
    MHD_UNSIGNED_LONG_LONG wish_ms;
    eventfd_t ignored;

    if (loop->exchange_count > 0 && (limit_ms < 0 || limit_ms > SWEEP_MS))
        limit_ms = SWEEP_MS;
    if (MHD_get_timeout(loop->daemon, &wish_ms) == MHD_YES &&
        (limit_ms < 0 || wish_ms < (unsigned long long)limit_ms))
        limit_ms = (int64_t)wish_ms;
    if (poll(items, ARRAY_LENGTH(items), (int)limit_ms) > 0 && items[1].revents)
        eventfd_read(loop->wake, &ignored);
    loop->now_ms = clock_boot_ms();
    resume_answered(loop);
    size_t before = loop->exchange_count;
    MHD_run(loop->daemon);
    /* At its limit libmicrohttpd stops watching the listener, and takes it up again only in the run
     * after the one in which a connection has ended: nothing would wake us for that one. */
    if (loop->exchange_count < before)
        MHD_run(loop->daemon);
    sweep(loop);
}

static void *run_loop(void *context)
{
    struct loop *loop = context;

    while (!atomic_load_explicit(&loop->http->stopping, memory_order_relaxed))
        run_once(loop, -1);
    int listener = MHD_quiesce_daemon(loop->daemon);
    if (listener >= 0)
        close(listener);
    int64_t end_ms = clock_boot_ms() + FLUSH_MS;
    do
        run_once(loop, 10);
    while (loop->kept_count > 0 || (loop->sending_count > 0 && loop->now_ms < end_ms));
    MHD_stop_daemon(loop->daemon);
    loop->daemon = NULL;
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

static enum error_code start_loop(struct http *http, struct loop *loop, struct error *error)
{
    const struct http_settings *settings = &http->settings;
    int listener = fcntl(http->listener, F_DUPFD_CLOEXEC, 0);

    loop->http = http;
    loop->now_ms = clock_boot_ms();
    pthread_mutex_init(&loop->lock, NULL);
    loop->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    enum error_code code = settings->thread_begin(settings->context, &loop->context, error);
    if (code) {
        close(listener);
        return code;
    }
    loop->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, loop,
        MHD_OPTION_LISTEN_SOCKET, listener, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)HTTP_CONNECTION_BYTES, MHD_OPTION_CONNECTION_LIMIT,
        connection_limit(settings->threads), MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)(HTTP_HEAD_MS / 1000), MHD_OPTION_URI_LOG_CALLBACK, take_target, loop,
        MHD_OPTION_UNESCAPE_CALLBACK, leave_encoded, NULL, MHD_OPTION_NOTIFY_COMPLETED,
        on_completed, NULL, MHD_OPTION_NOTIFY_CONNECTION, on_connection, loop, MHD_OPTION_END);
    if (!loop->daemon) {
        close(listener);
        return error_set(error, ERROR_IO, "libmicrohttpd does not start");
    }
    loop->epoll = MHD_get_daemon_info(loop->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
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
    made->loops = memory_new(settings->threads, sizeof *made->loops);
    enum error_code code = listener_open(&settings->listen, &made->listener, &made->address, error);
    for (unsigned i = 0; i < settings->threads && !code; i++) {
        made->loop_count++;
        code = start_loop(made, &made->loops[i], error);
    }
    if (code) {
        http_stop(made);
        return code;
    }
    *http = made;
    return ERROR_NONE;
}

static void stop_loop(struct http *http, struct loop *loop)
{
    if (loop->running) {
        eventfd_write(loop->wake, 1);
        pthread_join(loop->thread, NULL);
    }
    if (loop->daemon)
        MHD_stop_daemon(loop->daemon);
    if (loop->context)
        http->settings.thread_end(http->settings.context, loop->context);
    close(loop->wake);
    pthread_mutex_destroy(&loop->lock);
}

void http_stop(struct http *http)
{
    if (!http)
        return;
    atomic_store(&http->stopping, true);
    for (unsigned i = 0; i < http->loop_count; i++)
        stop_loop(http, &http->loops[i]);
    if (http->listener >= 0)
        close(http->listener);
    free(http->loops);
    free(http);
}
