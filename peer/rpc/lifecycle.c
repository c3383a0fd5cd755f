#include "peer/rpc/lifecycle.h"

#include "common/log.h"

#include <grpc/grpc.h>
#include <grpc/support/log.h>
#include <pthread.h>
#include <stdlib.h>

/* The core's own lines are for its developers: a refused connection is an error to it. What
 * matters comes to us as a status. */
static void log_core(gpr_log_func_args *line)
{
    log_line(LOG_DEBUG, "grpc", "%s", line->message);
}

/* How the core waits. With its epoll all threads of the process wait for all connections together,
 * and hand over what they find for others; with poll each looks after its own. The variable is the
 * only way to say so; set before there are threads, for setenv is none of their friends. An
 * operator may still choose. */
__attribute__((constructor)) static void choose_polling(void)
{
    setenv("GRPC_POLL_STRATEGY", "poll", 0);
}

/* The reference that nobody gives back. */
static void start_core(void)
{
    gpr_set_log_function(log_core);
    grpc_init();
}

void rpc_lifecycle_acquire(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, start_core);
    grpc_init(); /* counts its callers itself */
}

void rpc_lifecycle_release(void)
{
    grpc_shutdown();
}
