/*
 * A thread that follows the daemon's downloads, so that nothing of them is missed while something
 * else is waited for.
 */
#pragma once

#include "common/error.h"
#include "proto/control.pb-c.h"

#include <stdbool.h>

struct job_follow;

struct job_follow_options {
    const char *socket_path; /* both are copied */
    const char *start_hint;  /* the command that starts the daemon, for texts */
    bool again;              /* when the connection is lost it is made again, until it stops */
    /* On the thread, and must not block for long. Each change after the beginning, with a job in
     * it; the taker keeps it by setting *reply to NULL. */
    void (*take)(void *context, P2p__Control__DownloadsReply **reply);
    /* Likewise: nothing comes any more, and why. Not with `again`. NULL: nobody wants to know. */
    void (*end)(void *context, const struct error *error);
    void *context;
};

/* Waits until following has begun: every change after that will be told. ERROR_UNREACHABLE: no
 * daemon. *follow is owned by the caller. */
MUST_CHECK enum error_code job_follow_start(const struct job_follow_options *options,
                                            struct job_follow **follow, struct error *error);
void job_follow_stop(struct job_follow *follow); /* joins and frees; NULL is fine */
