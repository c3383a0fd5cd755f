#include "common/clock.h"
#include "directory/http_private.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    DISCARD_TIMES = 4, /* a body this many times over the cap is not even read */
    KEEP_BYTES = 4096, /* of a connection's target between requests */
};

struct http_request *http_request(struct http_exchange *exchange)
{
    return &exchange->request;
}

static void drop_body(struct http_exchange *exchange)
{
    buffer_done(&exchange->body);
    atomic_fetch_sub(&exchange->loop->http->body_bytes, exchange->charged_bytes);
    exchange->charged_bytes = 0;
}

void http_clear_request(struct http_exchange *exchange)
{
    drop_body(exchange);
    http_drop_reply(&exchange->reply);
    exchange->loop->sending_count -= exchange->sending;
    if (exchange->target.capacity > KEEP_BYTES)
        buffer_done(&exchange->target);
    buffer_clear(&exchange->target);
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
    request->authorization = header(exchange, MHD_HTTP_HEADER_AUTHORIZATION);
    request->target = exchange->target.data;
    request->target_length = exchange->target.length;
    request->target_too_long = exchange->target.failed;
    http_set_phase(exchange, PHASE_BODY);
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
    struct http_loop *loop = exchange->loop;
    const struct http_settings *settings = &loop->http->settings;

    exchange->request.body = exchange->body.data;
    exchange->request.body_length = exchange->body.length;
    http_set_phase(exchange, PHASE_HANDLED);
    exchange->whole_us = clock_us();
    if (settings->handle(settings->context, loop->context, exchange, &exchange->reply))
        return http_send_reply(exchange);
    exchange->kept = true;
    loop->kept_count++;
    /* An answer may be there already; it waits for this thread to resume it. */
    MHD_suspend_connection(exchange->connection);
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
