/*
 * Keeps the peer listed in the directory: one thread that logs in again and again, with the index
 * of the shared folder when the directory does not have it (heartbeat_rules.h decides when). At a
 * directory that knows sums of lists and tokens (docs/api.md) a heartbeat has the sum of the list
 * and the token in it, no password; the list follows when the directory has another one.
 *
 * It says in the log when the peer is listed, when the directory goes and comes back, and when it
 * refuses us: once each.
 */
#pragma once

#include "common/error.h"
#include "peer/catalogue/catalogue.h"
#include "peer/network/directories.h"
#include "peer/network/name_rival.h"
#include "peer/share/arrivals.h"
#include "peer/share/share.h"

#include <stdbool.h>
#include <stdint.h>

struct heartbeat;

/* A daemon stops within two seconds, and our time is over soon anyway. */
#define HEARTBEAT_LOGOUT_MS 800

struct heartbeat_options {
    const char *login_url; /* all strings are copied */
    const char *username;
    const char *password;
    const char *advertise; /* "host:port" of our gRPC server */
    struct directories
        *directories;            /* told of each login (directories_note), as number `number`; */
    size_t number;               /* borrowed until heartbeat_stop; may be NULL */
    struct share *share;         /* borrowed until heartbeat_stop */
    struct catalogue *catalogue; /* likewise; NULL: files go without ids */
    struct arrivals *arrivals;   /* likewise; NULL: none are told of */
};

/* Starts with a login at once. *heartbeat is owned by the caller. ERROR_IO: no thread. */
MUST_CHECK enum error_code heartbeat_start(const struct heartbeat_options *options,
                                           struct heartbeat **heartbeat, struct error *error);
/* Logs out where the directory knows that, within HEARTBEAT_LOGOUT_MS; joins and frees. NULL is
 * fine. Who stops several tells each first. */
void heartbeat_stop(struct heartbeat *heartbeat);
void heartbeat_tell_stop(struct heartbeat *heartbeat); /* does not wait */

/* The shared folder or what arrives has changed, or ids of files have become known. Any thread;
 * does not block.
 */
void heartbeat_share_changed(struct heartbeat *heartbeat);

struct heartbeat_status {
    bool connected;                 /* the last login worked */
    int64_t success_ms;             /* when a login last worked, on the boot clock; -1: never */
    struct error failure;           /* why the last login failed; code ERROR_NONE when it did not */
    struct name_rival_status rival; /* as of the last login that worked */
};

/* Any thread. */
void heartbeat_read_status(struct heartbeat *heartbeat, struct heartbeat_status *status);
