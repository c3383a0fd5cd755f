#include "common/stop_event.h"

#include "common/clock.h"
#include "common/memory.h"

#include <limits.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct stop_event {
    int descriptor; /* -1: the system had none left */
    atomic_bool raised;
};

struct stop_event *stop_event_new(void)
{
    struct stop_event *event = memory_new(1, sizeof *event);

    event->descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return event;
}

void stop_event_free(struct stop_event *event)
{
    if (!event)
        return;
    if (event->descriptor >= 0)
        close(event->descriptor);
    free(event);
}

void stop_event_raise(struct stop_event *event)
{
    atomic_store(&event->raised, true);
    if (event->descriptor >= 0)
        eventfd_write(event->descriptor, 1);
}

bool stop_event_raised(const struct stop_event *event)
{
    return atomic_load(&event->raised);
}

bool stop_event_wait_ms(struct stop_event *event, int64_t timeout_ms)
{
    int64_t end = clock_boot_ms() + timeout_ms;
    int64_t left = timeout_ms;

    while (!stop_event_raised(event) && left > 0) {
        struct pollfd item = {.fd = event->descriptor, .events = POLLIN}; /* poll skips -1 */
        int64_t longest = event->descriptor < 0 ? STOP_EVENT_LOOK_MS : INT_MAX;
        poll(&item, 1, (int)(left < longest ? left : longest));
        left = end - clock_boot_ms();
    }
    return stop_event_raised(event);
}

int stop_event_descriptor(const struct stop_event *event)
{
    return event->descriptor;
}
