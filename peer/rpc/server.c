#include "peer/rpc/server.h"

#include "common/clock.h"
#include "common/memory.h"
#include "common/thread_order.h"
#include "peer/rpc/acceptor.h"
#include "peer/rpc/lifecycle.h"
#include "peer/rpc/listener.h"
#include "peer/rpc/server_call.h"
#include "peer/rpc/tuning.h"

#include <errno.h>
#include <grpc/grpc_posix.h>
#include <grpc/grpc_security.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* Calls that may be taken in while no worker is free to ask for more. */
#define REQUESTS_OPEN 16

/* Beside one a core: workers that wait for a disk (uploads faster than it, files that are not in
 * memory) must leave some for everybody else. An idle one costs a few pages. */
#define EXTRA_WORKERS 6

struct rpc_server {
    struct call_engine engine;
    struct operation shutdown;
    struct acceptor *acceptor;
    grpc_server_credentials *credentials;
    pthread_t *workers;
    unsigned worker_count;
    bool stopped;
};

static void *worker_run(void *argument)
{
    struct call_engine *engine = argument;

    for (;;) {
        grpc_event event =
            grpc_completion_queue_next(engine->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
        struct operation *operation;

        if (event.type == GRPC_QUEUE_SHUTDOWN)
            return NULL;
        operation = event.tag;
        thread_order_after(operation);
        if (operation->kind != OPERATION_SHUTDOWN) {
            call_handle(operation, event.success);
            continue;
        }
        pthread_mutex_lock(&engine->lock);
        engine->shut_down = true;
        pthread_cond_broadcast(&engine->changed);
        pthread_mutex_unlock(&engine->lock);
    }
}

/* ---- start ---- */

static void engine_init(struct call_engine *engine, const struct rpc_server_options *options)
{
    pthread_condattr_t attributes;

    engine->services = memory_new(options->service_count, sizeof *engine->services);
    for (size_t i = 0; i < options->service_count; i++)
        engine->services[i] = options->services[i];
    engine->service_count = options->service_count;
    pthread_mutex_init(&engine->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&engine->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

static void core_init(struct rpc_server *server)
{
    struct call_engine *engine = &server->engine;
    struct tuning tuning;

    tuning_for_server(&tuning);
    engine->core = grpc_server_create(&tuning.args, NULL);
    engine->queue = grpc_completion_queue_create_for_next(NULL);
    grpc_server_register_completion_queue(engine->core, engine->queue, NULL);
    server->credentials = grpc_insecure_server_credentials_create();
}

/* On the acceptor's thread. */
static void hand_over(void *context, int descriptor)
{
    struct rpc_server *server = context;

    grpc_server_add_channel_from_fd(server->engine.core, descriptor, server->credentials);
}

static struct connection_limits default_limits(bool local)
{
    struct rlimit limit = {.rlim_cur = 0};

    (void)getrlimit(RLIMIT_NOFILE, &limit);
    return connection_limits_of(limit.rlim_cur, local);
}

static enum error_code listen_at(struct rpc_server *server,
                                 const struct rpc_server_options *options, struct error *error)
{
    struct acceptor_options acceptor = {.address = options->address,
                                        .limits =
                                            default_limits(listener_is_unix(options->address)),
                                        .hand_over = hand_over,
                                        .context = server};
    enum error_code code;

    if (options->max_connections) {
        acceptor.limits.total = options->max_connections;
        acceptor.limits.host = options->max_host_connections;
    }
    code = acceptor_open(&acceptor, &server->acceptor, error);
    if (!code)
        server->engine.connections = acceptor_connections(server->acceptor);
    return code;
}

static unsigned default_workers(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    return (cores > 0 ? (unsigned)cores : 1) + EXTRA_WORKERS;
}

static enum error_code start_workers(struct rpc_server *server, unsigned count, struct error *error)
{
    server->workers = memory_new(count, sizeof *server->workers);
    for (; server->worker_count < count; server->worker_count++) {
        int result = pthread_create(&server->workers[server->worker_count], NULL, worker_run,
                                    &server->engine);

        if (result)
            return error_set_errno(error, result, "cannot start a thread");
    }
    return ERROR_NONE;
}

enum error_code rpc_server_start(const struct rpc_server_options *options,
                                 struct rpc_server **server_out, struct error *error)
{
    struct rpc_server *server = memory_new(1, sizeof *server);
    enum error_code code;

    rpc_lifecycle_acquire();
    server->shutdown.kind = OPERATION_SHUTDOWN;
    engine_init(&server->engine, options);
    core_init(server);
    code = listen_at(server, options, error);
    if (!code)
        code =
            start_workers(server, options->workers ? options->workers : default_workers(), error);
    grpc_server_start(server->engine.core); /* also on an error: it can be shut down only then */
    if (!code)
        code = acceptor_start(server->acceptor, error);
    if (code) {
        rpc_server_free(server);
        return code;
    }
    for (unsigned i = 0; i < REQUESTS_OPEN; i++)
        call_request_next(&server->engine);
    *server_out = server;
    return ERROR_NONE;
}

uint16_t rpc_server_port(const struct rpc_server *server)
{
    return acceptor_port(server->acceptor);
}

void rpc_server_connections(const struct rpc_server *server, size_t *count, size_t *most)
{
    *count = connections_count(server->engine.connections);
    *most = connections_limits(server->engine.connections).total;
}

/* ---- stop ---- */

static bool quiet(const struct call_engine *engine)
{
    return engine->shut_down && engine->calls == 0;
}

/* Waits until no call is left, or the time is over. */
static void wait_for_calls(struct call_engine *engine, int64_t timeout_ms)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += timeout_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&engine->lock);
    while (!quiet(engine) &&
           pthread_cond_timedwait(&engine->changed, &engine->lock, &until) != ETIMEDOUT)
        ;
    pthread_mutex_unlock(&engine->lock);
}

static void wait_for_all_calls(struct call_engine *engine)
{
    pthread_mutex_lock(&engine->lock);
    while (!quiet(engine))
        pthread_cond_wait(&engine->changed, &engine->lock);
    pthread_mutex_unlock(&engine->lock);
}

/* Without workers (start failed) nobody takes the events but us. */
static void drain(struct call_engine *engine)
{
    while (
        grpc_completion_queue_next(engine->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL).type !=
        GRPC_QUEUE_SHUTDOWN)
        ;
}

void rpc_server_stop(struct rpc_server *server, int64_t grace_ms)
{
    struct call_engine *engine = &server->engine;

    if (server->stopped)
        return;
    server->stopped = true;
    if (server->acceptor)
        acceptor_stop(server->acceptor);
    thread_order_before(&server->shutdown);
    grpc_server_shutdown_and_notify(engine->core, engine->queue, &server->shutdown);
    if (server->worker_count > 0) {
        wait_for_calls(engine, grace_ms);
        grpc_server_cancel_all_calls(engine->core);
        wait_for_all_calls(engine);
    }
    grpc_completion_queue_shutdown(engine->queue);
    if (server->worker_count == 0)
        drain(engine);
    for (unsigned i = 0; i < server->worker_count; i++)
        pthread_join(server->workers[i], NULL);
}

void rpc_server_free(struct rpc_server *server)
{
    if (!server)
        return;
    rpc_server_stop(server, 0);
    grpc_server_destroy(server->engine.core);
    grpc_completion_queue_destroy(server->engine.queue);
    grpc_server_credentials_release(server->credentials);
    acceptor_free(server->acceptor);
    rpc_lifecycle_release();
    pthread_cond_destroy(&server->engine.changed);
    pthread_mutex_destroy(&server->engine.lock);
    free(server->engine.services);
    free(server->workers);
    free(server);
}
