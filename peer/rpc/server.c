#include "peer/rpc/server.h"

#include "common/clock.h"
#include "common/memory.h"
#include "peer/rpc/acceptor.h"
#include "peer/rpc/lifecycle.h"
#include "peer/rpc/listener.h"
#include "peer/rpc/loop.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* Beside one a core: loops that wait for a disk (uploads faster than it, files that are not in
 * memory) must leave some for everybody else. An idle one costs a few pages. */
#define EXTRA_LOOPS 6

/* However few descriptors there may be. */
#define MIN_HOST_CALLS 16

struct rpc_server {
    struct acceptor *acceptor;
    struct host_counts *calls_by_host;
    struct rpc_times times;
    struct rpc_service *services;
    struct loop *loops;
    size_t loop_count; /* that loop_start was called for */
    size_t next_loop;  /* of the acceptor's thread */
    bool stopped;
};

/* ---- start ---- */

/* On the acceptor's thread. The loop with the fewest calls, for a transfer opens a connection of
 * its own; all alike in turn. */
static void hand_over(void *context, int descriptor)
{
    struct rpc_server *server = context;
    size_t start = server->next_loop++ % server->loop_count;
    struct loop *best = &server->loops[start];
    size_t best_calls = loop_calls(best);

    for (size_t i = 1; i < server->loop_count; i++) {
        struct loop *loop = &server->loops[(start + i) % server->loop_count];
        size_t calls = loop_calls(loop);

        if (calls < best_calls) {
            best = loop;
            best_calls = calls;
        }
    }
    loop_give(best, descriptor);
}

static uint64_t most_descriptors(void)
{
    struct rlimit limit = {.rlim_cur = 0};

    (void)getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}

static enum error_code listen_at(struct rpc_server *server,
                                 const struct rpc_server_options *options, struct error *error)
{
    struct acceptor_options acceptor = {
        .address = options->address,
        .limits = connection_limits_of(most_descriptors(), listener_is_unix(options->address)),
        .hand_over = hand_over,
        .context = server};

    if (options->max_connections) {
        acceptor.limits.total = options->max_connections;
        acceptor.limits.host = options->max_host_connections;
    }
    return acceptor_open(&acceptor, &server->acceptor, error);
}

static size_t clamp(uint64_t value, size_t least, size_t most)
{
    return value < least ? least : value > most ? most : (size_t)value;
}

static void limit_calls(struct rpc_server *server, const struct rpc_server_options *options)
{
    bool local = listener_is_unix(options->address);
    size_t total = clamp(most_descriptors(), 4 * MIN_HOST_CALLS, RPC_MAX_CALLS);
    size_t host = clamp(most_descriptors() / 4, MIN_HOST_CALLS, RPC_MAX_HOST_CALLS);

    if (options->max_calls) {
        total = options->max_calls;
        host = options->max_host_calls;
    }
    server->calls_by_host = host_counts_new(total, host, !local);
    server->times = (struct rpc_times){.request_ms = RPC_REQUEST_MS,
                                       .read_ms = RPC_READ_MS,
                                       .write_ms = local ? TIMEOUT_NEVER : RPC_WRITE_MS,
                                       .write_bytes_s = RPC_WRITE_BYTES_S,
                                       .refuse_ms = RPC_REFUSE_MS};
    if (options->times)
        server->times = *options->times;
}

static size_t default_loops(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    return (cores > 0 ? (size_t)cores : 1) + EXTRA_LOOPS;
}

static enum error_code start_loops(struct rpc_server *server,
                                   const struct rpc_server_options *options, struct error *error)
{
    size_t count = options->loops ? options->loops : default_loops();

    server->services = memory_new(options->service_count, sizeof *server->services);
    for (size_t i = 0; i < options->service_count; i++)
        server->services[i] = options->services[i];
    server->loops = memory_new(count, sizeof *server->loops);
    while (server->loop_count < count) {
        struct loop *loop = &server->loops[server->loop_count++];

        loop->engine.calls_by_host = server->calls_by_host;
        loop->engine.times = &server->times;
        loop->engine.services = server->services;
        loop->engine.service_count = options->service_count;
        loop->engine.connections = acceptor_connections(server->acceptor);
        enum error_code code = loop_start(loop, error);
        if (code)
            return code;
    }
    return ERROR_NONE;
}

enum error_code rpc_server_start(const struct rpc_server_options *options,
                                 struct rpc_server **server_out, struct error *error)
{
    struct rpc_server *server = memory_new(1, sizeof *server);

    rpc_lifecycle_acquire();
    limit_calls(server, options);
    enum error_code code = listen_at(server, options, error);
    if (!code)
        code = start_loops(server, options, error);
    if (!code)
        code = acceptor_start(server->acceptor, error);
    if (code) {
        rpc_server_free(server);
        return code;
    }
    *server_out = server;
    return ERROR_NONE;
}

uint16_t rpc_server_port(const struct rpc_server *server)
{
    return acceptor_port(server->acceptor);
}

void rpc_server_connections(const struct rpc_server *server, size_t *count, size_t *most)
{
    struct connections *connections = acceptor_connections(server->acceptor);

    *count = connections_count(connections);
    *most = connections_limits(connections).total;
}

/* ---- stop ---- */

int64_t rpc_server_busy_ms(const struct rpc_server *server)
{
    int64_t now_ms = clock_boot_ms();
    int64_t longest_ms = 0;

    for (size_t i = 0; i < server->loop_count; i++) {
        int64_t busy_ms = loop_busy_ms(&server->loops[i], now_ms);
        if (busy_ms > longest_ms)
            longest_ms = busy_ms;
    }
    return longest_ms;
}

void rpc_server_stop(struct rpc_server *server, int64_t grace_ms)
{
    struct timespec until = clock_deadline(grace_ms);

    if (server->stopped)
        return;
    server->stopped = true;
    if (server->acceptor)
        acceptor_stop(server->acceptor);
    for (size_t i = 0; i < server->loop_count; i++)
        loop_shut_down(&server->loops[i]);
    for (size_t i = 0; i < server->loop_count; i++)
        loop_wait(&server->loops[i], &until);
    for (size_t i = 0; i < server->loop_count; i++)
        loop_cancel(&server->loops[i]);
    for (size_t i = 0; i < server->loop_count; i++)
        loop_done(&server->loops[i]);
}

void rpc_server_free(struct rpc_server *server)
{
    if (!server)
        return;
    rpc_server_stop(server, 0);
    acceptor_free(server->acceptor);
    rpc_lifecycle_release();
    free(server->loops);
    free(server->services);
    host_counts_free(server->calls_by_host);
    free(server);
}
