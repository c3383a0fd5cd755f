/*
 * One daemon a state directory and a control socket: lock files, held as long as the process lives
 * (a killed daemon leaves none behind), and the removal of the socket that a killed daemon left.
 */
#pragma once

#include "common/error.h"
#include "peer/settings.h"

struct daemon_lock {
    int state; /* descriptors; -1: not held */
    int socket;
};

#define DAEMON_LOCK_NONE ((struct daemon_lock){.state = -1, .socket = -1})

/* Makes the folders where missing, takes both locks, removes a stale socket. ERROR_BUSY: another
 * daemon has them. The texts name file and key. */
MUST_CHECK enum error_code daemon_lock_take(const struct settings *settings,
                                            struct daemon_lock *lock, struct error *error);

/* Lets go of what is held. */
void daemon_lock_release(struct daemon_lock *lock);
