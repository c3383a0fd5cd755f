/*
 * PeerService on a server of its own in this process, with a channel to it, on a folder of the
 * test's own.
 */
#pragma once

#include "unit.h"

#include "peer/rpc/client.h"
#include "peer/service/peer_service.h"

struct service_world {
    char folder[UNIT_PATH_BYTES];
    struct share *share;
    struct catalogue *catalogue; /* NULL but for tests of content */
    struct address address;
    struct timer *timer;
    struct limits *limits;
    struct peer_service *service;
    struct rpc_server *server;
    struct rpc_channel *channel;
    const struct rpc_times *times; /* NULL: as usual */
};

/* *state gets the world, which was made by calloc. For cmocka: 0. */
int service_world_start(void **state, struct service_world *world, bool with_catalogue);
int service_world_stop(void **state);

void service_world_put(const struct service_world *world, const char *name, const void *data,
                       size_t length);
