#include "peer/terminal/menu/menu_events.h"

#include "common/clock.h"
#include "common/memory.h"
#include "peer/terminal/menu/menu_ends.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
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
    struct menu_ends ends;
    struct line *expected; /* names */
    bool ended;
};

struct menu_events *menu_events_new(void)
{
    struct menu_events *events = memory_new(1, sizeof *events);

    events->descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    events->last = &events->lines;
    pthread_mutex_init(&events->lock, NULL);
    return events;
}

/* Takes the first one out. */
static void drop_line(struct line **lines)
{
    struct line *line = *lines;

    *lines = line->next;
    free(line->text);
    free(line);
}

void menu_events_free(struct menu_events *events)
{
    if (!events)
        return;
    for (char *line = menu_events_take_line(events); line; line = menu_events_take_line(events))
        free(line);
    while (events->expected)
        drop_line(&events->expected);
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

static struct line **find_expected_locked(struct menu_events *events, const char *name)
{
    struct line **line = &events->expected;

    while (*line && strcmp((*line)->text, name) != 0)
        line = &(*line)->next;
    return line;
}

bool menu_events_tells_end(struct menu_events *events, const char *name, bool failed)
{
    pthread_mutex_lock(&events->lock);
    struct line **expected = find_expected_locked(events, name);
    bool tells = *expected || menu_ends_take(&events->ends, failed, clock_boot_ms());
    if (*expected)
        drop_line(expected);
    pthread_mutex_unlock(&events->lock);
    if (!tells)
        wake(events); /* there is a time to wait for now */
    return tells;
}

void menu_events_expect(struct menu_events *events, const char *name, bool expected)
{
    pthread_mutex_lock(&events->lock);
    struct line **line = find_expected_locked(events, name);
    if (expected) {
        line = &events->expected;
        struct line *added = memory_new(1, sizeof *added);
        *added = (struct line){.text = memory_copy_string(name), .next = *line};
        *line = added;
    } else if (*line) {
        drop_line(line);
    }
    pthread_mutex_unlock(&events->lock);
}

void menu_events_end(struct menu_events *events)
{
    pthread_mutex_lock(&events->lock);
    events->ended = true;
    pthread_mutex_unlock(&events->lock);
}

int menu_events_wait_ms(struct menu_events *events)
{
    pthread_mutex_lock(&events->lock);
    int wait_ms = menu_ends_wait_ms(&events->ends, clock_boot_ms());
    pthread_mutex_unlock(&events->lock);
    return wait_ms;
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
    } else {
        text = menu_ends_sum(&events->ends, events->ended, clock_boot_ms());
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
