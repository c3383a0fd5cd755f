#include "peer/service/health_service.h"

#include "common/memory.h"
#include "proto/health.pb-c.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

typedef Grpc__Health__V1__HealthCheckResponse__ServingStatus serving_status;

#define SERVING         GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
#define NOT_SERVING     GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING
#define SERVICE_UNKNOWN GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN
#define NEVER_TOLD      GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__UNKNOWN

struct health_service {
    struct rpc_service rpc;
    pthread_mutex_t lock;
    bool stopped;          /* guarded by lock */
    struct watcher *first; /* guarded by lock */
};

struct watcher {
    struct health_service *service;
    struct rpc_call *call;
    bool known; /* the service that is watched */
    serving_status told;
    struct watcher *next, **link; /* guarded by the service's lock */
};

static bool is_known(const char *name)
{
    return strcmp(name, "") == 0 || strcmp(name, "peer.PeerService") == 0;
}

static serving_status status_now(struct health_service *service)
{
    bool stopped;

    pthread_mutex_lock(&service->lock);
    stopped = service->stopped;
    pthread_mutex_unlock(&service->lock);
    return stopped ? NOT_SERVING : SERVING;
}

static enum error_code pack_status(serving_status status, struct rpc_reply *reply,
                                   struct error *error)
{
    Grpc__Health__V1__HealthCheckResponse response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;

    response.status = status;
    return rpc_reply_pack(reply, &response.base, error);
}

static enum error_code check(void *service, const ProtobufCMessage *request,
                             struct rpc_reply *reply, struct error *error)
{
    const Grpc__Health__V1__HealthCheckRequest *message =
        (const Grpc__Health__V1__HealthCheckRequest *)request;

    if (!is_known(message->service))
        return error_set(error, ERROR_NOT_FOUND, "Servicio desconocido");
    return pack_status(status_now(service), reply, error);
}

/* ---- Watch ---- */

static void *watch_open(void *context, struct rpc_call *call)
{
    struct health_service *service = context;
    struct watcher *watcher = memory_new(1, sizeof *watcher);

    watcher->service = service;
    watcher->call = call;
    watcher->told = NEVER_TOLD;
    pthread_mutex_lock(&service->lock);
    watcher->next = service->first;
    watcher->link = &service->first;
    if (watcher->next)
        watcher->next->link = &watcher->next;
    service->first = watcher;
    pthread_mutex_unlock(&service->lock);
    return watcher;
}

static enum error_code watch_message(void *state, const struct rpc_request *request,
                                     struct error *error)
{
    struct watcher *watcher = state;

    if (!request)
        return error_set(error, ERROR_INVALID, "Falta el mensaje de la petición");
    watcher->known =
        is_known(((const Grpc__Health__V1__HealthCheckRequest *)request->message)->service);
    return ERROR_NONE;
}

static enum rpc_step watch_next(void *state, struct rpc_reply *reply, struct error *error)
{
    struct watcher *watcher = state;
    serving_status now = status_now(watcher->service);
    serving_status shown = watcher->known ? now : SERVICE_UNKNOWN;

    if (shown == watcher->told)
        return now == NOT_SERVING ? RPC_END : RPC_WAIT;
    watcher->told = shown;
    return pack_status(shown, reply, error) ? RPC_END : RPC_SEND;
}

static void watch_close(void *state)
{
    struct watcher *watcher = state;
    struct health_service *service = watcher->service;

    pthread_mutex_lock(&service->lock);
    *watcher->link = watcher->next;
    if (watcher->next)
        watcher->next->link = watcher->link;
    pthread_mutex_unlock(&service->lock);
    free(watcher);
}

static const struct rpc_method methods[] = {
    {.path = "/grpc.health.v1.Health/Check",
     .request = &grpc__health__v1__health_check_request__descriptor,
     .call = check},
    {.path = "/grpc.health.v1.Health/Watch",
     .request = &grpc__health__v1__health_check_request__descriptor,
     .open = watch_open,
     .message = watch_message,
     .next = watch_next,
     .close = watch_close},
};

/* ---- life ---- */

struct health_service *health_service_new(void)
{
    struct health_service *service = memory_new(1, sizeof *service);

    pthread_mutex_init(&service->lock, NULL);
    service->rpc = (struct rpc_service){
        .methods = methods, .method_count = ARRAY_LENGTH(methods), .service = service};
    return service;
}

void health_service_stop(struct health_service *service)
{
    pthread_mutex_lock(&service->lock);
    service->stopped = true;
    for (struct watcher *watcher = service->first; watcher; watcher = watcher->next)
        rpc_call_wake(watcher->call);
    pthread_mutex_unlock(&service->lock);
}

void health_service_free(struct health_service *service)
{
    if (!service)
        return;
    pthread_mutex_destroy(&service->lock);
    free(service);
}

const struct rpc_service *health_service_rpc(const struct health_service *service)
{
    return &service->rpc;
}
