/*
 * The access log: a line for each reply, off unless it is asked for.
 *
 *   2026-01-31T10:20:30.123Z 172.28.0.3 200 0.000123 GET /buscar_archivos
 *
 * When, who, status, seconds from a whole request to the beginning of its reply, method, path.
 * Never a query, a body or a header, so neither passwords nor tokens.
 *
 * Whoever answers puts an entry into a ring of his own, which never waits; a thread of the log's
 * takes them out several times a second and writes. What finds its ring full, or cannot be written,
 * is left out and counted (METRICS_ACCESS_DROPPED).
 */
#pragma once

#include "common/error.h"

#include <stddef.h>
#include <stdint.h>

/* For each thread that answers: 100 ms at 80,000 requests a second, 3 MiB. */
#define ACCESS_LOG_ENTRIES    8192
#define ACCESS_LOG_HOST_BYTES 64
#define ACCESS_LOG_PATH_BYTES 256 /* longer ones are cut */

struct access_log;

/* Opens the file, to append, or makes it (0600), and starts the thread. *log is the caller's. */
MUST_CHECK enum error_code access_log_open(const char *path, size_t rings, struct access_log **log,
                                           struct error *error);
/* Writes what is in the rings, joins the thread, frees. NULL is allowed. */
void access_log_close(struct access_log *log);

/* The file was renamed, say: the thread opens it by its path anew. Any thread. */
void access_log_reopen(struct access_log *log);

struct access_request {
    const char *host, *method;
    const char *target; /* only its path is taken */
    unsigned status;
    int64_t taken_us;
};
/* Never waits. One thread for each ring. */
void access_log_note(struct access_log *log, size_t ring, const struct access_request *request);
