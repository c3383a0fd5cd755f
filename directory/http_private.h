/*
 * What the parts of the HTTP module share: http (loops and connections), http_accept (which loop
 * gets a connection), http_request (from a request's first byte to its handler) and http_reply
 * (from its answer to the last byte). No other file includes this one.
 */
#pragma once

#include "common/accept_trouble.h"
#include "directory/http.h"
#include "directory/send_batch.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

/* libmicrohttpd's memory of a connection. A request's head must fit: a longest target, and 4 KiB of
 * headers. With memory of ours, which costs what is used of it, it is so much that the half of it
 * with which the library begins to read takes all of that: it looks at a line from its beginning
 * again for each piece that comes, and makes small ones where there is little room, so that a
 * target of 60,000 bytes took 1.4 ms instead of 0.15. */
#ifdef P2P_CONNECTION_MEMORY
#define HTTP_CONNECTION_BYTES (2 * (HTTP_TARGET_MAX_BYTES + (4 << 10)))
#else
#define HTTP_CONNECTION_BYTES (HTTP_TARGET_MAX_BYTES + (4 << 10))
#endif

/* While an exchange is kept. libmicrohttpd 0.9.75 reads from a connection that is resumed before it
 * asks for the reply, and drops it when the client has shut its sending side meanwhile; but those
 * that have a timeout of their own (any other than HTTP_HEAD_MS) it asks first (daemon.c,
 * MHD_epoll). */
#define HTTP_KEPT_MS (HTTP_HEAD_MS + 1000)

enum http_phase {
    PHASE_HEAD, /* waiting for a request, or for the rest of its head */
    PHASE_BODY,
    PHASE_HANDLED, /* a handler has it, or its reply is on its way */
};

struct http_loop;

/* One connection and its current request. All fields are the loop thread's, but while a handler has
 * kept the exchange: then request is the keeper's and reply is filled by http_answer. */
struct http_exchange {
    struct http_loop *loop;
    struct MHD_Connection *connection;
    struct http_exchange *previous, *next; /* the loop's list of all */
    struct http_exchange *next_answered;   /* guarded by the loop's lock */
    enum http_phase phase;
    int64_t phase_since_ms;
    int descriptor;
    bool kept, resumed, sending;
    bool first_call_done;

    struct http_request request;
    int64_t whole_us; /* when the handler got it, by clock_us */
    struct buffer target;
    struct buffer body;
    size_t charged_bytes; /* of the body, to http->body_bytes */
    size_t discarded_bytes;
    struct http_reply reply;
};

struct http_loop {
    struct http *http;
    struct MHD_Daemon *daemon;
    pthread_t thread;
    bool running;
    void *context;            /* what thread_begin made */
    struct send_batch *batch; /* of the replies of one round; NULL: none */
    int epoll;
    int wake;
    int64_t now_ms;
    int64_t swept_ms;
    /* Since when it is to come round, by http_check_ms; 0: it has. */
    atomic_int_least64_t asked_ms;
    struct http_exchange *exchanges;
    size_t exchange_count;
    size_t begun_count; /* of exchanges, ever */
    size_t kept_count;
    size_t sending_count;
    pthread_mutex_t lock;
    struct http_exchange *answered; /* guarded by lock, as is dealt */
    struct http_dealt *dealt;       /* accepted, and not yet libmicrohttpd's */
    atomic_size_t share;            /* of the connections: exchanges, and what was dealt */
};

struct http {
    struct http_settings settings;
    struct address address;
    int listener;
    size_t connection_limit;
    atomic_size_t connection_count;
    atomic_int_least64_t paused_until_ms;
    struct trouble full, exhausted;
    pthread_mutex_t dealing; /* who holds it chooses a loop for a connection */
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

/* ---- http_accept.c ----
 * libmicrohttpd accepts nothing: of several daemons on one listener each would take what it comes
 * to, and with few busy connections one had two thirds of them, or all, and a core was idle. Here
 * whoever is awake accepts, and each connection goes to the loop with the fewest. */

/* How many connections the system's limit of descriptors allows. */
size_t http_connection_limit(void);

/* Whether the loop shall wait for the listener: not at the limit, in a pause or when stopping. A
 * connection that ends wakes its own loop, which then waits for it again. */
bool http_may_accept(const struct http_loop *loop);
/* How long nothing is accepted, as the system had no descriptor or memory; 0: no pause. */
int http_pause_ms(const struct http_loop *loop);

/* Accepts what waits, but not all of very many, and deals it out. */
void http_accept_some(struct http_loop *loop);
/* Gives libmicrohttpd what was dealt to this loop. On its thread. */
void http_add_dealt(struct http_loop *loop);
/* A connection of this loop is gone. */
void http_give_place(struct http_loop *loop);
/* Closes what was dealt to a loop that no longer runs. */
void http_drop_dealt(struct http_loop *loop);

/* ---- http_request.c: libmicrohttpd's callbacks ---- */

/* MHD_OPTION_URI_LOG_CALLBACK, called with the target before it is taken apart. What it returns is
 * given to every later call of the same request. */
void *http_take_target(void *context, const char *target, struct MHD_Connection *connection);
/* MHD_OPTION_UNESCAPE_CALLBACK. We decode ourselves: libmicrohttpd lets broken encoding through. */
size_t http_leave_encoded(void *context, struct MHD_Connection *connection, char *text);
/* Called with the head, with each part of the body, with its end, and after a resume. */
enum MHD_Result http_on_request(void *context, struct MHD_Connection *connection, const char *url,
                                const char *method, const char *version, const char *data,
                                size_t *data_length, void **request_context);
/* MHD_OPTION_NOTIFY_COMPLETED. */
void http_on_completed(void *context, struct MHD_Connection *connection, void **request_context,
                       enum MHD_RequestTerminationCode reason);

/* Makes the exchange ready for the connection's next request. */
void http_clear_request(struct http_exchange *exchange);

/* ---- http_reply.c ---- */

/* libmicrohttpd's, for the connection. */
void http_set_timeout(const struct http_exchange *exchange, unsigned limit_ms);

/* Queues exchange->reply, whose contents it takes. MHD_NO: no memory; the connection is closed. */
enum MHD_Result http_send_reply(struct http_exchange *exchange);
/* A client that is gone when its answer comes leaves it unsent. */
void http_drop_reply(struct http_reply *reply);
/* Takes up what http_answer has answered since the last time. */
void http_resume_answered(struct http_loop *loop);
