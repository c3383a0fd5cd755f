#include "peer/network/heartbeats.h"

#include "common/memory.h"

#include <stdlib.h>

struct heartbeats {
    struct heartbeat **items;
    size_t count;
};

enum error_code heartbeats_start(const struct heartbeat_options *options,
                                 struct heartbeats **heartbeats, struct error *error)
{
    struct heartbeats *made = memory_new(1, sizeof *made);
    size_t wanted = directories_count(options->directories);
    enum error_code code = ERROR_NONE;

    made->items = memory_new(wanted, sizeof(struct heartbeat *));
    while (made->count < wanted && !code) {
        struct heartbeat_options one = *options;
        one.number = made->count;
        one.login_url = directories_login_url(options->directories, one.number);
        code = heartbeat_start(&one, &made->items[made->count], error);
        if (!code)
            made->count++;
    }
    if (code)
        heartbeats_stop(made);
    else
        *heartbeats = made;
    return code;
}

void heartbeats_stop(struct heartbeats *heartbeats)
{
    if (!heartbeats)
        return;
    for (size_t i = 0; i < heartbeats->count; i++)
        heartbeat_tell_stop(heartbeats->items[i]); /* all log out at the same time */
    for (size_t i = 0; i < heartbeats->count; i++)
        heartbeat_stop(heartbeats->items[i]);
    free(heartbeats->items);
    free(heartbeats);
}

void heartbeats_share_changed(struct heartbeats *heartbeats)
{
    for (size_t i = 0; i < heartbeats->count; i++)
        heartbeat_share_changed(heartbeats->items[i]);
}

void heartbeats_read_status(struct heartbeats *heartbeats, size_t number,
                            struct heartbeat_status *status)
{
    heartbeat_read_status(heartbeats->items[number], status);
}
