/*
 * UploadFile: a file from another peer. Whatever is wrong with the file is told in the response,
 * with the status OK, as the reference does; only a message that is none breaks the call.
 *
 *   message*  ──▶ incoming (temporary) ──▶ end of requests ──▶ commit (its own thread, RPC_WAIT)
 *      │ refused, disk full, too many uploads at once             │
 *      └────────────────────────▶ response ◀──────────────────────┘
 *
 * While the disk does not keep up, the incoming file is with the committer's threads, too.
 *
 * A sender that vanishes never gets to the end of its requests, so nothing is stored.
 */
#include "common/log.h"
#include "common/memory.h"
#include "peer/network/chunk.h"
#include "peer/service/peer_service_private.h"
#include "proto/peer.pb-c.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FULL_TEXT "Demasiadas subidas a la vez a este peer: inténtelo más tarde"

#define NAMELESS   "upload.bin"
#define SPAN_BATCH 32

enum upload_stage {
    UPLOAD_RECEIVING,
    UPLOAD_SETTLING,
    UPLOAD_ENDED,
    UPLOAD_COMMITTING,
    UPLOAD_DECIDED,
    UPLOAD_DONE
};

struct upload {
    struct peer_service *service;
    struct rpc_call *call;
    struct host_key host; /* with admitted */
    bool admitted;
    enum upload_stage stage;
    bool named;
    struct file_name name;
    struct share_incoming *incoming;
    struct commit_job *job;
    int64_t bytes;
    struct limits_stream stream;
    int64_t unpaid_bytes; /* of the last message: the limits have not let them pass yet */
    struct error outcome; /* of the upload; the stored name is in name */
};

static void wake(void *context)
{
    struct upload *upload = context;

    rpc_call_wake(upload->call);
}

void *peer_upload_open(void *context, struct rpc_call *call)
{
    struct peer_service *service = context;
    struct upload *upload = memory_new(1, sizeof *upload);

    upload->service = service;
    upload->call = call;
    upload->stream = (struct limits_stream){
        .limits = service->limits, .direction = LIMITS_DOWNLOAD, .wake = wake, .context = upload};
    limits_join(&upload->stream, rpc_call_peer(call));
    upload->host = host_key_of(rpc_call_peer(call));
    upload->admitted =
        host_counts_take(service->uploads_by_host, &upload->host) == ADMISSION_GRANTED;
    atomic_fetch_add(&upload->service->streams, 1);
    return upload;
}

/* Copies the name; one byte more than a name may have, so that a longer one is seen to be longer.
 */
static size_t copy_name(const struct rpc_request *request, const struct chunk_part *filename,
                        char out[FILE_NAME_MAX_BYTES + 1])
{
    struct iovec spans[SPAN_BATCH];
    size_t copied = 0;
    size_t wanted = filename->bytes;

    if (wanted > FILE_NAME_MAX_BYTES + 1)
        wanted = FILE_NAME_MAX_BYTES + 1;
    while (copied < wanted) {
        size_t covered;
        size_t count = spans_slice(request->spans, request->span_count, filename->offset + copied,
                                   wanted - copied, spans, SPAN_BATCH, &covered);

        for (size_t i = 0; i < count; i++) {
            memcpy(out + copied, spans[i].iov_base, spans[i].iov_len);
            copied += spans[i].iov_len;
        }
    }
    return copied;
}

/* The name of the first message that has one. */
static enum error_code take_name(struct upload *upload, const struct rpc_request *request,
                                 const struct chunk_part *filename, struct error *error)
{
    char text[FILE_NAME_MAX_BYTES + 1];
    enum error_code code;

    if (upload->named || filename->bytes == 0)
        return ERROR_NONE;
    /* Differs: the reference writes to any path that it is given. */
    code = file_name_parse(text, copy_name(request, filename, text), &upload->name, error);
    if (code)
        return code;
    if (file_name_is_hidden(&upload->name)) /* it would not be shared; told before the bytes come */
        return error_set(error, ERROR_INVALID,
                         "Nombre de archivo inválido: '%s' sería un archivo oculto",
                         upload->name.text);
    upload->named = true;
    return ERROR_NONE;
}

static enum error_code write_data(struct upload *upload, const struct rpc_request *request,
                                  const struct chunk_part *data, struct error *error)
{
    struct iovec spans[SPAN_BATCH];
    size_t covered;
    enum error_code code = ERROR_NONE;

    upload->bytes += (int64_t)data->bytes;
    upload->unpaid_bytes = (int64_t)data->bytes;
    for (size_t done = 0; !code && done < data->bytes; done += covered) {
        size_t count = spans_slice(request->spans, request->span_count, data->offset + done,
                                   data->bytes - done, spans, SPAN_BATCH, &covered);

        code = share_incoming_write(upload->incoming, spans, count, error);
    }
    return code;
}

static enum error_code begin(struct upload *upload, struct error *error)
{
    if (upload->incoming)
        return ERROR_NONE;
    enum error_code code = share_incoming_begin(upload->service->share, &upload->incoming, error);
    if (!code)
        share_incoming_be_patient(upload->incoming);
    return code;
}

static void decide(struct upload *upload, enum error_code code)
{
    upload->outcome.code = code;
    upload->stage = UPLOAD_DECIDED;
}

enum error_code peer_upload_message(void *state, const struct rpc_request *request,
                                    struct error *error)
{
    struct upload *upload = state;
    struct upload_chunk chunk;
    enum error_code code;

    if (!upload->admitted) {
        decide(upload, error_set(&upload->outcome, ERROR_BUSY, FULL_TEXT));
        return ERROR_NONE;
    }
    if (!request) {
        upload->stage = UPLOAD_ENDED;
        return ERROR_NONE;
    }
    if (upload_chunk_parse(request->spans, request->span_count, &chunk, error))
        return ERROR_INVALID;
    code = take_name(upload, request, &chunk.filename, &upload->outcome);
    if (!code)
        code = begin(upload, &upload->outcome);
    if (!code)
        code = write_data(upload, request, &chunk.data, &upload->outcome);
    if (code)
        decide(upload, code);
    return ERROR_NONE;
}

/* An upload without a name is UPLOAD.BIN, or the next free number of it. */
static void submit(struct upload *upload)
{
    enum share_conflict conflict = upload->named ? SHARE_REFUSE : SHARE_NUMBER;
    enum error_code code = begin(upload, &upload->outcome);

    if (!code && !upload->named)
        code = file_name_parse(NAMELESS, sizeof NAMELESS - 1, &upload->name, &upload->outcome);
    if (code) {
        decide(upload, code);
        return;
    }
    upload->job =
        commit_job_new(take_pointer(&upload->incoming), &upload->name, conflict, wake, upload);
    upload->stage = UPLOAD_COMMITTING;
    committer_submit(upload->service->committer, upload->job);
}

static enum rpc_step respond(struct upload *upload, struct rpc_reply *reply, struct error *error)
{
    Peer__UploadResponse response = PEER__UPLOAD_RESPONSE__INIT;
    auto_free char *text = NULL;

    upload->stage = UPLOAD_DONE;
    if (upload->outcome.code) {
        text = memory_copy_string(upload->outcome.text);
    } else {
        text = memory_format("Escrito %" PRId64 " bytes en %s", upload->bytes, upload->name.text);
        log_line(LOG_INFO, "peer", "took in %s (%" PRId64 " bytes) from %s", upload->name.text,
                 upload->bytes, rpc_call_peer(upload->call));
    }
    response.ok = upload->outcome.code == ERROR_NONE;
    response.message = text;
    return rpc_reply_pack(reply, &response.base, error) ? RPC_END : RPC_SEND;
}

/* When the disk has caught up, the file comes back. */
static void take_settled(struct upload *upload)
{
    struct committer *committer = upload->service->committer;

    if (!commit_job_is_done(committer, upload->job, NULL, NULL))
        return;
    upload->incoming = settle_job_take(upload->job);
    commit_job_release(committer, take_pointer(&upload->job));
    upload->stage = UPLOAD_RECEIVING;
}

/* The next message, when the last one is within the limits and the disk keeps up: until then the
 * sender's window fills, and it waits. */
static enum rpc_step receive(struct upload *upload)
{
    int64_t granted;

    if (upload->unpaid_bytes > 0 && !limits_ask(&upload->stream, upload->unpaid_bytes, &granted))
        return RPC_WAIT;
    upload->unpaid_bytes = 0;
    if (upload->incoming && share_incoming_lags(upload->incoming)) {
        upload->job = settle_job_new(take_pointer(&upload->incoming), wake, upload);
        upload->stage = UPLOAD_SETTLING;
        committer_submit(upload->service->committer, upload->job);
        return RPC_WAIT;
    }
    return RPC_READ;
}

enum rpc_step peer_upload_next(void *state, struct rpc_reply *reply, struct error *error)
{
    struct upload *upload = state;

    if (upload->stage == UPLOAD_ENDED)
        submit(upload);
    if (upload->stage == UPLOAD_COMMITTING &&
        commit_job_is_done(upload->service->committer, upload->job, &upload->name,
                           &upload->outcome))
        upload->stage = UPLOAD_DECIDED;
    if (upload->stage == UPLOAD_SETTLING)
        take_settled(upload);
    switch (upload->stage) {
    case UPLOAD_RECEIVING:
        return receive(upload);
    case UPLOAD_SETTLING:
    case UPLOAD_COMMITTING:
        return RPC_WAIT;
    case UPLOAD_DECIDED:
        return respond(upload, reply, error);
    default:
        return RPC_END;
    }
}

void peer_upload_close(void *state)
{
    struct upload *upload = state;

    if (upload->admitted)
        host_counts_give(upload->service->uploads_by_host, &upload->host);
    limits_leave(&upload->stream);
    atomic_fetch_sub(&upload->service->streams, 1);
    commit_job_release(upload->service->committer, upload->job);
    share_incoming_abort(upload->incoming);
    free(upload);
}
