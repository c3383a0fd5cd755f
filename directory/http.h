/*
 * HTTP/1.1 by libmicrohttpd. The only module that knows it.
 *
 * A handler sees whole requests only: head and body have arrived and are within the caps below, and
 * the method is as it was sent. It answers at once, or keeps the exchange and answers later from
 * any thread.
 *
 * Threads: one loop a core, each with a libmicrohttpd daemon of its own. A loop that is awake
 * accepts, and each connection is given to the loop that has the fewest; what is over the system's
 * limit of descriptors waits in the listener's queue. The loops are ours (external epoll), not
 * libmicrohttpd's: with its internal threads, 0.9.75 goes back to a *blocking* epoll_wait whenever
 * exactly 128 events arrive at once, with those 128 requests unserved (daemon.c, MHD_epoll, `while
 * (MAX_EVENTS == num_events)`), which stalls a busy server with suspended connections. Our loop
 * always asks without blocking, resumes what was answered from elsewhere in one batch with one
 * wake, sends the replies of a round together (directory/send_batch.h), and enforces the deadlines.
 *
 * Deadlines: a request's head must arrive within HTTP_HEAD_MS of the connection's start or of the
 * last reply, trickled bytes or not; its body within HTTP_BODY_MS and as long again as
 * HTTP_BODY_BYTES_PER_S needs; a reply must make some progress every HTTP_HEAD_MS. Else the
 * connection is closed.
 *
 * What libmicrohttpd answers itself, before we see the request, has its own short HTML body: 400
 * for a broken request line or length, 414 and 431 for a line or headers that do not fit the
 * connection's memory.
 */
#pragma once

#include "common/address.h"
#include "common/buffer.h"
#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_TARGET_MAX_BYTES 65536       /* what the reference's server takes; longer is 414 */
#define HTTP_BODY_MAX_BYTES   (64 << 20)  /* 100,000 files with the longest names; longer is 413 */
#define HTTP_BODIES_MAX_BYTES (256 << 20) /* of all requests at a time; over it is 503 */
#define HTTP_HEAD_MS          15000
#define HTTP_BODY_MS          15000
#define HTTP_BODY_BYTES_PER_S 16384
#define HTTP_HOST_BYTES       64

struct access_log;
struct http;
struct http_exchange;

/* Borrowed until the exchange is answered. */
struct http_request {
    const char *method;
    char *target; /* as it was sent, undecoded; the handler may change it in place */
    size_t target_length;
    const char *content_type;  /* NULL: none was sent */
    const char *authorization; /* likewise */
    char *body;                /* NUL-terminated and changeable too; NULL: none */
    size_t body_length;
    char client_host[HTTP_HOST_BYTES]; /* an address, without brackets */
    /* The request could not be read whole and must be answered with this: ERROR_TOO_LARGE (the
     * target or the body), ERROR_BUSY (HTTP_BODIES_MAX_BYTES) or ERROR_INVALID (where the body ends
     * is ambiguous, or the host is: the reply must close the connection). */
    enum error_code refused;
    bool target_too_long;
    bool wrong_host; /* there is no Host header, or there are several */
    size_t route; /* the handler's to set: by which row of its table it answers, for the metrics */
};

/* Fills at most size bytes of a streamed body; the number of bytes, 0 at the end, -1 when it cannot
 * go on (the connection is then closed, so that the body does not look whole). On the loop's
 * thread. */
typedef long http_stream_fn(void *stream, char *out, size_t size);

struct http_reply {
    unsigned status;
    struct buffer body; /* taken by the reply */
    const char *type;   /* static text: its Content-Type; NULL: application/json */
    const char *allow;  /* static text of an Allow header, or NULL */
    unsigned retry_s;   /* Retry-After: seconds until it may be asked again; 0: no such header */
    bool close;         /* the connection, after it */
    /* Instead of a body: */
    http_stream_fn *stream; /* NULL: none */
    void *stream_context;
    void (*stream_free)(void *stream);
};

/* Answers by filling *reply and returning true; or returns false, has kept the exchange, and calls
 * http_answer later. thread is what thread_begin gave for the calling thread. */
typedef bool http_handler(void *context, void *thread, struct http_exchange *exchange,
                          struct http_reply *reply);

struct http_settings {
    struct address listen; /* port 0: any free one */
    unsigned threads;
    struct access_log *access_log; /* with a ring for each thread; NULL: none. Borrowed */
    http_handler *handle;
    void *context;
    /* Makes and ends what each loop has for itself; begin runs before http_start returns. */
    enum error_code (*thread_begin)(void *context, void **thread, struct error *error);
    void (*thread_end)(void *context, void *thread);
    /* On the loop's thread, before it waits for something to do, and every second while it does not
     * come to that; NULL: nothing. */
    void (*thread_rest)(void *context, void *thread);
    /* Whether that would do anything; NULL: never before it waits. It costs a look at the sockets
     * without waiting. */
    bool (*thread_must_rest)(void *context, void *thread);
};

/* Listens and serves. Errors say what is wrong with the address. */
MUST_CHECK enum error_code http_start(const struct http_settings *settings, struct http **http,
                                      struct error *error);

/* With the port that was taken. */
const struct address *http_address(const struct http *http);

struct http_request *http_request(struct http_exchange *exchange);

/* How long one of the loops has not come round since it was asked to, and asks them again: about 0
 * while all of them serve. Call it every second or so, from one thread. */
int64_t http_check_ms(struct http *http);

/* Any thread, once for each exchange that a handler kept. Takes the reply's contents. */
void http_answer(struct http_exchange *exchange, const struct http_reply *reply);

/* Takes no more connections, sends what is answered (for a quarter of a second at most), closes all
 * and frees. No exchange may be unanswered by then. NULL is allowed. */
void http_stop(struct http *http);
