/*
 * The listening socket: any address that getaddrinfo(3) knows, non-blocking.
 */
#pragma once

#include "common/address.h"
#include "common/error.h"

/* Listens on wanted (port 0: a free one). *listener is the caller's; taken is wanted with the port
 * that it got. ERROR_INVALID: no such host; else what the system says, such as a port in use. */
MUST_CHECK enum error_code listener_open(const struct address *wanted, int *listener,
                                         struct address *taken, struct error *error);
