#include "directory/logout.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "directory/login_arguments.h"
#include "directory/replies.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct logout {
    struct registry *registry;
    struct http_exchange *exchange;
    struct index_job job;
};

/* On the writer's thread. What could not be stored is stored later: in memory the peer is away. */
static void on_stored(struct index_job *job, enum error_code code, const struct error *error)
{
    struct logout *logout = (struct logout *)((char *)job - offsetof(struct logout, job));
    struct http_exchange *exchange = logout->exchange;
    struct http_reply reply;

    if (code) {
        log_line(LOG_ERROR, "directory", "cannot store a logout: %s", error->text);
        registry_collect_again(logout->registry, job->peer_id);
    }
    index_job_done(job);
    free(logout);
    reply_ok(&reply);
    http_answer(exchange, &reply);
}

static bool find_owner(const struct login_services *services, const char *token, int64_t now_ms,
                       struct registry_owner *owner)
{
    return token && registry_find_token(services->registry, token, now_ms, owner) &&
           users_mark(services->users, owner->name, strlen(owner->name)) == owner->mark &&
           registry_log_out(services->registry, owner->id, token, now_ms);
}

bool logout_handle(const struct login_services *services, struct http_exchange *exchange,
                   struct http_reply *reply)
{
    const char *token = login_bearer(http_request(exchange));
    struct registry_owner owner;

    if (!find_owner(services, token, clock_boot_ms(), &owner)) {
        reply_detail(reply, 401, TEXT_WRONG_TOKEN);
        return true;
    }
    log_line(LOG_INFO, "directory", "[API] Peer '%s' se ha desconectado", owner.name);
    struct logout *logout = memory_new(1, sizeof *logout);
    logout->registry = services->registry;
    logout->exchange = exchange;
    logout->job = (struct index_job){.peer_id = owner.id, .with_record = true, .done = on_stored};
    if (index_writer_submit(services->writer, &logout->job) == ERROR_NONE)
        return false;
    free(logout);
    registry_collect_again(services->registry, owner.id);
    reply_ok(reply);
    return true;
}
