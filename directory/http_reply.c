#include "common/clock.h"
#include "common/memory.h"
#include "directory/access_log.h"
#include "directory/http_private.h"
#include "directory/metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

enum { STREAM_BYTES = 16 << 10 }; /* one piece of a streamed body */

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
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
                            reply->type ? reply->type : "application/json");
    if (reply->retry_s > 0) {
        char seconds[16];
        snprintf(seconds, sizeof seconds, "%u", reply->retry_s);
        MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, seconds);
    }
    if (reply->allow)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, reply->allow);
    if (reply->close)
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    return response;
}

static void note_reply(const struct http_exchange *exchange)
{
    const struct http_loop *loop = exchange->loop;
    const struct http_request *request = &exchange->request;
    const struct access_request note = {
        .host = request->client_host,
        .method = request->method,
        .target = request->target,
        .status = exchange->reply.status,
        .taken_us = clock_us() - exchange->whole_us,
    };

    metrics_request(request->route, note.status, note.taken_us);
    if (loop->http->settings.access_log)
        access_log_note(loop->http->settings.access_log, (size_t)(loop - loop->http->loops), &note);
}

/* libmicrohttpd 0.9.75 sends the last chunk of a body also where there is none. */
static bool has_stray_end(const struct http_exchange *exchange)
{
    return exchange->reply.stream && strcmp(exchange->request.method, "HEAD") == 0;
}

void http_set_timeout(const struct http_exchange *exchange, unsigned limit_ms)
{
    MHD_set_connection_option(exchange->connection, MHD_CONNECTION_OPTION_TIMEOUT, limit_ms / 1000);
}

enum MHD_Result http_send_reply(struct http_exchange *exchange)
{
    exchange->reply.close |= has_stray_end(exchange);
    if (exchange->kept)
        http_set_timeout(exchange, HTTP_HEAD_MS);
    struct MHD_Response *response = make_response(&exchange->reply);
    enum MHD_Result result = MHD_NO;

    if (response) {
        exchange->reply = (struct http_reply){.status = exchange->reply.status};
        note_reply(exchange);
        exchange->sending = true;
        exchange->loop->sending_count++;
        result = MHD_queue_response(exchange->connection, exchange->reply.status, response);
        MHD_destroy_response(response);
    }
    return result;
}

void http_drop_reply(struct http_reply *reply)
{
    buffer_done(&reply->body);
    if (reply->stream)
        reply->stream_free(reply->stream_context);
    *reply = (struct http_reply){0};
}

void http_answer(struct http_exchange *exchange, const struct http_reply *reply)
{
    struct http_loop *loop = exchange->loop;

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

void http_resume_answered(struct http_loop *loop)
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
