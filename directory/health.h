/*
 * What keeps the directory from serving, for GET /readyz: a few flags, raised and cleared by
 * whoever knows. Any thread; no lock. All zero is a healthy one.
 */
#pragma once

#include <stdatomic.h>

enum health_fault {
    HEALTH_STARTING,
    HEALTH_STOPPING,
    HEALTH_DISK_FULL,  /* the last write failed for want of room */
    HEALTH_UNWRITABLE, /* the last write failed for another reason */
    HEALTH_UNREADABLE, /* never raised here: found by whoever asks, on his own connection */
    HEALTH_DAMAGED,    /* a check of the database has found damage */
    HEALTH_FAULT_COUNT
};

struct health {
    atomic_uint faults; /* a bit each */
};

void health_raise(struct health *health, enum health_fault fault);
void health_clear(struct health *health, enum health_fault fault);
/* A bit for each fault, 0 when there is none. */
unsigned health_faults(const struct health *health);
