/*
 * What the core does not do for addresses that a server listens at: clear errors, and Unix sockets
 * that are neither stolen from a running program nor open to others.
 */
#pragma once

#include "common/error.h"

#include <stdbool.h>

bool listener_is_unix(const char *address); /* "unix:/path" */

/* Before the core binds. ERROR_INVALID: no address. ERROR_BUSY: a program answers at that Unix
 * socket (the core would unlink the socket and take its place). A socket that nobody answers at is
 * left over and is no error. */
MUST_CHECK enum error_code listener_check(const char *address, struct error *error);

/* After the core failed to bind and did not say why: tries it again by hand for the reason. */
MUST_CHECK enum error_code listener_explain(const char *address, struct error *error);

/* Gives a Unix socket to its owner alone (mode 0600). */
MUST_CHECK enum error_code listener_protect(const char *address, struct error *error);
