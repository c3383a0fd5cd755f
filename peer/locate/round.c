#include "peer/locate/round.h"

#include "common/clock.h"
#include "common/memory.h"
#include "peer/locate/located.h"

#include <assert.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LOOK_MS 50 /* how often who waits looks, where no descriptor could be had */

struct round;

struct one {
    struct round *round;
    const struct address *address;
    struct interrupt *interrupt;
    bool answered; /* guarded by the round's lock */
};

struct round {
    const struct round_options *options; /* constant */
    int wake;                            /* eventfd: one more is done */
    pthread_mutex_t lock;                /* guards what follows */
    size_t left;                         /* not done yet */
    struct directory_sources sources;
};

/* On a thread of the pool. */
static void run_one(void *context)
{
    struct one *one = context;
    struct round *round = one->round;
    struct directory_sources sources = {0};
    enum error_code code = ERROR_CANCELLED;

    if (!interrupt_raised(one->interrupt))
        code = ask_peer(one->address, round->options->question, one->interrupt, &sources, NULL);
    pthread_mutex_lock(&round->lock);
    one->answered = code == ERROR_NONE;
    located_merge(&round->sources, &sources);
    round->left--;
    eventfd_write(round->wake, 1);
    pthread_mutex_unlock(&round->lock);
}

/* Until one more is done, the round is broken off, or the time is over. */
static void wait_for_one(struct round *round, int64_t timeout_ms, bool look_at_interrupt)
{
    struct pollfd items[] = {
        {.fd = round->wake, .events = POLLIN},
        {.fd = look_at_interrupt ? stop_event_descriptor(interrupt_event(round->options->interrupt))
                                 : -1,
         .events = POLLIN},
    };
    bool is_blind = items[0].fd < 0 || (look_at_interrupt && items[1].fd < 0);
    eventfd_t count;

    poll(items, ARRAY_LENGTH(items),
         (int)(is_blind && timeout_ms > LOOK_MS ? LOOK_MS : timeout_ms));
    if (items[0].revents)
        eventfd_read(round->wake, &count);
}

static void look(struct round *round, size_t *left, size_t *found)
{
    pthread_mutex_lock(&round->lock);
    *left = round->left;
    *found = round->sources.count;
    pthread_mutex_unlock(&round->lock);
}

static void wait_for_all(struct round *round, struct one *ones)
{
    int64_t end_ms = clock_boot_ms() + round->options->question->wait_ms;
    bool lingers = false;
    size_t left;
    size_t found;

    for (look(round, &left, &found); left > 0; look(round, &left, &found)) {
        int64_t now_ms = clock_boot_ms();
        if (found > 0 && !lingers) {
            lingers = true;
            end_ms = end_ms < now_ms + ROUND_LINGER_MS ? end_ms : now_ms + ROUND_LINGER_MS;
        }
        if (now_ms >= end_ms || interrupt_raised(round->options->interrupt))
            break;
        wait_for_one(round, end_ms - now_ms, true);
    }
    for (size_t i = 0; i < round->options->count; i++)
        interrupt_raise(ones[i].interrupt);
    for (; left > 0; look(round, &left, &found))
        wait_for_one(round, 1000, false);
}

void round_run(const struct round_options *options, struct directory_sources *sources,
               bool answered[ROUND_PEERS_MAX])
{
    struct round round = {.options = options, .wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    struct one ones[ROUND_PEERS_MAX];

    assert(options->count <= ROUND_PEERS_MAX);
    pthread_mutex_init(&round.lock, NULL);
    round.left = options->count;
    for (size_t i = 0; i < options->count; i++) {
        ones[i] = (struct one){
            .round = &round, .address = &options->peers[i], .interrupt = interrupt_new()};
        if (thread_pool_submit(options->pool, run_one, &ones[i], NULL) == ERROR_NONE)
            continue;
        pthread_mutex_lock(&round.lock);
        round.left--; /* too much is asked already, or we stop */
        pthread_mutex_unlock(&round.lock);
    }
    wait_for_all(&round, ones);
    for (size_t i = 0; i < options->count; i++) {
        answered[i] = ones[i].answered;
        interrupt_free(ones[i].interrupt);
    }
    if (round.wake >= 0)
        close(round.wake);
    pthread_mutex_destroy(&round.lock);
    *sources = round.sources;
}
