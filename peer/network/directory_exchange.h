/*
 * One HTTP request after the other, to directories; libcurl is only here. Statuses become errors
 * here. What directory_client.h says of redirects, proxies, times and texts holds.
 */
#pragma once

#include "peer/network/directory_client.h"

#include <stddef.h>

struct directory_exchange;

struct directory_request {
    const char *url;
    const char *body; /* NULL: GET */
    size_t body_bytes;
    bool is_json;      /* the body; else form fields */
    const char *token; /* NULL: none */
};

struct directory_exchange *directory_exchange_new(void);
void directory_exchange_free(struct directory_exchange *exchange);
void directory_exchange_prepare(struct directory_exchange *exchange,
                                const struct directory_client_options *options);

/* *status is the HTTP status. ERROR_UNREACHABLE, ERROR_TIMEOUT, ERROR_CANCELLED, ERROR_TOO_LARGE
 * (the reply), ERROR_INVALID (the address of the directory). */
MUST_CHECK enum error_code directory_exchange_run(struct directory_exchange *exchange,
                                                  const struct directory_request *request,
                                                  long *status, struct error *error);

/* The one place where HTTP statuses become errors; 200 is none. */
MUST_CHECK enum error_code directory_exchange_error(const struct directory_exchange *exchange,
                                                    long status, struct error *error);

/* Of the last reply. The text is borrowed until the next request, or until it is dropped. */
const char *directory_exchange_reply(const struct directory_exchange *exchange, size_t *length);
void directory_exchange_drop(struct directory_exchange *exchange);
int64_t directory_exchange_retry_ms(const struct directory_exchange *exchange);

/* Which address of ours the last request went from, "" if that is not known. */
void directory_exchange_local(const struct directory_exchange *exchange,
                              char address[DIRECTORY_HOST_BYTES]);
