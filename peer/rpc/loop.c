#include "peer/rpc/loop.h"

#include "common/clock.h"
#include "common/thread_order.h"
#include "peer/rpc/tuning.h"

#include <errno.h>
#include <grpc/grpc_posix.h>
#include <grpc/support/time.h>

/* Calls that the core may hand out while the thread is busy. */
#define REQUESTS_OPEN 4

static void note_shut_down(struct call_engine *engine)
{
    pthread_mutex_lock(&engine->lock);
    engine->shut_down = true;
    pthread_cond_broadcast(&engine->changed);
    pthread_mutex_unlock(&engine->lock);
}

/* The next event, or none when it is time to look at who is late. */
static grpc_event next_event(struct call_engine *engine)
{
    int64_t wait_ms = timeouts_wait_ms(&engine->timeouts, engine->now_ms);
    gpr_timespec until = gpr_inf_future(GPR_CLOCK_MONOTONIC);

    if (wait_ms >= 0)
        until =
            gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(wait_ms, GPR_TIMESPAN));
    return grpc_completion_queue_next(engine->queue, until, NULL);
}

/* Handles the queue's events until it is shut down. */
static void *run(void *context)
{
    struct loop *loop = context;
    struct call_engine *engine = &loop->engine;

    for (;;) {
        atomic_store_explicit(&loop->busy_since_ms, 0, memory_order_relaxed);
        grpc_event event = next_event(engine);

        if (event.type == GRPC_QUEUE_SHUTDOWN)
            return NULL;
        engine->now_ms = clock_boot_ms();
        atomic_store_explicit(&loop->busy_since_ms, engine->now_ms, memory_order_relaxed);
        if (event.type == GRPC_OP_COMPLETE) {
            thread_order_after(event.tag);
            if (event.tag == &loop->shutdown)
                note_shut_down(engine);
            else
                call_handle(event.tag, event.success);
        }
        timeouts_look(&engine->timeouts, engine->now_ms, call_expired);
    }
}

static void init(struct loop *loop)
{
    struct call_engine *engine = &loop->engine;
    pthread_condattr_t attributes;
    struct tuning tuning;

    pthread_mutex_init(&engine->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&engine->changed, &attributes);
    pthread_condattr_destroy(&attributes);

    loop->shutdown.kind = OPERATION_SHUTDOWN;
    loop->credentials = grpc_insecure_server_credentials_create();
    tuning_for_server(&tuning);
    engine->core = grpc_server_create(&tuning.args, NULL);
    engine->queue = grpc_completion_queue_create_for_next(NULL);
    grpc_server_register_completion_queue(engine->core, engine->queue, NULL);
}

enum error_code loop_start(struct loop *loop, struct error *error)
{
    init(loop);
    grpc_server_start(loop->engine.core); /* also before an error: it can be shut down only then */
    int result = pthread_create(&loop->thread, NULL, run, loop);
    if (result)
        return error_set_errno(error, result, "cannot start a thread");
    pthread_setname_np(loop->thread, "rpc");
    loop->running = true;
    for (unsigned i = 0; i < REQUESTS_OPEN; i++)
        call_request_next(&loop->engine);
    return ERROR_NONE;
}

void loop_give(struct loop *loop, int descriptor)
{
    grpc_server_add_channel_from_fd(loop->engine.core, descriptor, loop->credentials);
}

size_t loop_calls(struct loop *loop)
{
    pthread_mutex_lock(&loop->engine.lock);
    size_t calls = loop->engine.calls;
    pthread_mutex_unlock(&loop->engine.lock);
    return calls;
}

int64_t loop_busy_ms(const struct loop *loop, int64_t now_ms)
{
    int64_t since_ms = atomic_load_explicit(&loop->busy_since_ms, memory_order_relaxed);

    return since_ms ? now_ms - since_ms : 0;
}

/* ---- stop ---- */

static bool quiet(const struct call_engine *engine)
{
    return engine->shut_down && engine->calls == 0;
}

void loop_shut_down(struct loop *loop)
{
    thread_order_before(&loop->shutdown);
    grpc_server_shutdown_and_notify(loop->engine.core, loop->engine.queue, &loop->shutdown);
}

void loop_wait(struct loop *loop, const struct timespec *until)
{
    struct call_engine *engine = &loop->engine;

    pthread_mutex_lock(&engine->lock);
    while (loop->running && !quiet(engine) &&
           pthread_cond_timedwait(&engine->changed, &engine->lock, until) != ETIMEDOUT)
        ;
    pthread_mutex_unlock(&engine->lock);
}

void loop_cancel(struct loop *loop)
{
    grpc_server_cancel_all_calls(loop->engine.core);
}

static void wait_for_all(struct call_engine *engine)
{
    pthread_mutex_lock(&engine->lock);
    while (!quiet(engine))
        pthread_cond_wait(&engine->changed, &engine->lock);
    pthread_mutex_unlock(&engine->lock);
}

void loop_done(struct loop *loop)
{
    struct call_engine *engine = &loop->engine;

    if (loop->running)
        wait_for_all(engine);
    grpc_completion_queue_shutdown(engine->queue);
    if (loop->running)
        pthread_join(loop->thread, NULL);
    else
        (void)run(loop); /* its thread did not start: nobody else takes the events */
    grpc_server_destroy(engine->core);
    grpc_completion_queue_destroy(engine->queue);
    grpc_server_credentials_release(loop->credentials);
    pthread_cond_destroy(&engine->changed);
    pthread_mutex_destroy(&engine->lock);
}
