#include "common/clock.h"
#include "directory/http_private.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    DISCARD_TIMES = 4, /* a body this many times over the cap is not even read */
    KEEP_BYTES = 4096, /* of a connection's target, and of its body, between requests */
};

struct http_request *http_request(struct http_exchange *exchange)
{
    return &exchange->request;
}

static void clear_buffer(struct buffer *buffer)
{
    if (buffer->capacity > KEEP_BYTES)
        buffer_done(buffer);
    buffer_clear(buffer);
}

static void drop_body(struct http_exchange *exchange)
{
    if (exchange->charged_bytes > 0)
        atomic_fetch_sub(&exchange->loop->http->body_bytes, exchange->charged_bytes);
    exchange->charged_bytes = 0;
    clear_buffer(&exchange->body);
}

void http_clear_request(struct http_exchange *exchange)
{
    drop_body(exchange);
    http_drop_reply(&exchange->reply);
    exchange->loop->sending_count -= exchange->sending;
    clear_buffer(&exchange->target);
    exchange->discarded_bytes = 0;
    exchange->kept = exchange->resumed = exchange->sending = exchange->first_call_done = false;
    exchange->request.refused = ERROR_NONE;
    exchange->request.target_too_long = false;
    exchange->request.route = 0;
    http_set_phase(exchange, PHASE_HEAD);
}

void *http_take_target(void *context, const char *target, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct http_exchange *exchange = info->socket_context;

    (void)context;
    buffer_clear(&exchange->target);
    buffer_append_string(&exchange->target, target ? target : "");
    return exchange;
}

size_t http_leave_encoded(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context;
    (void)connection;
    return strlen(text);
}

static void refuse(struct http_exchange *exchange, enum error_code code)
{
    exchange->request.refused = code;
    drop_body(exchange);
}

/* What we want to know of a request's headers, each of which is looked at once. */
struct head {
    const char *length, *type, *authorization, *expect; /* the first of that name; NULL: none */
    unsigned lengths, encodings, hosts;
    bool unknown_encoding;
    bool hides_length; /* a name may be one of these two to somebody else */
};

static void keep_first(const char **kept, const char *value)
{
    if (!*kept)
        *kept = value;
}

#define NAME_IS(header) (length == sizeof(header) - 1 && strncasecmp(name, header, length) == 0)
#define NAME_BEGINS_WITH(header) \
    (length >= sizeof(header) && strncasecmp(name, header, sizeof(header) - 1) == 0)

/* libmicrohttpd 0.9.75 takes all up to the colon for the name, blanks before it, too (RFC 9112
 * 5.1), and what a line goes on with on the next one (5.2) for a part of the name. */
static bool may_hide_length(const char *name, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)name[i] <= ' ' || name[i] == ':')
            return true;
    return NAME_BEGINS_WITH(MHD_HTTP_HEADER_CONTENT_LENGTH) ||
           NAME_BEGINS_WITH(MHD_HTTP_HEADER_TRANSFER_ENCODING);
}

static enum MHD_Result note_header(void *context, enum MHD_ValueKind kind, const char *name,
                                   size_t length, const char *value, size_t value_length)
{
    struct head *head = context;

    (void)kind;
    (void)value_length;
    if (NAME_IS(MHD_HTTP_HEADER_CONTENT_LENGTH)) {
        head->lengths++;
        keep_first(&head->length, value);
    } else if (NAME_IS(MHD_HTTP_HEADER_CONTENT_TYPE)) {
        keep_first(&head->type, value);
    } else if (NAME_IS(MHD_HTTP_HEADER_AUTHORIZATION)) {
        keep_first(&head->authorization, value);
    } else if (NAME_IS(MHD_HTTP_HEADER_EXPECT)) {
        keep_first(&head->expect, value);
    } else if (NAME_IS(MHD_HTTP_HEADER_HOST)) {
        head->hosts++;
    } else if (NAME_IS(MHD_HTTP_HEADER_TRANSFER_ENCODING)) {
        head->encodings++;
        head->unknown_encoding |= !value || strcasecmp(value, "chunked") != 0;
    } else {
        head->hides_length |= may_hide_length(name, length);
    }
    return MHD_YES;
}

/* Whether the end of the body is a matter of opinion (RFC 9112 6.3): a proxy before us could take
 * for another request what we take for the body, or the other way round. */
static bool is_ambiguous(const struct head *head)
{
    return head->lengths + head->encodings > 1 || head->unknown_encoding || head->hides_length;
}

/* RFC 9112 3.2: one, but before HTTP/1.1. */
static bool has_wrong_host(const struct head *head, const char *version)
{
    return head->hosts > 1 || (head->hosts == 0 && strcmp(version, MHD_HTTP_VERSION_1_1) >= 0);
}

/* Looks at the head. Returns true when the request is refused without reading its body. */
static bool begin_request(struct http_exchange *exchange, const char *method, const char *version)
{
    struct http_request *request = &exchange->request;
    struct head head = {0};

    MHD_get_connection_values_n(exchange->connection, MHD_HEADER_KIND, note_header, &head);
    unsigned long long bytes = head.length ? strtoull(head.length, NULL, 10) : 0;
    request->method = method;
    request->content_type = head.type;
    request->authorization = head.authorization;
    request->target = exchange->target.data;
    request->target_length = exchange->target.length;
    request->target_too_long = exchange->target.failed;
    http_set_phase(exchange, PHASE_BODY);
    request->wrong_host = has_wrong_host(&head, version);
    if (is_ambiguous(&head) || request->wrong_host) {
        refuse(exchange, ERROR_INVALID);
        return true;
    }
    if (request->target_too_long || bytes > HTTP_BODY_MAX_BYTES)
        refuse(exchange, ERROR_TOO_LARGE);
    /* Who asks first (RFC 9110 10.1.1) is told at once. Others are read to the end before they are
     * answered, or they would see a reset instead of the answer. */
    return request->refused &&
           (bytes > (unsigned long long)HTTP_BODY_MAX_BYTES * DISCARD_TIMES || head.expect);
}

/* The bytes of all bodies with so many of this one. What a connection keeps anyway is looked at
 * only: a line of cache that all loops write is dear. */
static size_t charge_body(struct http_exchange *exchange, size_t bytes)
{
    atomic_size_t *all = &exchange->loop->http->body_bytes;
    size_t more = bytes - exchange->charged_bytes;

    if (bytes <= KEEP_BYTES)
        return atomic_load_explicit(all, memory_order_relaxed) + more;
    exchange->charged_bytes = bytes;
    return atomic_fetch_add(all, more) + more;
}

/* False: more than anybody could mean; the connection is closed. */
static bool take_body(struct http_exchange *exchange, const char *data, size_t length)
{
    if (exchange->request.refused) {
        exchange->discarded_bytes += length;
        return exchange->discarded_bytes <= (size_t)HTTP_BODY_MAX_BYTES * DISCARD_TIMES;
    }
    if (charge_body(exchange, exchange->body.length + length) > HTTP_BODIES_MAX_BYTES) {
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
    struct http_loop *loop = exchange->loop;
    const struct http_settings *settings = &loop->http->settings;

    exchange->request.body = exchange->body.length > 0 ? exchange->body.data : NULL;
    exchange->request.body_length = exchange->body.length;
    http_set_phase(exchange, PHASE_HANDLED);
    exchange->whole_us = clock_us();
    if (settings->handle(settings->context, loop->context, exchange, &exchange->reply))
        return http_send_reply(exchange);
    exchange->kept = true;
    loop->kept_count++;
    /* An answer may be there already; it waits for this thread to resume it. */
    MHD_suspend_connection(exchange->connection);
    http_set_timeout(exchange, HTTP_KEPT_MS);
    return MHD_YES;
}

enum MHD_Result http_on_request(void *context, struct MHD_Connection *connection, const char *url,
                                const char *method, const char *version, const char *data,
                                size_t *data_length, void **request_context)
{
    struct http_exchange *exchange = *request_context;

    (void)context;
    (void)connection;
    (void)url;
    if (!exchange->first_call_done) {
        exchange->first_call_done = true;
        return begin_request(exchange, method, version) ? handle(exchange) : MHD_YES;
    }
    if (*data_length > 0) {
        bool fine = take_body(exchange, data, *data_length);
        *data_length = 0;
        return fine ? MHD_YES : MHD_NO;
    }
    if (exchange->kept)
        return exchange->resumed ? http_send_reply(exchange) : MHD_YES;
    return handle(exchange);
}

void http_on_completed(void *context, struct MHD_Connection *connection, void **request_context,
                       enum MHD_RequestTerminationCode reason)
{
    struct http_exchange *exchange = *request_context;

    (void)context;
    (void)connection;
    (void)reason;
    if (!exchange)
        return;
    http_clear_request(exchange);
    *request_context = NULL;
}
