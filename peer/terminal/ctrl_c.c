#include "peer/terminal/ctrl_c.h"

#include "common/clock.h"
#include "common/memory.h"
#include "common/stop_event.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* An eventfd; written by the handler, set before that is installed. */
static int descriptor = -1;
static volatile sig_atomic_t came;

static void note(int number)
{
    uint64_t one = 1;
    int saved = errno;

    (void)number;
    came = 1;
    (void)!write(descriptor, &one, sizeof one);
    errno = saved;
}

int ctrl_c_catch(void)
{
    struct sigaction action = {.sa_handler = note, .sa_flags = (int)(SA_RESETHAND | SA_RESTART)};

    descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    sigemptyset(&action.sa_mask);
    if (descriptor >= 0 && sigaction(SIGINT, &action, NULL) != 0) {
        (void)close(descriptor);
        descriptor = -1;
    }
    return descriptor;
}

bool ctrl_c_came(void)
{
    return came != 0;
}

struct ctrl_c_watch {
    pthread_t thread;
    struct interrupt *interrupt;
    const _Atomic int64_t *deadline_ms; /* NULL: none */
    struct stop_event *stop;
};

/* As poll takes it; 0: the deadline is over. */
static int time_left(const struct ctrl_c_watch *watch)
{
    if (!watch->deadline_ms)
        return -1;
    int64_t left_ms = atomic_load(watch->deadline_ms) - clock_boot_ms();
    if (left_ms <= 0)
        return 0;
    return left_ms < INT_MAX ? (int)left_ms : INT_MAX;
}

static void *watch_loop(void *context)
{
    struct ctrl_c_watch *watch = context;
    struct pollfd polled[] = {
        {.fd = descriptor, .events = POLLIN},
        {.fd = stop_event_descriptor(watch->stop), .events = POLLIN},
    };

    int left_ms = time_left(watch);
    for (; left_ms != 0 && !polled[0].revents && !polled[1].revents; left_ms = time_left(watch))
        if (poll(polled, ARRAY_LENGTH(polled), left_ms) < 0 && errno != EINTR)
            return NULL;
    if (polled[0].revents || left_ms == 0)
        interrupt_raise(watch->interrupt);
    return NULL;
}

struct ctrl_c_watch *ctrl_c_watch_start(struct interrupt *interrupt,
                                        const _Atomic int64_t *deadline_ms)
{
    struct ctrl_c_watch *watch;

    if (descriptor < 0 && !deadline_ms)
        return NULL;
    watch = memory_new(1, sizeof *watch);
    watch->interrupt = interrupt;
    watch->deadline_ms = deadline_ms;
    watch->stop = stop_event_new();
    if (pthread_create(&watch->thread, NULL, watch_loop, watch) != 0) {
        stop_event_free(watch->stop);
        free(watch);
        return NULL;
    }
    return watch;
}

void ctrl_c_watch_stop(struct ctrl_c_watch *watch)
{
    if (!watch)
        return;
    stop_event_raise(watch->stop);
    pthread_join(watch->thread, NULL);
    stop_event_free(watch->stop);
    free(watch);
}
