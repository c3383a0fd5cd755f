/*
 * An HTTP server of one thread that answers what the test says and remembers what it was asked.
 * Loopback, a free port, connections one after the other.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define HTTP_STUB_REQUESTS 64

struct http_stub_request {
    char *head; /* request line and headers */
    char *body;
    int connection; /* the how-manieth */
};

struct http_stub;

/* Fills in what is sent back: status and body. Called on the stub's thread. A status of 0 sends
 * nothing and keeps the client waiting. */
typedef void http_stub_answer_fn(void *context, const struct http_stub_request *request,
                                 int *status, char *body, size_t body_size);

struct http_stub *http_stub_start(http_stub_answer_fn *answer, void *context);
void http_stub_stop(struct http_stub *stub);

/* "http://127.0.0.1:PORT". Borrowed. */
const char *http_stub_url(const struct http_stub *stub);

/* How many requests there were; waits for that many first, at most five seconds. */
size_t http_stub_wait(struct http_stub *stub, size_t wanted);

/* Borrowed until http_stub_stop. */
const struct http_stub_request *http_stub_request(struct http_stub *stub, size_t number);
