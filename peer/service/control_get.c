/* Get: a call that tells of one download as it goes. */
#include "peer/service/control_private.h"

#include "common/clock.h"
#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

#define DATA_BYTES ((size_t)1024 * 1024) /* of one message */

static void wake_call(void *context)
{
    rpc_call_wake(context);
}

/* ---- Get ---- */

struct get {
    struct control_service *service;
    struct downloads_follower follower;
    bool following;
    struct error refusal; /* there is no job */
    uint64_t id;
    bool stream;
    bool asked;       /* sources are looked for; they are not given */
    int64_t start_ms; /* boot clock */

    uint64_t told_revision;
    bool over; /* the last message is out */
    unsigned attempt;
    int64_t offset; /* of the attempt, sent so far */
};

void *control_get_open(void *service, struct rpc_call *call)
{
    struct get *get = memory_new(1, sizeof *get);

    get->service = service;
    get->follower = (struct downloads_follower){.wake = wake_call, .context = call};
    return get;
}

enum error_code control_parse_get(const struct control_service *service,
                                  const P2p__Control__GetRequest *message,
                                  struct download_request *request,
                                  struct address addresses[CONTROL_SOURCE_ADDRESSES],
                                  struct error *error)
{
    *request = (struct download_request){
        .destination = message->stream ? DOWNLOAD_SPOOL : DOWNLOAD_SHARE,
        .peer = message->peer,
        .addresses = addresses,
        .priority = (enum download_priority)message->priority,
    };
    if (!download_priority_is_valid(message->priority))
        return error_set(error, ERROR_INVALID, "No existe esa prioridad");
    for (size_t i = 0; i < message->n_addresses && i < CONTROL_SOURCE_ADDRESSES; i++) {
        enum error_code code = address_parse(message->addresses[i], false, &addresses[i], error);
        if (code != ERROR_NONE)
            return code;
        request->address_count++;
    }
    enum error_code code =
        file_name_parse_path(message->name, strlen(message->name), &request->name, error);
    if (code == ERROR_NONE && !message->stream) /* rather than when all of it is here */
        code = share_check_place(service->options.share, &request->name, error);
    return code;
}

enum error_code control_get_message(void *state, const struct rpc_request *request,
                                    struct error *error)
{
    struct get *get = state;
    struct downloads *downloads = get->service->options.downloads;
    struct download_request wanted;
    auto_free struct address *addresses = memory_new(CONTROL_SOURCE_ADDRESSES, sizeof *addresses);

    if (!request)
        return error_set(error, ERROR_INVALID, "Falta la petición");
    const P2p__Control__GetRequest *message = (const P2p__Control__GetRequest *)request->message;
    get->stream = message->stream;
    get->asked = message->n_addresses == 0;
    get->start_ms = clock_boot_ms();
    enum error_code code =
        control_parse_get(get->service, message, &wanted, addresses, &get->refusal);
    if (code == ERROR_NONE)
        code = downloads_add(downloads, &wanted, &get->id, &get->refusal);
    if (code == ERROR_NONE)
        get->following = downloads_follow_job(downloads, &get->follower, get->id);
    return ERROR_NONE;
}

static enum rpc_step send_refusal(struct get *get, struct rpc_reply *reply, struct error *error)
{
    P2p__Control__GetReply message = P2P__CONTROL__GET_REPLY__INIT;
    P2p__Control__Failure failure;

    get->over = true;
    message.failure = control_failure(&failure, &get->refusal);
    return rpc_reply_pack(reply, &message.base, error) == ERROR_NONE ? RPC_SEND : RPC_END;
}

static enum rpc_step send_job(struct get *get, struct download_status *status,
                              struct rpc_reply *reply, struct error *error)
{
    P2p__Control__GetReply message = P2P__CONTROL__GET_REPLY__INIT;
    struct locator *locator = get->service->options.finder->locator;
    struct control_job job;
    char note[LOCATED_NOTE_BYTES] = "";

    get->told_revision = status->revision;
    get->over = download_state_is_final(status->state);
    control_job_fill(&job, get->service, status);
    message.job = &job.message;
    if (get->over && get->asked && locator)
        locator_note(locator, &status->name, get->start_ms, note);
    message.note = note;
    message.attempt = status->attempt;
    enum error_code code = rpc_reply_pack(reply, &message.base, error);
    control_job_done(&job);
    return code == ERROR_NONE ? RPC_SEND : RPC_END;
}

/* The next bytes, if there are any: *sent. */
static enum rpc_step send_data(struct get *get, const struct download_status *status,
                               struct rpc_reply *reply, bool *sent, struct error *error)
{
    P2p__Control__GetReply message = P2P__CONTROL__GET_REPLY__INIT;
    int64_t left = status->bytes - get->offset;
    size_t wanted = left > (int64_t)DATA_BYTES ? DATA_BYTES : (size_t)left;
    size_t got = 0;

    auto_free void *data = memory_new(1, wanted);
    enum error_code code = downloads_read(get->service->options.downloads, get->id, get->attempt,
                                          get->offset, data, wanted, &got, error);
    if (code == ERROR_CHANGED || (code == ERROR_NONE && got == 0)) {
        *error = (struct error){0};
        return RPC_WAIT; /* the news of another attempt is on its way */
    }
    if (code != ERROR_NONE)
        return RPC_END;
    message.data.data = data;
    message.data.len = got;
    message.attempt = get->attempt;
    get->offset += (int64_t)got;
    *sent = true;
    code = rpc_reply_pack_payload(reply, &message.base, take_pointer(&data), got, error);
    return code == ERROR_NONE ? RPC_SEND : RPC_END;
}

static bool has_data(struct get *get, const struct download_status *status)
{
    if (!get->stream || status->state == DOWNLOAD_FAILED || status->state == DOWNLOAD_CANCELLED)
        return false;
    if (status->attempt != get->attempt) {
        get->attempt = status->attempt;
        get->offset = 0;
    }
    return get->offset < status->bytes;
}

enum rpc_step control_get_next(void *state, struct rpc_reply *reply, struct error *error)
{
    struct get *get = state;
    struct download_status status;
    bool sent = false;

    if (get->over)
        return RPC_END;
    if (get->refusal.code != ERROR_NONE)
        return send_refusal(get, reply, error);
    if (!downloads_find(get->service->options.downloads, get->id, &status)) {
        error_set(error, ERROR_NOT_FOUND, "La descarga ya no existe");
        return RPC_END;
    }
    bool data = has_data(get, &status);
    bool news = status.revision != get->told_revision;
    /* The last word on a job comes after its bytes. */
    if (news && !(data && download_state_is_final(status.state)))
        return send_job(get, &status, reply, error);
    if (data)
        return send_data(get, &status, reply, &sent, error);
    return RPC_WAIT;
}

void control_get_close(void *state)
{
    struct get *get = state;

    if (get->following) {
        downloads_unfollow(get->service->options.downloads, &get->follower);
        if (get->stream)
            downloads_release(get->service->options.downloads, get->id);
    }
    free(get);
}
