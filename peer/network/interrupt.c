#include "peer/network/interrupt.h"

#include "common/memory.h"

#include <pthread.h>
#include <stdlib.h>

struct interrupt {
    struct stop_event *event;
    pthread_mutex_t lock;
    struct rpc_client_call *call; /* guarded by lock; borrowed */
};

struct interrupt *interrupt_new(void)
{
    struct interrupt *interrupt = memory_new(1, sizeof *interrupt);

    interrupt->event = stop_event_new();
    pthread_mutex_init(&interrupt->lock, NULL);
    return interrupt;
}

void interrupt_free(struct interrupt *interrupt)
{
    if (!interrupt)
        return;
    pthread_mutex_destroy(&interrupt->lock);
    stop_event_free(interrupt->event);
    free(interrupt);
}

void interrupt_raise(struct interrupt *interrupt)
{
    pthread_mutex_lock(&interrupt->lock);
    stop_event_raise(interrupt->event);
    if (interrupt->call)
        rpc_client_cancel(interrupt->call);
    pthread_mutex_unlock(&interrupt->lock);
}

bool interrupt_raised(const struct interrupt *interrupt)
{
    return stop_event_raised(interrupt->event);
}

struct stop_event *interrupt_event(const struct interrupt *interrupt)
{
    return interrupt->event;
}

void interrupt_attach(struct interrupt *interrupt, struct rpc_client_call *call)
{
    pthread_mutex_lock(&interrupt->lock);
    interrupt->call = call;
    if (stop_event_raised(interrupt->event))
        rpc_client_cancel(call);
    pthread_mutex_unlock(&interrupt->lock);
}

void interrupt_detach(struct interrupt *interrupt)
{
    pthread_mutex_lock(&interrupt->lock);
    interrupt->call = NULL;
    pthread_mutex_unlock(&interrupt->lock);
}
