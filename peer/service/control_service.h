/*
 * The control service (proto/control.proto): what the commands and the menu ask of the daemon, as
 * methods for the engine. It listens on a Unix socket that is the owner's alone: whoever can reach
 * it may do what the daemon may, also have it read any file that the daemon can read (put).
 */
#pragma once

#include "common/error.h"
#include "peer/catalogue/catalogue.h"
#include "peer/downloads/downloads.h"
#include "peer/limits/limits.h"
#include "peer/network/directories.h"
#include "peer/network/name_rival.h"
#include "peer/rpc/server.h"
#include "peer/settings.h"
#include "peer/share/share.h"

#include <stdbool.h>
#include <stdint.h>

struct control_directory {
    char url[512];
    bool connected;               /* the last login worked */
    int64_t age_ms;               /* since the last good login; -1: never */
    char error[ERROR_TEXT_BYTES]; /* why the last login failed, "" if it did not */
    struct name_rival_status rival;
};

/* What only the daemon as a whole knows; the callback fills it. */
struct control_status {
    char version[32];
    char peer_name[256];
    char address[ADDRESS_TEXT_BYTES]; /* what the directory is told */
    bool directory_enabled;           /* auth_enabled */
    struct control_directory directories[SETTINGS_DIRECTORIES_MAX];
    size_t directory_count;
    int64_t uploads_running;             /* streams that we are sending or taking in now */
    size_t connections, connections_max; /* of other peers: how many there are and may be */
    int64_t uptime_ms;
};

struct control_service_options {
    struct share *share; /* all borrowed until control_service_free */
    struct catalogue *catalogue;
    struct downloads *downloads;
    struct limits *limits;
    const struct source_finder *finder;
    struct directories *directories; /* NULL: none */
    /* Any thread, must not block. */
    void (*describe)(void *context, struct control_status *status);
    void *context;
};

struct control_service;

/* *service is owned by the caller. ERROR_IO: no threads. */
MUST_CHECK enum error_code control_service_start(const struct control_service_options *options,
                                                 struct control_service **service,
                                                 struct error *error);
/* The rows for rpc_server_options; borrowed. */
const struct rpc_service *control_service_rpc(const struct control_service *service);

/* Breaks off what waits for the network and joins; calls that come after are refused. The order is
 * control_service_stop, downloads_stop, rpc_server_free of its server, control_service_free,
 * downloads_free. NULL is fine. */
void control_service_stop(struct control_service *service);
void control_service_free(struct control_service *service);
