#include "peer/terminal/menu/line_plain.h"

#include "common/memory.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct line_plain {
    int descriptor;
    struct menu_events *events;
    char bytes[4096]; /* read and not given out: [start, end) */
    size_t start;
    size_t end;
};

struct line_plain *line_plain_new(int descriptor, struct menu_events *events)
{
    struct line_plain *plain = memory_new(1, sizeof *plain);

    plain->descriptor = descriptor;
    plain->events = events;
    return plain;
}

void line_plain_free(struct line_plain *plain)
{
    free(plain);
}

static void show_notices(struct line_plain *plain, const char *prompt)
{
    bool any = false;

    menu_events_seen(plain->events);
    for (char *line = menu_events_take_line(plain->events); line;
         line = menu_events_take_line(plain->events)) {
        printf("%s%s\n", any ? "" : "\n", line);
        any = true;
        free(line);
    }
    if (any)
        fputs(prompt, stdout);
    fflush(stdout);
}

/* Reads more; false at the end of input. */
static bool fill(struct line_plain *plain, const char *prompt)
{
    struct pollfd polled[] = {
        {.fd = plain->descriptor, .events = POLLIN},
        {.fd = menu_events_descriptor(plain->events), .events = POLLIN},
    };

    for (;;) {
        int ready = poll(polled, ARRAY_LENGTH(polled), menu_events_wait_ms(plain->events));
        if (ready < 0 && errno != EINTR)
            return false;
        if (ready == 0 || polled[1].revents)
            show_notices(plain, prompt);
        if (!polled[0].revents)
            continue;
        ssize_t count = read(plain->descriptor, plain->bytes, sizeof plain->bytes);
        if (count < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        plain->start = 0;
        plain->end = count > 0 ? (size_t)count : 0;
        return count > 0;
    }
}

enum line_result line_plain_read(struct line_plain *plain, const char *prompt, char *line,
                                 size_t size)
{
    size_t length = 0;
    bool any = false;

    fputs(prompt, stdout);
    fflush(stdout);
    for (;;) {
        if (plain->start == plain->end && !fill(plain, prompt))
            break;
        any = true;
        char byte = plain->bytes[plain->start++];
        if (byte == '\n')
            break;
        if (byte != '\0' && length + 1 < size)
            line[length++] = byte;
    }
    line[length] = '\0';
    return any ? LINE_READ : LINE_END;
}
