/*
 * The daemon's downloads as they are now, in the order of their numbers.
 */
#pragma once

#include "common/error.h"
#include "peer/terminal/control_client.h"

#include <stddef.h>
#include <stdint.h>

struct job_list {
    P2p__Control__Job **jobs; /* borrowed from the replies below */
    P2p__Control__DownloadsReply **replies;
    size_t count;
};

/* *list is owned by the caller (job_list_done), empty after an error. */
MUST_CHECK enum error_code job_list_get(struct control_client *client, struct job_list *list,
                                        struct error *error);
void job_list_done(struct job_list *list);

/* NULL: there is no such download (any more). */
const P2p__Control__DownloadsReply *job_list_find_reply(const struct job_list *list, uint64_t id);
const P2p__Control__Job *job_list_find(const struct job_list *list, uint64_t id);
/* The error that says so. */
enum error_code job_list_missing(uint64_t id, struct error *error);
