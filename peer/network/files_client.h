/*
 * Several small files from another peer by one call (DownloadFiles), each handed over as it
 * arrives. Calls end soon after the interrupt is raised. Any thread; the interrupt is for one at a
 * time.
 */
#pragma once

#include "common/address.h"
#include "common/content.h"
#include "common/error.h"
#include "common/file_name.h"
#include "peer/limits/limits.h"
#include "peer/network/interrupt.h"
#include "peer/rpc/channel_pool.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Who sends less than this a second, after so many times stall_ms for the beginning, is left: its
 * files are fetched in the way that asks several peers at once. What our own limits make us wait,
 * and what the taker does, is not counted. */
#define FILES_CLIENT_BEGIN_STALLS 10
#define FILES_CLIENT_BYTES_SECOND 16384

struct files_client_options { /* all borrowed for the call */
    const struct address *address;
    struct channel_pool *channels; /* NULL: a connection of its own */
    struct limits *limits;         /* may be NULL */
    struct interrupt *interrupt;
    int64_t stall_ms; /* that nothing may come for; 0: PEER_STEP_MS */
};

struct files_client_file {
    const struct file_name *name;     /* both borrowed for the call */
    const struct content_id *content; /* that the file must be */
    int64_t size_bytes;               /* of that content; 0 to PIECE_BYTES */
};

/* On the thread that fetches. For each file one of arrived and refused is called at most once, in
 * order of the index. */
struct files_client_taker {
    /* The whole file, of exactly its size; borrowed for the call. It was not compared with its
     * content id. */
    void (*arrived)(void *context, size_t index, const void *data, size_t bytes);
    /* That file does not come from there; the others go on. */
    void (*refused)(void *context, size_t index, const struct error *error);
    /* After each message. False: enough, the fetch ends with ERROR_CANCELLED. May be NULL. */
    bool (*go_on)(void *context);
    void *context;
};

/* ERROR_NONE: the taker has heard of every file. Any number of files (none is fine): the peer is
 * asked for FILES_PART_MAX at a time. ERROR_UNSUPPORTED: it has no such method; ERROR_BUSY: it has
 * us wait in a line, or has too many such calls; ERROR_CORRUPT: it sent what was not asked for;
 * ERROR_TIMEOUT: nothing came, or too slowly; else what the peer says, ERROR_UNREACHABLE,
 * ERROR_CANCELLED. Of what was not told then nothing is known. */
MUST_CHECK enum error_code files_client_fetch(const struct files_client_options *options,
                                              const struct files_client_file *files, size_t count,
                                              const struct files_client_taker *taker,
                                              struct error *error);
