/*
 * News of the daemon's downloads, taken by a thread of its own, so that none is missed while
 * something else is waited for.
 */
#pragma once

#include "common/error.h"
#include "proto/control.pb-c.h"

struct job_follow;

/* Waits until following has begun: every change after that will be told. ERROR_UNREACHABLE: no
 * daemon. *follow is owned by the caller. */
MUST_CHECK enum error_code job_follow_start(const char *socket_path, const char *start_hint,
                                            struct job_follow **follow, struct error *error);
void job_follow_stop(struct job_follow *follow); /* joins and frees; NULL is fine */

/* Readable after something has come, or the connection was lost. */
int job_follow_descriptor(const struct job_follow *follow);

/* The next change, with a job in it; the caller's. NULL: none now; *code says whether more can
 * come: ERROR_NONE, else why not. */
P2p__Control__DownloadsReply *job_follow_take(struct job_follow *follow, enum error_code *code,
                                              struct error *error);
