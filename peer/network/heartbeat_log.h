/*
 * What the operator reads of the heartbeat.
 */
#pragma once

#include "common/error.h"
#include "peer/network/heartbeat_rules.h"
#include "peer/network/name_rival.h"

#define HEARTBEAT_MODULE "heartbeat"

/* Of which directory and peer it tells. */
struct heartbeat_names {
    char *login_url;
    char *username;
    char *advertise;
};

void heartbeat_log_news(const struct heartbeat_names *names, enum heartbeat_news news,
                        const struct error *error);
void heartbeat_log_rival(const struct heartbeat_names *names, enum name_rival_news news,
                         const struct name_rival_status *rival);
