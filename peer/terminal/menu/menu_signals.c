#include "peer/terminal/menu/menu_signals.h"

#include "common/memory.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

struct menu_signals {
    pthread_t thread;
    struct menu_events *events;
    struct interrupt *interrupt;
    atomic_bool stopping;
};

static void fill_set(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGHUP);
    sigaddset(set, SIGTSTP);
    sigaddset(set, SIGWINCH);
}

void menu_signals_block(void)
{
    sigset_t set;

    fill_set(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void *watch(void *context)
{
    struct menu_signals *signals = context;
    sigset_t set;
    int number;

    fill_set(&set);
    while (sigwait(&set, &number) == 0 && !atomic_load(&signals->stopping)) {
        menu_events_post_signal(signals->events, number);
        if (number != SIGWINCH && number != SIGTSTP)
            interrupt_raise(signals->interrupt);
    }
    return NULL;
}

struct menu_signals *menu_signals_start(struct menu_events *events, struct interrupt *interrupt)
{
    struct menu_signals *signals = memory_new(1, sizeof *signals);

    signals->events = events;
    signals->interrupt = interrupt;
    if (pthread_create(&signals->thread, NULL, watch, signals) != 0) {
        free(signals);
        return NULL;
    }
    return signals;
}

void menu_signals_stop(struct menu_signals *signals)
{
    if (!signals)
        return;
    atomic_store(&signals->stopping, true);
    pthread_kill(signals->thread, SIGWINCH);
    pthread_join(signals->thread, NULL);
    free(signals);
}
