/*
 * Another peer as we see it: what it shares, and sending it a file. (Fetching one is
 * downloads/transfer.) Calls block; any thread; they end soon after the interrupt is raised.
 */
#pragma once

#include "common/address.h"
#include "common/content.h"
#include "common/error.h"
#include "common/file_name.h"
#include "peer/limits/limits.h"
#include "peer/network/interrupt.h"
#include "peer/share/share.h"

#include <stdbool.h>
#include <stdint.h>

#define PEER_STEP_MS 10000 /* a single wait for another peer, connecting included */

/* The same for the messages of an upload after the first: the other side may have a limit to what
 * it receives, and lets us wait for as long as its share of it takes. */
#define PEER_UPLOAD_STEP_MS 60000

struct peer_file {
    char *name; /* as the other side gave it; made harmless (text_clean) where it is no good name */
    bool is_good; /* it is one that can be asked for */
    int64_t size_bytes;
    bool has_content;
    struct content_id content;
};

struct peer_files {
    struct peer_file *items;
    size_t count;
};

/* The order is the other side's. *files is the caller's (peer_files_done). ERROR_UNREACHABLE,
 * ERROR_TIMEOUT, or what the other side says. */
MUST_CHECK enum error_code peer_list_files(const struct address *address,
                                           struct interrupt *interrupt, struct peer_files *files,
                                           struct error *error);
void peer_files_done(struct peer_files *files);

struct peer_manifest_request {
    const struct address *address;
    const struct file_name *name;
    const struct content_id *content; /* the one that is wanted; NULL: whichever it is */
    struct interrupt *interrupt;
};

/* The hashes of a file's pieces, checked to belong to the id that comes with them (and that was
 * wanted). *manifest is owned by the caller (manifest_done), empty after an error.
 * ERROR_UNSUPPORTED: a peer that knows no hashes, the reference's for one; ERROR_BUSY: it does not
 * know them yet; ERROR_NOT_FOUND; ERROR_CHANGED: it has other content; ERROR_CORRUPT: what came is
 * no such thing; or as peer_list_files. */
MUST_CHECK enum error_code peer_get_manifest(const struct peer_manifest_request *request,
                                             struct manifest *manifest, struct error *error);

struct peer_upload {
    const struct address *address;
    const struct file_name *name;
    int descriptor;     /* of a regular file, read from its start */
    int64_t size_bytes; /* it must keep this size: ERROR_CHANGED */
    struct interrupt *interrupt;
    struct limits *limits;                          /* NULL: none */
    void (*progress)(void *context, int64_t bytes); /* after each message */
    void *context;
};

struct peer_upload_result {
    bool ok; /* what the other side says */
    char message[ERROR_TEXT_BYTES];
};

/* ERROR_NONE: the other side has answered, *result says what. */
MUST_CHECK enum error_code peer_upload_file(const struct peer_upload *upload,
                                            struct peer_upload_result *result, struct error *error);
