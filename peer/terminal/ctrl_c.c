#include "peer/terminal/ctrl_c.h"

#include "common/memory.h"
#include "common/stop_event.h"

#include <errno.h>
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
    struct stop_event *stop;
};

static void *watch_loop(void *context)
{
    struct ctrl_c_watch *watch = context;
    struct pollfd polled[] = {
        {.fd = descriptor, .events = POLLIN},
        {.fd = stop_event_descriptor(watch->stop), .events = POLLIN},
    };

    while (!polled[0].revents && !polled[1].revents)
        if (poll(polled, ARRAY_LENGTH(polled), -1) < 0 && errno != EINTR)
            return NULL;
    if (polled[0].revents)
        interrupt_raise(watch->interrupt);
    return NULL;
}

struct ctrl_c_watch *ctrl_c_watch_start(struct interrupt *interrupt)
{
    struct ctrl_c_watch *watch;

    if (descriptor < 0)
        return NULL;
    watch = memory_new(1, sizeof *watch);
    watch->interrupt = interrupt;
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
