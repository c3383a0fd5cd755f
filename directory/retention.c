#include "directory/retention.h"

#include "common/clock.h"
#include "common/log.h"

static enum error_code drop_slice(struct retention *retention, bool *all, struct error *error)
{
    enum error_code code = index_begin(retention->index, error);

    if (!code)
        code = index_drop_files(retention->index, retention->peer_id, RETENTION_SLICE, all, error);
    if (!code)
        code = index_commit(retention->index, error);
    if (code)
        index_rollback(retention->index);
    return code;
}

bool retention_step(struct retention *retention)
{
    struct registry *registry = retention->registry;
    struct error error;
    bool all = false;

    if (!retention->peer_id && retention->limit_ms > 0)
        retention->peer_id = registry_take_overdue(registry, clock_boot_ms(), retention->limit_ms);
    if (!retention->peer_id)
        return false;
    if (registry_has_list(registry, retention->peer_id)) { /* it is back */
        retention->peer_id = 0;
        return true;
    }
    if (drop_slice(retention, &all, &error)) {
        log_line(LOG_ERROR, "directory", "cannot drop files of who is away: %s", error.text);
        registry_keep_overdue(registry, retention->peer_id);
        retention->peer_id = 0;
        return false;
    }
    if (all) {
        registry_note_dropped(registry, retention->peer_id);
        retention->peer_id = 0;
    }
    return true;
}
