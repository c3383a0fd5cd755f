/*
 * The directory as a peer sees it: log in, search. HTTP by libcurl, only here.
 *
 * Works with our directory (fields in a form body, the index of any length) and with the
 * reference's (fields in the query string; it answers 422 to a body, which is how we tell; its
 * index only grows and its URL ends at 64 KiB, so a long index goes in several logins).
 *
 * One object belongs to one thread at a time; make one a thread. A call ends within its time-out,
 * and soon after the stop event is raised.
 */
#pragma once

#include "common/address.h"
#include "common/error.h"
#include "common/stop_event.h"
#include "peer/share/share.h"

#include <stddef.h>
#include <stdint.h>

#define DIRECTORY_TIMEOUT_MS 10000

struct directory_client;

struct directory_client_options {
    const char *login_url;   /* api_url; copied */
    const char *search_url;  /* api_search_url; copied */
    struct stop_event *stop; /* borrowed; may be NULL */
};

struct directory_client *directory_client_new(const struct directory_client_options *options);
void directory_client_free(struct directory_client *client);

struct directory_login {
    const char *username;
    const char *password;
    const char *advertise;          /* "host:port" that goes into every url list */
    const struct share_list *files; /* NULL: no index, a plain heartbeat */
};

struct directory_session {
    char token[128];      /* "" when there was none */
    int64_t expiry_ms;    /* the contract's default 30 s where the directory does not tell */
    int64_t heartbeat_ms; /* a third of the expiry where it does not tell */
};

/* ERROR_DENIED: wrong user or password. ERROR_INVALID: it refused the index. ERROR_UNREACHABLE,
 * ERROR_TIMEOUT, ERROR_BUSY (503), ERROR_CANCELLED (stop). */
MUST_CHECK enum error_code directory_login(struct directory_client *client,
                                           const struct directory_login *login,
                                           struct directory_session *session, struct error *error);

struct directory_source {
    char *peer;                /* name as the directory gave it, well-formed UTF-8 */
    struct address *addresses; /* may be none */
    size_t address_count;
};

struct directory_sources {
    struct directory_source *items;
    size_t count;
};

/* Who has the file now. ERROR_NOT_FOUND with the directory's own text; else as above. */
MUST_CHECK enum error_code directory_search(struct directory_client *client,
                                            const struct file_name *name,
                                            struct directory_sources *sources, struct error *error);
void directory_sources_done(struct directory_sources *sources);
