/*
 * One file from one peer into one incoming file: a DownloadFile call whose bytes are written from
 * where the transport has them.
 */
#pragma once

#include "common/address.h"
#include "common/error.h"
#include "common/file_name.h"
#include "peer/limits/limits.h"
#include "peer/network/interrupt.h"
#include "peer/share/share.h"

#include <stdbool.h>
#include <stdint.h>

struct transfer {
    const struct address *address;
    const struct file_name *name;
    struct share_incoming *incoming; /* empty */
    struct interrupt *interrupt;
    struct limits *limits; /* may be NULL */
    int64_t stall_ms;      /* no byte for so long: ERROR_TIMEOUT */
    /* After each message; total_bytes 0: unknown. On the calling thread. */
    void (*progress)(void *context, int64_t bytes, int64_t total_bytes);
    void *context;
};

/* Blocks. ERROR_NONE: all is written and as many bytes as the sender told. *local: the failure is
 * ours (disk, cancelled), so another source would not help. Errors in Spanish. */
MUST_CHECK enum error_code transfer_run(const struct transfer *transfer, bool *local,
                                        struct error *error);
