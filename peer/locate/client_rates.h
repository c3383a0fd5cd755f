/*
 * How many questions we take from whom: a bucket of tokens for each client and one for all, since
 * each question may make us ask others. Pure; whoever shares one locks.
 *
 * A client is a host (limits/host_key.h). Those that have been quiet longest are forgotten first:
 * whoever has so many addresses is held by the bucket of all.
 */
#pragma once

#include "peer/limits/host_key.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLIENT_RATES_CLIENTS   256
#define CLIENT_RATES_BURST     40 /* questions at once, and then so many a second */
#define CLIENT_RATES_SECOND    10
#define CLIENT_RATES_ALL_BURST 200
#define CLIENT_RATES_ALL       100

struct client_bucket {
    struct host_key host;
    int64_t time_ms; /* when the tokens were counted; boot clock */
    int64_t tokens;  /* thousandths */
    bool used;
};

struct client_rates {
    struct client_bucket all;
    struct client_bucket clients[CLIENT_RATES_CLIENTS];
};

/* Whether a question of the client ("172.28.0.3:51234", "[::1]:80") is taken now. */
bool client_rates_take(struct client_rates *rates, const char *client, int64_t now_ms);
