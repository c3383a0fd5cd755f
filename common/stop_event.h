/*
 * A flag that is raised once and wakes whoever waits for it: how threads are told to stop.
 * It is a descriptor too, for poll(2). Any thread may call anything but free.
 *
 * Making one never fails: others can use up our descriptors with connections, and that must end no
 * daemon. Without a descriptor, who waits looks every STOP_EVENT_LOOK_MS instead of being woken.
 */
#pragma once

#include "common/compiler.h"

#include <stdbool.h>
#include <stdint.h>

#define STOP_EVENT_LOOK_MS 100

struct stop_event;

struct stop_event *stop_event_new(void); /* owned by the caller; never NULL */
void stop_event_free(struct stop_event *event);

void stop_event_raise(struct stop_event *event);
bool stop_event_raised(const struct stop_event *event);

/* Waits until raised or until the time is over; returns whether it is raised. */
bool stop_event_wait_ms(struct stop_event *event, int64_t timeout_ms);

/* Readable from when the event is raised on; -1 without one: threads that poll it for long refuse
 * to start then. Borrowed. */
int stop_event_descriptor(const struct stop_event *event);
