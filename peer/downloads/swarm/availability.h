/*
 * Asks a source which pieces of a content it has. Used by session.c.
 */
#pragma once

#include "common/content.h"
#include "common/error.h"
#include "common/file_name.h"
#include "peer/network/interrupt.h"
#include "peer/rpc/client.h"

#include <stdbool.h>
#include <stdint.h>

struct availability_request {
    struct rpc_channel *channel;
    const struct manifest *manifest; /* of the content */
    const struct file_name *name;    /* under which it may be there */
    struct interrupt *interrupt;
    int64_t timeout_ms;
};

struct availability {
    uint8_t *have;         /* a bit field as in pieces.h, owned by the caller; NULL: it has all */
    bool named;            /* it has all, */
    struct file_name name; /* under this name */
};

/* Blocks. ERROR_NOT_FOUND: it has nothing of it; ERROR_UNSUPPORTED: a peer that tells nothing of
 * the kind; ERROR_CORRUPT: what it says makes no sense; or as any call. */
MUST_CHECK enum error_code availability_ask(const struct availability_request *request,
                                            struct availability *availability, struct error *error);
