/*
 * The sockets that a server listens on: clear errors, and Unix sockets that are neither stolen from
 * a running program nor ever open to others.
 */
#pragma once

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LISTENER_MAX_SOCKETS \
    8 /* a name that has more addresses is listened for at the first ones */

struct listener {
    int sockets[LISTENER_MAX_SOCKETS]; /* they do not block */
    size_t count;
    uint16_t port; /* 0 for a Unix socket */
    char *path;    /* of a Unix socket, else NULL */
};

bool listener_is_unix(const char *address); /* "unix:/path" */

/* Listens at "host:port" (port 0: a free one; a name: at all its addresses; 0.0.0.0 and [::]: at
 * every address of either family) or at "unix:/path", which nobody but the owner can connect to
 * (mode 0600). A Unix socket that nobody answers at is left over and is replaced. What TCP sockets
 * have set (no delay, keepalive) the accepted ones inherit.
 * ERROR_BUSY: the address is in use; ERROR_INVALID: it is none, or none of this machine. */
MUST_CHECK enum error_code listener_open(const char *address, struct listener *listener,
                                         struct error *error);

/* Also after a failed open. A Unix socket's name goes. */
void listener_close(struct listener *listener);
