#include "directory/metrics.h"

#include "common/memory.h"
#include "directory/version.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    BUCKETS_MAX = 16,
    CACHE_LINE_BYTES = 128, /* two: processors fetch them in pairs */
    US_PER_S = 1000000,
};

/* Only its thread writes it; others read what is there. */
typedef atomic_uint_least64_t cell;

struct histogram {
    cell buckets[BUCKETS_MAX]; /* the last one is of what is over all bounds */
    cell sum;
};

static const unsigned statuses[] = {200, 400, 401, 404, 405, 413, 414, 422, 503};
enum { STATUS_COUNT = ARRAY_LENGTH(statuses) + 1 }; /* and others */

struct shard {
    alignas(CACHE_LINE_BYTES) struct shard *next;
    cell counters[METRICS_COUNTER_COUNT];
    struct histogram histograms[METRICS_HISTOGRAM_COUNT];
    cell requests[METRICS_ROUTES_MAX][STATUS_COUNT];
    struct histogram latencies[METRICS_ROUTES_MAX];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct shard *shards; /* guarded by lock; those that are in it stay */
static _Thread_local struct shard *own;

/* ---- counting ---- */

static struct shard *begin_shard(void)
{
    struct shard *made = aligned_alloc(CACHE_LINE_BYTES, sizeof *made);

    if (!made)
        abort(); /* as memory_new does */
    memset(made, 0, sizeof *made);
    pthread_mutex_lock(&lock);
    made->next = shards;
    shards = made;
    pthread_mutex_unlock(&lock);
    own = made;
    return made;
}

static inline struct shard *shard(void)
{
    return own ? own : begin_shard();
}

static inline void add(cell *place, uint64_t number)
{
    atomic_store_explicit(place, atomic_load_explicit(place, memory_order_relaxed) + number,
                          memory_order_relaxed);
}

static const int64_t time_bounds_us[] = {50,     100,    250,    500,     1000,
                                         2500,   5000,   10000,  25000,   50000,
                                         100000, 250000, 500000, 1000000, 5000000};
static const int64_t size_bounds[] = {1, 2, 4, 8, 16, 32, 64, 128, 256};

static void observe(struct histogram *histogram, const int64_t *bounds, size_t count, int64_t value)
{
    size_t place = 0;

    while (place < count && value > bounds[place])
        place++;
    add(&histogram->buckets[place], 1);
    add(&histogram->sum, value > 0 ? (uint64_t)value : 0);
}

void metrics_add(enum metrics_counter counter, uint64_t number)
{
    add(&shard()->counters[counter], number);
}

void metrics_observe(enum metrics_histogram histogram, int64_t value)
{
    if (histogram == METRICS_COMMIT_JOBS)
        observe(&shard()->histograms[histogram], size_bounds, ARRAY_LENGTH(size_bounds), value);
    else
        observe(&shard()->histograms[histogram], time_bounds_us, ARRAY_LENGTH(time_bounds_us),
                value);
}

void metrics_request(size_t route, unsigned status, int64_t taken_us)
{
    struct shard *mine = shard();
    size_t place = 0;

    if (route >= METRICS_ROUTES_MAX)
        route = 0;
    while (place < ARRAY_LENGTH(statuses) && statuses[place] != status)
        place++;
    add(&mine->requests[route][place], 1);
    observe(&mine->latencies[route], time_bounds_us, ARRAY_LENGTH(time_bounds_us), taken_us);
}

/* ---- adding up ---- */

static void take(cell *sum, const cell *cells, size_t count)
{
    for (size_t i = 0; i < count; i++)
        add(&sum[i], atomic_load_explicit(&cells[i], memory_order_relaxed));
}

/* A shard is nothing but a link and cells. */
static void add_up(struct shard *sum)
{
    enum { CELLS = (sizeof *sum - offsetof(struct shard, counters)) / sizeof(cell) };

    memset(sum, 0, sizeof *sum);
    pthread_mutex_lock(&lock);
    const struct shard *first = shards;
    pthread_mutex_unlock(&lock);
    for (const struct shard *shard = first; shard; shard = shard->next)
        take(sum->counters, shard->counters, CELLS);
}

/* ---- writing ---- */

struct family {
    const char *name, *type, *help;
};

static void write_family(struct buffer *out, const struct family *family)
{
    buffer_printf(out, "# HELP %s %s\n# TYPE %s %s\n", family->name, family->help, family->name,
                  family->type);
}

static void write_number(struct buffer *out, const struct family *family, double value)
{
    write_family(out, family);
    buffer_printf(out, "%s %.15g\n", family->name, value);
}

static const struct {
    enum metrics_counter counter;
    struct family family;
} counter_rows[] = {
    {METRICS_CONNECTIONS_OPENED,
     {"p2p_directory_connections_total", "counter", "HTTP connections accepted."}},
    {METRICS_EXPIRIES,
     {"p2p_directory_peer_expiries_total", "counter", "Peers whose time ran out."}},
    {METRICS_COMMITS_FAILED,
     {"p2p_directory_commit_failures_total", "counter",
      "Transactions that could not be committed."}},
    {METRICS_ACCESS_DROPPED,
     {"p2p_directory_access_log_dropped_total", "counter", "Lines that the access log left out."}},
    {METRICS_WRITES_REFUSED,
     {"p2p_directory_writes_refused_total", "counter",
      "Entries that the writer's full queue did not take."}},
};

static const struct {
    const int64_t *bounds;
    size_t count;
    double unit;
    struct family family;
} histogram_rows[METRICS_HISTOGRAM_COUNT] = {
    [METRICS_COMMIT_US] = {time_bounds_us,
                           ARRAY_LENGTH(time_bounds_us),
                           US_PER_S,
                           {"p2p_directory_commit_seconds", "histogram",
                            "Time of each transaction of the writer, from its beginning."}},
    [METRICS_COMMIT_JOBS] = {size_bounds,
                             ARRAY_LENGTH(size_bounds),
                             1,
                             {"p2p_directory_commit_entries", "histogram",
                              "Entries of the queue that were committed together."}},
    [METRICS_LOGIN_US] = {time_bounds_us,
                          ARRAY_LENGTH(time_bounds_us),
                          US_PER_S,
                          {"p2p_directory_login_wait_seconds", "histogram",
                           "Time that logins waited for a thread that checks passwords or reads "
                           "long lists."}},
};

/* labels: "" or such as "a=\"b\"". */
static void write_histogram(struct buffer *out, size_t row, const char *name, const char *labels,
                            const struct histogram *histogram)
{
    const char *comma = *labels ? "," : "";
    uint64_t count = 0;

    for (size_t i = 0; i < histogram_rows[row].count; i++) {
        count += histogram->buckets[i];
        buffer_printf(out, "%s_bucket{%s%sle=\"%g\"} %" PRIu64 "\n", name, labels, comma,
                      (double)histogram_rows[row].bounds[i] / histogram_rows[row].unit, count);
    }
    count += histogram->buckets[histogram_rows[row].count];
    buffer_printf(out, "%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n", name, labels, comma, count);
    const char *open = *labels ? "{" : "";
    const char *close = *labels ? "}" : "";
    buffer_printf(out, "%s_sum%s%s%s %.15g\n", name, open, labels, close,
                  (double)histogram->sum / histogram_rows[row].unit);
    buffer_printf(out, "%s_count%s%s%s %" PRIu64 "\n", name, open, labels, close, count);
}

/* The labels of a row; what no row answered has empty ones. */
static bool describe_route(const struct metrics_state *state, size_t number, char *out, size_t size)
{
    const char *method = "";
    const char *path = number > 0 ? state->route(number - 1, &method) : "";

    if (path)
        snprintf(out, size, "route=\"%s\",method=\"%s\"", path, method);
    return path != NULL;
}

static void write_requests(struct buffer *out, const struct metrics_state *state,
                           const struct shard *sum)
{
    static const struct family requests = {"p2p_directory_http_requests_total", "counter",
                                           "Requests answered, by route and status."};
    static const struct family latency = {
        "p2p_directory_http_request_seconds", "histogram",
        "Time from a whole request to the beginning of its reply, by route."};
    char labels[128];

    write_family(out, &requests);
    for (size_t i = 0; i < METRICS_ROUTES_MAX && describe_route(state, i, labels, sizeof labels);
         i++) {
        for (size_t j = 0; j < STATUS_COUNT; j++) {
            char status[16] = "other";
            if (sum->requests[i][j] == 0)
                continue;
            if (j < ARRAY_LENGTH(statuses))
                snprintf(status, sizeof status, "%u", statuses[j]);
            buffer_printf(out, "%s{%s,status=\"%s\"} %" PRIuLEAST64 "\n", requests.name, labels,
                          status, sum->requests[i][j]);
        }
    }
    write_family(out, &latency);
    for (size_t i = 0; i < METRICS_ROUTES_MAX && describe_route(state, i, labels, sizeof labels);
         i++)
        write_histogram(out, METRICS_COMMIT_US, latency.name, labels, &sum->latencies[i]);
}

/* Of this process now, as far as the system tells. */
static void write_process(struct buffer *out, int64_t started_ms)
{
    static const struct family memory = {"process_resident_memory_bytes", "gauge",
                                         "Resident memory."};
    static const struct family time = {"process_cpu_seconds_total", "counter",
                                       "Processor time used, by the program and for it."};
    static const struct family start = {"process_start_time_seconds", "gauge",
                                        "When the process started, in seconds since 1970."};
    static const struct family files = {"process_max_fds", "gauge",
                                        "Descriptors that the process may have open."};
    struct rusage usage;
    struct rlimit limit;
    auto_fclose FILE *status = fopen("/proc/self/statm", "re");
    long resident_pages;

    if (status && fscanf(status, "%*s %ld", &resident_pages) == 1)
        write_number(out, &memory, (double)resident_pages * (double)sysconf(_SC_PAGESIZE));
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        write_number(out, &time,
                     (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                         (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / US_PER_S);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        write_number(out, &files, (double)limit.rlim_cur);
    write_number(out, &start, (double)started_ms / 1000);
}

static void write_state(struct buffer *out, const struct metrics_state *state,
                        const struct shard *sum)
{
    /* The two are not read at the same moment. */
    int64_t open = (int64_t)(sum->counters[METRICS_CONNECTIONS_OPENED] -
                             sum->counters[METRICS_CONNECTIONS_CLOSED]);
    const struct {
        struct family family;
        double value;
    } rows[] = {
        {{"p2p_directory_live_peers", "gauge", "Peers that are there."}, (double)state->live_peers},
        {{"p2p_directory_indexed_files", "gauge", "Files of all peers, those away too."},
         (double)state->indexed_files},
        {{"p2p_directory_writer_queue_entries", "gauge", "Entries that wait for the writer."},
         (double)state->queued_entries},
        {{"p2p_directory_writer_queue_bytes", "gauge", "Memory of the lists that wait for it."},
         (double)state->queued_bytes},
        {{"p2p_directory_connections_open", "gauge", "HTTP connections that are open."},
         open > 0 ? (double)open : 0},
        {{"p2p_directory_loop_stall_seconds", "gauge",
          "How long the slowest HTTP loop had not come round when it was last looked at."},
         (double)state->stalled_ms / 1000},
        {{"p2p_directory_ready", "gauge", "1 when /readyz says so, else 0."}, state->ready ? 1 : 0},
    };

    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
        write_number(out, &rows[i].family, rows[i].value);
}

void metrics_write(const struct metrics_state *state, struct buffer *out)
{
    static const struct family version = {"p2p_directory_build_info", "gauge",
                                          "1; the labels say what this is."};
    struct shard sum;

    add_up(&sum);
    write_family(out, &version);
    buffer_printf(out, "%s{version=\"" P2P_VERSION "\"} 1\n", version.name);
    write_state(out, state, &sum);
    write_requests(out, state, &sum);
    for (size_t i = 0; i < ARRAY_LENGTH(counter_rows); i++)
        write_number(out, &counter_rows[i].family, (double)sum.counters[counter_rows[i].counter]);
    for (size_t i = 0; i < ARRAY_LENGTH(histogram_rows); i++) {
        write_family(out, &histogram_rows[i].family);
        write_histogram(out, i, histogram_rows[i].family.name, "", &sum.histograms[i]);
    }
    write_process(out, state->started_ms);
}
