#include "peer/rpc/timeouts.h"

#include <stddef.h>

void timeout_set(struct timeouts *timeouts, struct timeout *timeout, int64_t now_ms,
                 int64_t after_ms)
{
    timeout_clear(timeout);
    if (after_ms == TIMEOUT_NEVER)
        return;
    if (!timeouts->first)
        timeouts->look_ms = now_ms + TIMEOUTS_LOOK_MS;
    timeout->due_ms = now_ms + after_ms;
    timeout->next = timeouts->first;
    timeout->link = &timeouts->first;
    if (timeout->next)
        timeout->next->link = &timeout->next;
    timeouts->first = timeout;
}

void timeout_clear(struct timeout *timeout)
{
    if (!timeout->link)
        return;
    *timeout->link = timeout->next;
    if (timeout->next)
        timeout->next->link = timeout->link;
    timeout->link = NULL;
}

int64_t timeouts_wait_ms(const struct timeouts *timeouts, int64_t now_ms)
{
    if (!timeouts->first)
        return -1;
    return timeouts->look_ms > now_ms ? timeouts->look_ms - now_ms : 0;
}

void timeouts_look(struct timeouts *timeouts, int64_t now_ms,
                   void (*expired)(struct timeout *timeout))
{
    int64_t late_ms = now_ms - timeouts->look_ms;
    struct timeout *next;

    if (!timeouts->first || late_ms < 0)
        return;
    timeouts->look_ms = now_ms + TIMEOUTS_LOOK_MS;
    for (struct timeout *timeout = timeouts->first; timeout; timeout = next) {
        next = timeout->next;
        if (late_ms >= TIMEOUTS_LOOK_MS) {
            timeout->due_ms += late_ms;
        } else if (timeout->due_ms <= now_ms) {
            timeout_clear(timeout);
            expired(timeout);
        }
    }
}
