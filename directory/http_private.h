/*
 * What the parts of the HTTP module share: http (loops and connections), http_request (from a
 * request's first byte to its handler) and http_reply (from its answer to the last byte). No other
 * file includes this one.
 */
#pragma once

#include "directory/http.h"
#include "directory/http_chunks.h"
#include "directory/http_head.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <time.h>

#define HTTP_REPLY_HEAD_BYTES 384
#define HTTP_DATE_BYTES       32

enum http_phase {
    PHASE_HEAD,    /* waiting for a request, or for the rest of its head */
    PHASE_BODY,    /* for the rest of its body */
    PHASE_KEPT,    /* a handler has it */
    PHASE_SENDING, /* its reply is on its way */
    PHASE_LINGER,  /* answered for the last time: what still comes in is dropped */
};

/* How a phase goes on. */
enum http_step {
    STEP_ON,    /* with the next phase, at once */
    STEP_READ,  /* when there is more to read */
    STEP_WRITE, /* when more can be written */
    STEP_WAIT,  /* when somebody else has answered */
    STEP_CLOSE,
};

struct http_loop;

/* Bytes that have come in: from `used` on nobody has read them. */
struct http_input {
    char *data; /* NULL: no memory */
    size_t used, length, capacity;
    size_t scanned; /* for http_head_length */
};

/* One connection and its current request. All fields are the loop thread's, but while a handler has
 * kept the exchange: then request is the keeper's and reply is filled by http_answer. */
struct http_exchange {
    struct http_loop *loop;
    struct http_exchange *previous, *next; /* the loop's list of all */
    struct http_exchange *next_given;      /* in answered or accepted: guarded by the loop's lock */
    int descriptor;
    bool is_watched;  /* in the loop's epoll */
    uint32_t watched; /* for these events */
    enum http_phase phase;
    int64_t phase_since_ms;

    struct http_input in;
    struct http_head head;
    struct http_request request;
    int64_t whole_us; /* when the handler got it, by clock_us */
    bool closes;      /* after the reply */
    bool unread;      /* a part of the request is not read, nor will it be */
    struct buffer body;
    struct http_chunks chunks;
    unsigned long long body_left; /* with a length: what has not come yet */
    size_t charged_bytes;         /* of the body, to http->body_bytes */
    size_t discarded_bytes;

    struct http_reply reply;
    char reply_head[HTTP_REPLY_HEAD_BYTES];
    size_t reply_head_length;
    size_t sent;  /* of head and body, or of the piece */
    char *pieces; /* of a stream: framing and data; NULL: none */
    size_t piece_length;
    bool is_last_piece;
};

struct http_loop {
    struct http *http;
    pthread_t thread;
    bool running;
    void *context; /* what thread_begin made */
    int epoll;
    int wake;
    bool is_listening;
    int64_t full_since_ms; /* where it is not: no room for more connections */
    int64_t now_ms;
    int64_t swept_ms;
    atomic_bool asked;   /* to come round, by http_check_ms; the loop clears it */
    int64_t asked_at_ms; /* of who asks */
    struct http_exchange *exchanges;
    atomic_uint exchange_count; /* with those that it has not taken over yet */
    size_t kept_count;
    size_t sending_count;
    char *spare; /* a connection's first input, for the next one */
    time_t date_s;
    char date[HTTP_DATE_BYTES]; /* of date_s */
    pthread_mutex_t lock;
    struct http_exchange *answered; /* guarded by lock, as is the next */
    struct http_exchange *accepted;
};

struct http {
    struct http_settings settings;
    struct address address;
    int listener;
    unsigned connection_limit; /* of each loop */
    atomic_size_t body_bytes;
    atomic_bool stopping;
    struct http_loop *loops;
    unsigned loop_count;
};

/* The deadlines count from here. */
static inline void http_set_phase(struct http_exchange *exchange, enum http_phase phase)
{
    exchange->phase = phase;
    exchange->phase_since_ms = exchange->loop->now_ms;
}

/* ---- http.c ---- */

/* Goes on with the connection as far as it goes without waiting. It may be gone afterwards. */
void http_advance(struct http_exchange *exchange);

/* ---- http_request.c ---- */

/* Takes what there is to read, once. False: the connection is at its end. */
bool http_receive(struct http_exchange *exchange);
enum http_step http_read_head(struct http_exchange *exchange);
enum http_step http_read_body(struct http_exchange *exchange);
/* Makes the exchange ready for the connection's next request. */
void http_clear_request(struct http_exchange *exchange);

/* ---- http_reply.c ---- */

/* Begins to send exchange->reply, whose contents it takes. */
void http_begin_reply(struct http_exchange *exchange);
enum http_step http_send(struct http_exchange *exchange);
/* A client that is gone when its answer comes leaves it unsent. */
void http_drop_reply(struct http_exchange *exchange);
/* Takes up what http_answer has answered since the last time. */
void http_resume_answered(struct http_loop *loop);
