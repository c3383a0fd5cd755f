#include "service_world.h"

#include "peer/rpc/server.h"

int service_world_start(void **state, struct service_world *world, bool with_catalogue)
{
    char database[UNIT_PATH_BYTES];
    struct rpc_server_options options = {.address = "127.0.0.1:0", .service_count = 1};
    struct error error = {.text = ""};
    char target[64];

    unit_folder_make(world->folder);
    assert_int_equal(share_open(world->folder, &world->share, NULL), ERROR_NONE);
    struct catalogue_options catalogue = {
        .share = world->share, .path = unit_path(world->folder, ".catalogue.db", database)};
    if (with_catalogue)
        assert_int_equal(catalogue_start(&catalogue, &world->catalogue, NULL), ERROR_NONE);
    assert_int_equal(timer_start(&world->timer, NULL), ERROR_NONE);
    world->limits =
        limits_new(&(struct limits_rates){.total = {0}}, LIMITS_UPLOAD_SLOTS, world->timer);
    struct peer_service_options service = {.share = world->share,
                                           .catalogue = world->catalogue,
                                           .limits = world->limits,
                                           .timer = world->timer};
    assert_int_equal(peer_service_new(&service, &world->service, NULL), ERROR_NONE);
    options.services = peer_service_rpc(world->service);
    options.times = world->times;
    if (rpc_server_start(&options, &world->server, &error))
        fail_msg("%s", error.text);
    snprintf(target, sizeof target, "127.0.0.1:%u", rpc_server_port(world->server));
    world->channel = rpc_channel_open(target);
    assert_int_equal(address_parse(target, false, &world->address, NULL), ERROR_NONE);
    *state = world;
    return 0;
}

int service_world_stop(void **state)
{
    struct service_world *world = *state;

    rpc_channel_close(world->channel);
    rpc_server_free(world->server);
    peer_service_free(world->service);
    limits_free(world->limits);
    timer_stop(world->timer);
    catalogue_free(world->catalogue);
    share_close(world->share);
    unit_folder_remove(world->folder);
    free(world);
    return 0;
}

void service_world_put(const struct service_world *world, const char *name, const void *data,
                       size_t length)
{
    char path[UNIT_PATH_BYTES];

    unit_file_write(unit_path(world->folder, name, path), data, length);
}
