/*
 * The head of a HTTP/1.x request (RFC 9112), read in place: no I/O, no memory of its own. Any
 * thread.
 *
 * Strict where two readers could see two different requests: no space around a header's name, no
 * folded line, no bare CR, no NUL, one Host, and one way only to tell where the body ends. A line
 * may end with LF alone (RFC 9112 2.2).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum http_body_kind { HTTP_BODY_NONE, HTTP_BODY_LENGTH, HTTP_BODY_CHUNKED };

/* Strings point into the text, NUL-terminated there; NULL: no such header. */
struct http_head {
    const char *method;
    char *target;
    size_t target_length;
    const char *content_type;
    const char *authorization;
    enum http_body_kind body;
    unsigned long long body_bytes; /* HTTP_BODY_LENGTH; the most that fits for what does not */
    bool old;                      /* HTTP/1.0 */
    bool keeps_alive;              /* the client wants the connection to stay */
    bool expects;                  /* to be told that it may send the body */
    bool ambiguous;                /* where the body ends is a matter of opinion (RFC 9112 6.3) */
};

/* The length of a head with its empty line at the end; 0: it is not whole yet. *scanned is how far
 * earlier calls have looked, 0 at first. */
size_t http_head_length(const char *text, size_t length, size_t *scanned);

/* Reads a whole head and changes it. 0, or the status that says what is wrong: 400 or 505. */
unsigned http_head_parse(char *text, size_t length, struct http_head *head);

/* Whether a request could begin with this byte: so that other protocols are told at once. */
bool http_head_can_begin(char first);
