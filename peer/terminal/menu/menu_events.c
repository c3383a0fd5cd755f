#include "peer/terminal/menu/menu_events.h"

#include "common/memory.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct line {
    char *text;
    struct line *next;
};

struct menu_events {
    int descriptor; /* an eventfd */

    pthread_mutex_t lock; /* guards what follows */
    struct line *lines;
    struct line **last;
    uint64_t signals; /* a bit for each number */
};

struct menu_events *menu_events_new(void)
{
    struct menu_events *events = memory_new(1, sizeof *events);

    events->descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    events->last = &events->lines;
    pthread_mutex_init(&events->lock, NULL);
    return events;
}

void menu_events_free(struct menu_events *events)
{
    if (!events)
        return;
    for (char *line = menu_events_take_line(events); line; line = menu_events_take_line(events))
        free(line);
    pthread_mutex_destroy(&events->lock);
    if (events->descriptor >= 0)
        (void)close(events->descriptor);
    free(events);
}

int menu_events_descriptor(const struct menu_events *events)
{
    return events->descriptor;
}

static void wake(const struct menu_events *events)
{
    uint64_t one = 1;

    if (write(events->descriptor, &one, sizeof one) < 0)
        return; /* only when it is readable already */
}

void menu_events_seen(struct menu_events *events)
{
    uint64_t count;

    if (read(events->descriptor, &count, sizeof count) < 0)
        return; /* nothing had been posted */
}

void menu_events_post_line(struct menu_events *events, const char *text)
{
    struct line *line = memory_new(1, sizeof *line);

    line->text = memory_copy_string(text);
    pthread_mutex_lock(&events->lock);
    *events->last = line;
    events->last = &line->next;
    pthread_mutex_unlock(&events->lock);
    wake(events);
}

void menu_events_post_signal(struct menu_events *events, int signal_number)
{
    pthread_mutex_lock(&events->lock);
    events->signals |= UINT64_C(1) << signal_number;
    pthread_mutex_unlock(&events->lock);
    wake(events);
}

char *menu_events_take_line(struct menu_events *events)
{
    char *text = NULL;

    pthread_mutex_lock(&events->lock);
    struct line *line = events->lines;
    if (line) {
        text = line->text;
        events->lines = line->next;
        if (!events->lines)
            events->last = &events->lines;
    }
    pthread_mutex_unlock(&events->lock);
    free(line);
    return text;
}

int menu_events_take_signal(struct menu_events *events)
{
    int number = 0;

    pthread_mutex_lock(&events->lock);
    if (events->signals) {
        number = __builtin_ctzll(events->signals);
        events->signals &= events->signals - 1;
    }
    pthread_mutex_unlock(&events->lock);
    return number;
}
