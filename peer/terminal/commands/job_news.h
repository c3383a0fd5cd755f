/*
 * News of the daemon's downloads in a queue, for a loop that polls. One thread.
 */
#pragma once

#include "common/error.h"
#include "proto/control.pb-c.h"

struct job_news;

/* As job_follow_start. *news is owned by the caller. */
MUST_CHECK enum error_code job_news_start(const char *socket_path, const char *start_hint,
                                          struct job_news **news, struct error *error);
void job_news_stop(struct job_news *news); /* joins and frees; NULL is fine */

/* Readable after something has come, or the connection was lost. */
int job_news_descriptor(const struct job_news *news);

/* The next change, with a job in it; the caller's. NULL: none now; *code says whether more can
 * come: ERROR_NONE, else why not. */
P2p__Control__DownloadsReply *job_news_take(struct job_news *news, enum error_code *code,
                                            struct error *error);
