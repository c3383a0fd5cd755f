#include "common/clock.h"
#include "common/memory.h"
#include "directory/http_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    DISCARD_TIMES = 4,          /* a body this many times over the cap is not even read */
    FIRST_INPUT_BYTES = 4096,   /* enough for nearly every request */
    BODY_PART_BYTES = 64 << 10, /* read at a time */
    INPUT_MAX_BYTES = HTTP_HEAD_MAX_BYTES + BODY_PART_BYTES,
};

static const char continue_line[] = "HTTP/1.1 100 Continue\r\n\r\n";

struct http_request *http_request(struct http_exchange *exchange)
{
    return &exchange->request;
}

/* ---- input ---- */

static void rebase(const char **text, const char *old, char *data)
{
    if (*text)
        *text = data + (*text - old);
}

/* The head lies in the input: what points into it moves with it. */
static bool grow(struct http_exchange *exchange, size_t capacity)
{
    struct http_input *in = &exchange->in;
    struct http_request *request = &exchange->request;
    char *data = malloc(capacity);

    if (!data)
        return false;
    memcpy(data, in->data, in->length);
    if (exchange->phase == PHASE_BODY && !request->bad_head) {
        rebase(&request->method, in->data, data);
        rebase(&request->content_type, in->data, data);
        rebase(&request->authorization, in->data, data);
        request->target = data + (request->target - in->data);
    }
    free(in->data);
    in->data = data;
    in->capacity = capacity;
    return true;
}

/* What is worth being read at a time. */
static size_t body_part(const struct http_exchange *exchange)
{
    bool is_short =
        exchange->head.body == HTTP_BODY_LENGTH && exchange->body_left < BODY_PART_BYTES;

    return is_short ? (size_t)exchange->body_left : BODY_PART_BYTES;
}

static bool make_room(struct http_exchange *exchange)
{
    struct http_input *in = &exchange->in;

    if (!in->data) {
        in->data = take_pointer(&exchange->loop->spare);
        if (!in->data)
            in->data = malloc(FIRST_INPUT_BYTES);
        in->capacity = FIRST_INPUT_BYTES;
        return in->data != NULL;
    }
    if (exchange->phase == PHASE_BODY && in->capacity - in->length < body_part(exchange))
        return grow(exchange, in->length + body_part(exchange));
    if (in->length < in->capacity)
        return true;
    return in->capacity < INPUT_MAX_BYTES &&
           grow(exchange, in->capacity * 2 < INPUT_MAX_BYTES ? in->capacity * 2 : INPUT_MAX_BYTES);
}

bool http_receive(struct http_exchange *exchange)
{
    struct http_input *in = &exchange->in;

    if (!make_room(exchange))
        return false;
    ssize_t length =
        recv(exchange->descriptor, in->data + in->length, in->capacity - in->length, 0);
    if (length < 0)
        return errno == EAGAIN || errno == EINTR;
    in->length += (size_t)length;
    return length > 0;
}

/* Forgets what is used; the rest moves to the front. */
static void clear_input(struct http_exchange *exchange)
{
    struct http_input *in = &exchange->in;
    size_t rest = in->length - in->used;

    if (rest > 0)
        memmove(in->data, in->data + in->used, rest);
    in->scanned = in->used = 0;
    in->length = rest;
    if (rest > 0)
        return;
    if (in->data && in->capacity == FIRST_INPUT_BYTES && !exchange->loop->spare)
        exchange->loop->spare = in->data;
    else
        free(in->data);
    in->data = NULL;
}

static void drop_body(struct http_exchange *exchange)
{
    buffer_done(&exchange->body);
    atomic_fetch_sub(&exchange->loop->http->body_bytes, exchange->charged_bytes);
    exchange->charged_bytes = 0;
}

void http_clear_request(struct http_exchange *exchange)
{
    struct http_request *request = &exchange->request;

    if (exchange->charged_bytes > 0 || exchange->body.data)
        drop_body(exchange);
    http_drop_reply(exchange);
    clear_input(exchange);
    exchange->discarded_bytes = 0;
    exchange->closes = exchange->unread = false;
    request->body = NULL;
    request->body_length = 0;
    request->refused = ERROR_NONE;
    request->target_too_long = false;
    request->bad_head = 0;
    request->route = 0;
    http_set_phase(exchange, PHASE_HEAD);
}

/* ---- handling ---- */

static enum http_step handle(struct http_exchange *exchange)
{
    struct http_loop *loop = exchange->loop;
    const struct http_settings *settings = &loop->http->settings;

    exchange->request.body = exchange->body.data;
    exchange->request.body_length = exchange->body.length;
    /* An answer may come from elsewhere before the handler is back; it waits for this thread. */
    http_set_phase(exchange, PHASE_KEPT);
    loop->kept_count++;
    exchange->whole_us = clock_us();
    if (!settings->handle(settings->context, loop->context, exchange, &exchange->reply))
        return STEP_WAIT;
    loop->kept_count--;
    http_begin_reply(exchange);
    return STEP_ON;
}

static enum http_step handle_unread(struct http_exchange *exchange)
{
    exchange->closes = exchange->unread = true;
    return handle(exchange);
}

/* Nothing can be said of the request but what is wrong with it. */
static enum http_step handle_bad_head(struct http_exchange *exchange, unsigned status)
{
    static char nothing[] = "";
    struct http_request *request = &exchange->request;

    exchange->head = (struct http_head){0};
    request->method = nothing;
    request->target = nothing;
    request->target_length = 0;
    request->content_type = request->authorization = NULL;
    request->target_too_long = status == 414;
    if (status == 414)
        request->refused = ERROR_TOO_LARGE;
    else
        request->bad_head = status;
    return handle_unread(exchange);
}

static void refuse(struct http_exchange *exchange, enum error_code code)
{
    exchange->request.refused = code;
    drop_body(exchange);
}

/* ---- head ---- */

static enum http_step begin_body(struct http_exchange *exchange)
{
    const struct http_head *head = &exchange->head;
    struct http_request *request = &exchange->request;
    unsigned long long bytes = head->body == HTTP_BODY_LENGTH ? head->body_bytes : 0;

    if (head->ambiguous) {
        request->refused = ERROR_INVALID;
        return handle_unread(exchange);
    }
    if (request->target_too_long || bytes > HTTP_BODY_MAX_BYTES)
        request->refused = ERROR_TOO_LARGE;
    /* Who asks first (RFC 9110 10.1.1) is told at once. Others are read to the end before they are
     * answered. */
    if (request->refused &&
        (bytes > (unsigned long long)HTTP_BODY_MAX_BYTES * DISCARD_TIMES || head->expects))
        return handle_unread(exchange);
    if (bytes == 0 && head->body != HTTP_BODY_CHUNKED)
        return handle(exchange);
    exchange->body_left = bytes;
    exchange->chunks = (struct http_chunks){0};
    http_set_phase(exchange, PHASE_BODY);
    /* It fits the socket's empty buffer; else the client sends anyway after a while. */
    if (head->expects && exchange->in.used == exchange->in.length)
        send(exchange->descriptor, continue_line, sizeof continue_line - 1, MSG_NOSIGNAL);
    return STEP_ON;
}

static enum http_step handle_long_head(struct http_exchange *exchange)
{
    bool is_line = !memchr(exchange->in.data, '\n', HTTP_HEAD_MAX_BYTES);

    return handle_bad_head(exchange, is_line ? 414 : 431);
}

/* What is there is no whole head. */
static enum http_step await_head(struct http_exchange *exchange)
{
    const struct http_input *in = &exchange->in;

    if (in->length > 0 && !http_head_can_begin(in->data[0]))
        return handle_bad_head(exchange, 400);
    return in->length < HTTP_HEAD_MAX_BYTES ? STEP_READ : handle_long_head(exchange);
}

/* Empty lines before a request are no part of it (RFC 9112 2.2). */
static void skip_empty_lines(struct http_input *in)
{
    size_t empty = 0;

    while (empty < in->length && (in->data[empty] == '\r' || in->data[empty] == '\n'))
        empty++;
    if (empty == 0)
        return;
    in->length -= empty;
    memmove(in->data, in->data + empty, in->length);
    in->scanned = 0;
}

/* The request alone holds what points into the input: grow() moves it. */
static void take_texts(struct http_exchange *exchange)
{
    struct http_head *head = &exchange->head;
    struct http_request *request = &exchange->request;

    request->method = take_pointer(&head->method);
    request->target = take_pointer(&head->target);
    request->target_length = head->target_length;
    request->target_too_long = head->target_length > HTTP_TARGET_MAX_BYTES;
    request->content_type = take_pointer(&head->content_type);
    request->authorization = take_pointer(&head->authorization);
}

enum http_step http_read_head(struct http_exchange *exchange)
{
    struct http_input *in = &exchange->in;
    const struct http_head *head = &exchange->head;

    if (in->scanned == 0)
        skip_empty_lines(in);
    size_t length = http_head_length(in->data, in->length, &in->scanned);
    if (length == 0)
        return await_head(exchange);
    if (length > HTTP_HEAD_MAX_BYTES)
        return handle_long_head(exchange);
    unsigned status = http_head_parse(in->data, length, &exchange->head);
    if (status)
        return handle_bad_head(exchange, status);
    in->used = length;
    take_texts(exchange);
    exchange->closes = !head->keeps_alive;
    return begin_body(exchange);
}

/* ---- body ---- */

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

static enum http_step read_length(struct http_exchange *exchange)
{
    struct http_input *in = &exchange->in;
    size_t length = in->length - in->used;

    if (length > exchange->body_left)
        length = (size_t)exchange->body_left;
    if (!take_body(exchange, in->data + in->used, length))
        return STEP_CLOSE;
    exchange->body_left -= length;
    in->used += length;
    return exchange->body_left == 0 ? STEP_ON : STEP_READ;
}

static enum http_step read_chunks(struct http_exchange *exchange)
{
    struct http_input *in = &exchange->in;
    struct http_chunks *chunks = &exchange->chunks;
    const char *data;
    size_t length;

    while (in->used < in->length && chunks->state < CHUNKS_DONE) {
        in->used +=
            http_chunks_read(chunks, in->data + in->used, in->length - in->used, &data, &length);
        if (length > 0 && !take_body(exchange, data, length))
            return STEP_CLOSE;
    }
    return chunks->state < CHUNKS_DONE ? STEP_READ : STEP_ON;
}

enum http_step http_read_body(struct http_exchange *exchange)
{
    bool is_chunked = exchange->head.body == HTTP_BODY_CHUNKED;
    struct http_input *in = &exchange->in;
    size_t start = in->used;
    enum http_step step = is_chunked ? read_chunks(exchange) : read_length(exchange);

    if (step == STEP_READ) {
        in->length = in->used = start;
        return step;
    }
    if (step == STEP_CLOSE)
        return step;
    if (is_chunked && exchange->chunks.state == CHUNKS_BROKEN)
        return handle_bad_head(exchange, 400);
    return handle(exchange);
}
