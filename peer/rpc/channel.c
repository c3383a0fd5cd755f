#include "peer/rpc/channel.h"

#include "common/memory.h"
#include "peer/rpc/lifecycle.h"
#include "peer/rpc/tuning.h"

#include <arpa/inet.h>
#include <grpc/grpc_security.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct rpc_channel {
    char *target; /* as the user wrote it, for texts */

    pthread_mutex_t lock; /* guards what follows */
    grpc_channel *core;
    bool failed; /* could not connect: the next call begins with a new one */
};

/* The name that makes the core take an address as it is: a numeric one needs no resolver, and
 * "localhost:80" must not be read as a URI. */
static char *core_target(const char *target)
{
    struct in_addr ipv4;
    auto_free char *host = memory_copy_string(target);
    char *colon = strrchr(host, ':');

    if (strncmp(target, "unix:", 5) == 0)
        return memory_copy_string(target);
    if (colon)
        *colon = '\0';
    if (inet_pton(AF_INET, host, &ipv4) == 1)
        return memory_format("ipv4:%s", target);
    return memory_format("dns:///%s", target);
}

static grpc_channel *create_core(const char *target)
{
    grpc_channel_credentials *credentials = grpc_insecure_credentials_create();
    auto_free char *name = core_target(target);
    struct tuning tuning;

    tuning_for_client(&tuning);
    grpc_channel *core = grpc_channel_create(name, credentials, &tuning.args);
    grpc_channel_credentials_release(credentials);
    return core;
}

struct rpc_channel *rpc_channel_open(const char *target)
{
    struct rpc_channel *channel = memory_new(1, sizeof *channel);

    rpc_lifecycle_acquire();
    pthread_mutex_init(&channel->lock, NULL);
    channel->core = create_core(target);
    channel->target = memory_copy_string(target);
    return channel;
}

grpc_call *rpc_channel_call(struct rpc_channel *channel, grpc_completion_queue *queue,
                            const char *method)
{
    grpc_slice path = grpc_slice_from_copied_string(method);

    pthread_mutex_lock(&channel->lock);
    /* The core's channel tries again in its own time, and while somebody polls for it: calls that
     * fail at once do not. A new one tries at once. */
    if (channel->failed) {
        grpc_channel_destroy(channel->core);
        channel->core = create_core(channel->target);
        channel->failed = false;
    }
    grpc_call *call =
        grpc_channel_create_call(channel->core, NULL, GRPC_PROPAGATE_DEFAULTS, queue, path, NULL,
                                 gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    pthread_mutex_unlock(&channel->lock);
    grpc_slice_unref(path);
    return call;
}

void rpc_channel_failed(struct rpc_channel *channel)
{
    pthread_mutex_lock(&channel->lock);
    channel->failed = true;
    pthread_mutex_unlock(&channel->lock);
}

void rpc_channel_close(struct rpc_channel *channel)
{
    if (!channel)
        return;
    grpc_channel_destroy(channel->core);
    rpc_lifecycle_release();
    pthread_mutex_destroy(&channel->lock);
    free(channel->target);
    free(channel);
}

const char *rpc_channel_target(const struct rpc_channel *channel)
{
    return channel->target;
}
