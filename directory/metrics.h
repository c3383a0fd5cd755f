/*
 * What the directory counts of itself, for GET /metrics: Prometheus' text format 0.0.4. Names and
 * units are Prometheus' (seconds, bytes, _total for what only rises).
 *
 * Each thread counts in memory of its own, so that counting costs a plain addition and no cache
 * line wanders between cores; who asks adds the threads up. The first count of a thread takes a
 * lock, once. What has ended threads counted stays. One for the process, like the log. Any thread.
 */
#pragma once

#include "common/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum metrics_counter {
    METRICS_CONNECTIONS_OPENED,
    METRICS_CONNECTIONS_CLOSED,
    METRICS_EXPIRIES,
    METRICS_COMMITS_FAILED,
    METRICS_WRITES_REFUSED,
    METRICS_ACCESS_DROPPED,
    METRICS_COUNTER_COUNT
};

enum metrics_histogram {
    METRICS_COMMIT_US,   /* how long a commit took, in microseconds */
    METRICS_COMMIT_JOBS, /* what it stored: lists, and records of peers */
    METRICS_LOGIN_US,    /* how long a login waited for a thread that does what takes long */
    METRICS_HISTOGRAM_COUNT
};

void metrics_add(enum metrics_counter counter, uint64_t number);
void metrics_observe(enum metrics_histogram histogram, int64_t value);

/* Rows of the table of routes, and one more: what was answered without any. */
#define METRICS_ROUTES_MAX 32

/* A reply begins to be sent, so long after the request was whole. route: 0 for none, else the row's
 * number from 1 on. */
void metrics_request(size_t route, unsigned status, int64_t taken_us);

/* What is not counted here but told by whoever asks. */
struct metrics_state {
    size_t live_peers;
    int64_t indexed_files;
    size_t queued_entries; /* of the writer */
    size_t queued_bytes;
    int64_t stalled_ms; /* of the slowest loop */
    bool ready;
    int64_t started_ms; /* since 1970 UTC */
    /* The path of a row, from 0 on, and its method; NULL where the table ends. */
    const char *(*route)(size_t row, const char **method);
};
void metrics_write(const struct metrics_state *state, struct buffer *out);
