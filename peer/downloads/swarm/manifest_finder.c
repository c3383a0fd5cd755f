#include "peer/downloads/swarm/manifest_finder.h"

#include "common/clock.h"
#include "common/memory.h"
#include "peer/downloads/sources.h"
#include "peer/network/peer_client.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define INTERRUPT_LOOK_MS 100

/* One address. */
struct ask {
    struct round *round;
    const struct address *address;
    struct interrupt *interrupt; /* NULL: it was not started */
    pthread_t thread;
    struct manifest manifest; /* of its thread, until it has ended */
};

/* Those that may know one thing, and how far they are. */
struct round {
    const struct manifest_search *search;
    const struct content_id *content; /* that is wanted; NULL: whichever there is */
    struct ask asks[MANIFEST_ASKS_MAX];
    size_t count;
    size_t started; /* of the caller's thread */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    size_t ended;
    struct ask *winner;
};

static bool ask_one(const struct ask *ask, struct interrupt *interrupt, struct manifest *manifest)
{
    struct peer_manifest_request request = {.address = ask->address,
                                            .name = ask->round->search->name,
                                            .content = ask->round->content,
                                            .interrupt = interrupt};

    return peer_get_manifest(&request, manifest, NULL) == ERROR_NONE;
}

static void *ask_main(void *context)
{
    struct ask *ask = context;
    struct round *round = ask->round;
    bool good = ask_one(ask, ask->interrupt, &ask->manifest);

    pthread_mutex_lock(&round->lock);
    round->ended++;
    if (good && !round->winner)
        round->winner = ask;
    pthread_cond_signal(&round->changed);
    pthread_mutex_unlock(&round->lock);
    return NULL;
}

/* Without a thread it counts as one that has failed. */
static void start_locked(struct round *round)
{
    struct ask *ask = &round->asks[round->started++];

    ask->interrupt = interrupt_new();
    if (pthread_create(&ask->thread, NULL, ask_main, ask) == 0) {
        pthread_setname_np(ask->thread, "manifest");
        return;
    }
    interrupt_free(take_pointer(&ask->interrupt));
    round->ended++;
}

static void wait_locked(struct round *round, int64_t until_ms)
{
    int64_t left_ms = until_ms - clock_boot_ms();
    struct timespec deadline = clock_deadline(left_ms < 0                   ? 0
                                              : left_ms < INTERRUPT_LOOK_MS ? left_ms
                                                                            : INTERRUPT_LOOK_MS);

    pthread_cond_timedwait(&round->changed, &round->lock, &deadline);
}

/* Until somebody has answered well, or everybody badly. */
static void ask_all(struct round *round)
{
    size_t ended = 0;
    int64_t next_ms = 0; /* then one more is asked */

    pthread_mutex_lock(&round->lock);
    while (!round->winner && round->ended < round->count &&
           !interrupt_raised(round->search->interrupt)) {
        int64_t now_ms = clock_boot_ms();
        bool may =
            round->started < round->count && round->started - round->ended < MANIFEST_AT_ONCE;
        if (may && (round->ended > ended || now_ms >= next_ms)) {
            ended = round->ended;
            next_ms = now_ms + MANIFEST_HEDGE_MS;
            start_locked(round);
        } else {
            wait_locked(round, may ? next_ms : now_ms + INTERRUPT_LOOK_MS);
        }
    }
    pthread_mutex_unlock(&round->lock);
}

/* Ends those that are still asked. */
static bool finish(struct round *round, struct manifest *manifest)
{
    for (size_t i = 0; i < round->started; i++)
        if (round->asks[i].interrupt)
            interrupt_raise(round->asks[i].interrupt);
    for (size_t i = 0; i < round->started; i++) {
        struct ask *ask = &round->asks[i];
        if (!ask->interrupt)
            continue;
        pthread_join(ask->thread, NULL);
        interrupt_free(ask->interrupt);
        if (ask != round->winner)
            manifest_done(&ask->manifest);
    }
    if (round->winner)
        *manifest = round->winner->manifest;
    return round->winner != NULL;
}

static bool run_round(struct round *round, struct manifest *manifest)
{
    pthread_condattr_t monotonic;

    if (round->count == 0)
        return false;
    if (round->count == 1) /* nobody to turn to meanwhile */
        return ask_one(&round->asks[0], round->search->interrupt, manifest);
    pthread_mutex_init(&round->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&round->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    ask_all(round);
    bool found = finish(round, manifest);
    pthread_cond_destroy(&round->changed);
    pthread_mutex_destroy(&round->lock);
    return found;
}

static void add_source(struct round *round, const struct directory_source *source)
{
    for (size_t i = 0; i < source->address_count && round->count < MANIFEST_ASKS_MAX; i++)
        round->asks[round->count++] =
            (struct ask){.round = round, .address = &source->addresses[i]};
}

bool manifest_find(const struct manifest_search *search, struct manifest *manifest)
{
    const struct directory_sources *sources = search->sources;
    struct content_id wanted;
    struct round known = {.search = search, .content = &wanted};
    struct round any = {.search = search};

    if (sources_wanted_content(sources, search->peer, &wanted))
        for (size_t i = 0; i < sources->count; i++)
            if (sources->items[i].has_content &&
                content_id_equal(&sources->items[i].content, &wanted))
                add_source(&known, &sources->items[i]);
    if (run_round(&known, manifest))
        return true;
    for (size_t i = 0; i < sources->count && !interrupt_raised(search->interrupt); i++)
        if (!search->peer[0] || strcmp(search->peer, sources->items[i].peer) == 0)
            add_source(&any, &sources->items[i]);
    return run_round(&any, manifest);
}
