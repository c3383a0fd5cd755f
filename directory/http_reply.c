#include "common/clock.h"
#include "common/memory.h"
#include "directory/access_log.h"
#include "directory/http_private.h"
#include "directory/metrics.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum {
    STREAM_BYTES = 16 << 10, /* one piece of a streamed body */
    SIZE_LINE_BYTES = 6,     /* "4000\r\n": four digits always */
    PIECE_BYTES = SIZE_LINE_BYTES + STREAM_BYTES + sizeof "\r\n0\r\n\r\n",
};

/* ---- the head ---- */

static const char *reason_of(unsigned status)
{
    static const struct {
        unsigned status;
        const char *reason;
    } reasons[] = {
        {200, "OK"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
    };

    for (size_t i = 0; i < ARRAY_LENGTH(reasons); i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Unknown";
}

/* RFC 9110 5.6.7, in English whatever the locale. */
static const char *date_of(struct http_loop *loop)
{
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t now_s = time(NULL);
    struct tm tm;

    if (now_s != loop->date_s && gmtime_r(&now_s, &tm)) {
        loop->date_s = now_s;
        snprintf(loop->date, sizeof loop->date, "%s, %02u %s %04u %02u:%02u:%02u GMT",
                 days[tm.tm_wday % 7], (unsigned)tm.tm_mday % 100, months[tm.tm_mon % 12],
                 (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)tm.tm_hour % 100,
                 (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
    }
    return loop->date;
}

struct head_writer {
    char *end, *limit;
};

static void put(struct head_writer *writer, const char *text)
{
    size_t length = strlen(text);
    size_t room = (size_t)(writer->limit - writer->end);

    if (length > room)
        length = room;
    memcpy(writer->end, text, length);
    writer->end += length;
}

static void put_number(struct head_writer *writer, size_t number)
{
    char digits[24];
    char *first = digits + sizeof digits - 1;

    *first = '\0';
    do
        *--first = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    put(writer, first);
}

static bool is_to_head(const struct http_exchange *exchange)
{
    return strcmp(exchange->request.method, "HEAD") == 0;
}

/* Everything in it is ours, short and counted: see the room in HTTP_REPLY_HEAD_BYTES. */
static void write_head(struct http_exchange *exchange)
{
    const struct http_reply *reply = &exchange->reply;
    struct head_writer writer = {exchange->reply_head,
                                 exchange->reply_head + sizeof exchange->reply_head};

    put(&writer, "HTTP/1.1 ");
    put_number(&writer, reply->status);
    put(&writer, " ");
    put(&writer, reason_of(reply->status));
    put(&writer, "\r\nDate: ");
    put(&writer, date_of(exchange->loop));
    put(&writer, "\r\nContent-Type: ");
    put(&writer, reply->type ? reply->type : "application/json");
    if (reply->retry_s > 0) {
        put(&writer, "\r\nRetry-After: ");
        put_number(&writer, reply->retry_s);
    }
    if (reply->allow) {
        put(&writer, "\r\nAllow: ");
        put(&writer, reply->allow);
    }
    if (exchange->closes)
        put(&writer, "\r\nConnection: close");
    else if (exchange->head.old)
        put(&writer, "\r\nConnection: keep-alive");
    if (!reply->stream) {
        put(&writer, "\r\nContent-Length: ");
        put_number(&writer, reply->body.length);
    } else if (!exchange->head.old) {
        put(&writer, "\r\nTransfer-Encoding: chunked");
    }
    put(&writer, "\r\n\r\n");
    exchange->reply_head_length = (size_t)(writer.end - exchange->reply_head);
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

void http_begin_reply(struct http_exchange *exchange)
{
    struct http_reply *reply = &exchange->reply;

    /* HTTP/1.0 knows no chunks: there the end of the connection ends a stream. */
    exchange->closes |= reply->close || (reply->stream && exchange->head.old);
    write_head(exchange);
    note_reply(exchange);
    exchange->sent = exchange->piece_length = 0;
    exchange->is_last_piece = false;
    if (is_to_head(exchange)) {
        buffer_clear(&reply->body);
        exchange->is_last_piece = true;
    }
    exchange->loop->sending_count++;
    http_set_phase(exchange, PHASE_SENDING);
}

void http_drop_reply(struct http_exchange *exchange)
{
    struct http_reply *reply = &exchange->reply;

    exchange->loop->sending_count -= exchange->phase == PHASE_SENDING;
    buffer_done(&reply->body);
    if (reply->stream)
        reply->stream_free(reply->stream_context);
    free(exchange->pieces);
    exchange->pieces = NULL;
    *reply = (struct http_reply){0};
}

/* ---- sending ---- */

/* The next piece of the stream, framed. False: it cannot go on. */
static bool fill_piece(struct http_exchange *exchange)
{
    struct http_reply *reply = &exchange->reply;
    bool is_framed = !exchange->head.old;
    char size_line[16];

    if (!exchange->pieces)
        exchange->pieces = malloc(PIECE_BYTES);
    if (!exchange->pieces)
        return false;
    char *data = exchange->pieces + (is_framed ? SIZE_LINE_BYTES : 0);
    long length = reply->stream(reply->stream_context, data, STREAM_BYTES);
    if (length < 0)
        return false;
    exchange->is_last_piece = length == 0;
    exchange->piece_length = (size_t)length;
    if (!is_framed)
        return true;
    if (length == 0) {
        exchange->piece_length = sizeof "0\r\n\r\n" - 1;
        memcpy(exchange->pieces, "0\r\n\r\n", exchange->piece_length);
        return true;
    }
    snprintf(size_line, sizeof size_line, "%04lx\r\n", (unsigned long)length);
    memcpy(exchange->pieces, size_line, SIZE_LINE_BYTES);
    memcpy(data + length, "\r\n", 2);
    exchange->piece_length += SIZE_LINE_BYTES + 2;
    return true;
}

/* What is not sent yet of the head and of what follows it. */
static size_t fill_parts(struct http_exchange *exchange, struct iovec parts[2])
{
    bool is_stream = exchange->reply.stream != NULL;
    size_t head = exchange->reply_head_length;
    size_t body = is_stream ? exchange->piece_length : exchange->reply.body.length;
    size_t head_sent = exchange->sent < head ? exchange->sent : head;
    size_t body_sent = exchange->sent - head_sent;
    char *data = is_stream ? exchange->pieces : exchange->reply.body.data;

    parts[0] = (struct iovec){exchange->reply_head + head_sent, head - head_sent};
    parts[1] = (struct iovec){data ? data + body_sent : NULL, body - body_sent};
    return parts[0].iov_len + parts[1].iov_len;
}

static enum http_step end_reply(struct http_exchange *exchange)
{
    bool closes = exchange->closes;
    bool unread = exchange->unread;

    if (!closes || unread)
        http_clear_request(exchange);
    if (!closes)
        return STEP_ON;
    if (!unread)
        return STEP_CLOSE;
    shutdown(exchange->descriptor, SHUT_WR);
    http_set_phase(exchange, PHASE_LINGER);
    return STEP_READ;
}

enum http_step http_send(struct http_exchange *exchange)
{
    struct iovec parts[2];
    size_t left = fill_parts(exchange, parts);
    bool is_empty = parts[0].iov_len == 0;
    struct msghdr message = {.msg_iov = parts + is_empty, .msg_iovlen = 2U - is_empty};

    if (left > 0) {
        ssize_t sent = sendmsg(exchange->descriptor, &message, MSG_NOSIGNAL);
        if (sent < 0)
            return errno == EAGAIN || errno == EINTR ? STEP_WRITE : STEP_CLOSE;
        exchange->sent += (size_t)sent;
        exchange->phase_since_ms = exchange->loop->now_ms;
        if ((size_t)sent < left)
            return STEP_WRITE;
    }
    if (!exchange->reply.stream || exchange->is_last_piece)
        return end_reply(exchange);
    exchange->sent = exchange->reply_head_length;
    return fill_piece(exchange) ? STEP_ON : STEP_CLOSE;
}

/* ---- answers from elsewhere ---- */

void http_answer(struct http_exchange *exchange, const struct http_reply *reply)
{
    struct http_loop *loop = exchange->loop;

    exchange->reply = *reply;
    pthread_mutex_lock(&loop->lock);
    bool first = loop->answered == NULL;
    exchange->next_given = loop->answered;
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
        struct http_exchange *next = exchange->next_given;
        loop->kept_count--;
        http_begin_reply(exchange);
        http_advance(exchange);
        exchange = next;
    }
}
