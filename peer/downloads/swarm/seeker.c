#include "peer/downloads/swarm/seeker.h"

#include "common/memory.h"

#include <stdlib.h>

struct seeker {
    struct swarm *swarm; /* these do not change */
    const struct source_finder *finder;
    const char *peer;
    bool at_once;
    struct interrupt *interrupt;
    pthread_t thread;

    pthread_mutex_t lock; /* guards what follows */
    bool answered;
    struct error outcome;
};

static void ask(struct seeker *seeker)
{
    struct directory_sources sources = {0};
    struct error error = {0};

    struct locator_search search = {
        .name = &seeker->swarm->name, .interrupt = seeker->interrupt, .partial = true};
    if (sources_find(seeker->finder, &search, &sources, &error) == ERROR_NONE) {
        sources_leave_out_self(seeker->finder, &sources);
        swarm_add_sources(seeker->swarm, &sources, seeker->peer);
    }
    directory_sources_done(&sources);
    pthread_mutex_lock(&seeker->lock);
    seeker->answered = true;
    seeker->outcome = error;
    pthread_mutex_unlock(&seeker->lock);
}

/* Those who have begun together with us have something to give soon. */
static int64_t wait_ms(size_t asked)
{
    static const int64_t first_ms[] = {500, 500, 500, 500, 1000, 1000, 2000, 4000};

    return asked < ARRAY_LENGTH(first_ms) ? first_ms[asked] : SWARM_SEEK_MS;
}

static void *seek(void *context)
{
    struct seeker *seeker = context;
    struct stop_event *stop = interrupt_event(seeker->interrupt);

    if (seeker->at_once)
        ask(seeker);
    for (size_t asked = 0; !stop_event_wait_ms(stop, wait_ms(asked)); asked++)
        ask(seeker);
    return NULL;
}

static void free_seeker(struct seeker *seeker)
{
    interrupt_free(seeker->interrupt);
    pthread_mutex_destroy(&seeker->lock);
    free(seeker);
}

enum error_code seeker_start(struct swarm *swarm, const struct source_finder *finder,
                             const char *peer, bool at_once, struct seeker **out,
                             struct error *error)
{
    struct seeker *seeker = memory_new(1, sizeof *seeker);

    *seeker = (struct seeker){.swarm = swarm,
                              .finder = finder,
                              .peer = peer,
                              .at_once = at_once,
                              .interrupt = interrupt_new()};
    pthread_mutex_init(&seeker->lock, NULL);
    int result = pthread_create(&seeker->thread, NULL, seek, seeker);
    if (result != 0) {
        free_seeker(seeker);
        return error_set_errno(error, result, "no hay hilos");
    }
    pthread_setname_np(seeker->thread, "seeker");
    *out = seeker;
    return ERROR_NONE;
}

void seeker_stop(struct seeker *seeker)
{
    if (!seeker)
        return;
    interrupt_raise(seeker->interrupt);
    pthread_join(seeker->thread, NULL);
    free_seeker(seeker);
}

bool seeker_outcome(struct seeker *seeker, struct error *error)
{
    pthread_mutex_lock(&seeker->lock);
    bool answered = seeker->answered;
    *error = seeker->outcome;
    pthread_mutex_unlock(&seeker->lock);
    return answered;
}
