#include "peer/service/control_private.h"

#include "common/memory.h"
#include "common/thread_pool.h"

#include <stdlib.h>

/* The commands of one user: a few at a time, and a menu. */
#define OPERATION_THREADS    4
#define OPERATION_QUEUED_MAX 64

static const struct rpc_method methods[] = {
    {.path = "/p2p.control.Control/Search",
     .request = &p2p__control__search_request__descriptor,
     .open = control_search_open,
     .message = operation_message,
     .next = operation_next,
     .close = operation_close},
    {.path = "/p2p.control.Control/Match",
     .request = &p2p__control__match_request__descriptor,
     .open = control_match_open,
     .message = operation_message,
     .next = operation_next,
     .close = operation_close},
    {.path = "/p2p.control.Control/Words",
     .request = &p2p__control__words_request__descriptor,
     .open = control_words_open,
     .message = operation_message,
     .next = operation_next,
     .close = operation_close},
    {.path = "/p2p.control.Control/List",
     .request = &p2p__control__list_request__descriptor,
     .open = control_list_open,
     .message = operation_message,
     .next = operation_next,
     .close = operation_close},
    {.path = "/p2p.control.Control/Put",
     .request = &p2p__control__put_request__descriptor,
     .open = control_put_open,
     .message = operation_message,
     .next = operation_next,
     .close = operation_close},
    {.path = "/p2p.control.Control/Verify",
     .request = &p2p__control__verify_request__descriptor,
     .open = control_verify_open,
     .message = operation_message,
     .next = operation_next,
     .close = operation_close},
    {.path = "/p2p.control.Control/Get",
     .request = &p2p__control__get_request__descriptor,
     .open = control_get_open,
     .message = control_get_message,
     .next = control_get_next,
     .close = control_get_close},
    {.path = "/p2p.control.Control/Begin",
     .request = &p2p__control__begin_request__descriptor,
     .call = control_begin_call},
    {.path = "/p2p.control.Control/Downloads",
     .request = &p2p__control__downloads_request__descriptor,
     .open = control_downloads_open,
     .message = control_downloads_message,
     .next = control_downloads_next,
     .close = control_downloads_close},
    {.path = "/p2p.control.Control/Pause",
     .request = &p2p__control__job_request__descriptor,
     .call = control_pause_call},
    {.path = "/p2p.control.Control/Resume",
     .request = &p2p__control__job_request__descriptor,
     .call = control_resume_call},
    {.path = "/p2p.control.Control/Cancel",
     .request = &p2p__control__job_request__descriptor,
     .call = control_cancel_call},
    {.path = "/p2p.control.Control/Prioritize",
     .request = &p2p__control__priority_request__descriptor,
     .call = control_prioritize_call},
    {.path = "/p2p.control.Control/Sources",
     .request = &p2p__control__job_request__descriptor,
     .call = control_sources_call},
    {.path = "/p2p.control.Control/Status",
     .request = &p2p__control__status_request__descriptor,
     .call = control_status_call},
    {.path = "/p2p.control.Control/Limit",
     .request = &p2p__control__limit_request__descriptor,
     .call = control_limit_call},
};

enum error_code control_service_start(const struct control_service_options *options,
                                      struct control_service **out, struct error *error)
{
    struct control_service *service = memory_new(1, sizeof *service);

    service->options = *options;
    service->rpc = (struct rpc_service){
        .methods = methods, .method_count = ARRAY_LENGTH(methods), .service = service};
    pthread_mutex_init(&service->lock, NULL);
    enum error_code code = thread_pool_start("control", OPERATION_THREADS, OPERATION_QUEUED_MAX,
                                             &service->pool, error);
    if (code != ERROR_NONE) {
        control_service_free(service);
        return code;
    }
    *out = service;
    return ERROR_NONE;
}

const struct rpc_service *control_service_rpc(const struct control_service *service)
{
    return &service->rpc;
}

void control_service_stop(struct control_service *service)
{
    if (!service)
        return;
    pthread_mutex_lock(&service->lock);
    service->stopping = true;
    for (struct operation *operation = service->running; operation; operation = operation->next)
        interrupt_raise(operation->interrupt);
    pthread_mutex_unlock(&service->lock);
    thread_pool_stop(service->pool);
}

void control_service_free(struct control_service *service)
{
    if (!service)
        return;
    control_service_stop(service);
    thread_pool_free(service->pool);
    pthread_mutex_destroy(&service->lock);
    free(service);
}

enum error_code control_service_run(struct control_service *service, struct operation *operation,
                                    void (*run)(void *), struct error *error)
{
    pthread_mutex_lock(&service->lock);
    enum error_code code = service->stopping
                               ? ERROR_CANCELLED
                               : thread_pool_submit(service->pool, run, operation, NULL);
    if (code == ERROR_NONE) {
        operation->next = service->running;
        service->running = operation;
    }
    pthread_mutex_unlock(&service->lock);
    if (code == ERROR_BUSY)
        return error_set(error, code, "El peer está ocupado: demasiadas operaciones a la vez");
    if (code != ERROR_NONE)
        return error_set(error, code, "El peer se está deteniendo");
    return ERROR_NONE;
}

void control_service_forget(struct control_service *service, struct operation *operation)
{
    pthread_mutex_lock(&service->lock);
    struct operation **link = &service->running;
    while (*link && *link != operation)
        link = &(*link)->next;
    if (*link)
        *link = operation->next;
    pthread_mutex_unlock(&service->lock);
}
