#include "peer/downloads/transfer.h"

#include "common/clock.h"
#include "peer/downloads/liveness.h"
#include "peer/network/chunk.h"
#include "proto/peer.pb-c.h"

#include <inttypes.h>
#include <string.h>

#define WRITE_SPANS 64 /* of one write: a 1 MiB message comes in at most a few dozen buffers */

struct progress {
    int64_t bytes;
    int64_t total_bytes;
    struct liveness liveness;
};

static enum error_code write_data(const struct transfer *transfer,
                                  const struct rpc_response *response, const struct chunk *chunk,
                                  struct error *error)
{
    struct iovec spans[WRITE_SPANS];
    size_t done = 0;

    while (done < chunk->data.bytes) {
        size_t covered;
        size_t count = spans_slice(response->spans, response->span_count, chunk->data.offset + done,
                                   chunk->data.bytes - done, spans, WRITE_SPANS, &covered);
        enum error_code code = share_incoming_write(transfer->incoming, spans, count, error);
        if (code != ERROR_NONE)
            return code;
        done += covered;
    }
    return ERROR_NONE;
}

static enum error_code wrong_size(const struct progress *progress, struct error *error)
{
    return error_set(error, ERROR_CORRUPT,
                     "llegaron %" PRId64 " bytes de %" PRId64 ": el archivo no está completo",
                     progress->bytes, progress->total_bytes);
}

static enum error_code check_life(const struct transfer *transfer, struct progress *progress,
                                  const struct chunk *chunk, struct error *error)
{
    char source[ADDRESS_TEXT_BYTES];

    if (liveness_note(&progress->liveness, chunk, transfer->stall_ms, clock_boot_ms(), error))
        return error_context(error, "%s", address_format(transfer->address, source));
    return ERROR_NONE;
}

static enum error_code take_chunk(const struct transfer *transfer,
                                  const struct rpc_response *response, struct progress *progress,
                                  bool *local, struct error *error)
{
    struct chunk chunk;

    enum error_code code = chunk_parse(response->spans, response->span_count, &chunk, error);
    if (code == ERROR_NONE)
        code = check_life(transfer, progress, &chunk, error);
    if (code != ERROR_NONE)
        return code;
    if (chunk.total_bytes > 0)
        progress->total_bytes = chunk.total_bytes;
    progress->bytes += (int64_t)chunk.data.bytes;
    if (progress->total_bytes > 0 && progress->bytes > progress->total_bytes)
        return wrong_size(progress, error);
    code = write_data(transfer, response, &chunk, error);
    if (code != ERROR_NONE) {
        *local = true;
        return code;
    }
    transfer->progress(transfer->context, progress->bytes, progress->total_bytes);
    char peer[ADDRESS_TEXT_BYTES];
    if (chunk.data.bytes > 0)
        (void)limits_take(transfer->limits, LIMITS_DOWNLOAD,
                          address_format(transfer->address, peer), (int64_t)chunk.data.bytes,
                          transfer->interrupt); /* interrupted: the next receive says so */
    return ERROR_NONE;
}

static enum error_code receive_all(const struct transfer *transfer, struct rpc_client_call *call,
                                   bool *local, struct error *error)
{
    struct progress progress = {.bytes = 0};

    liveness_begin(&progress.liveness, clock_boot_ms());

    for (;;) {
        struct rpc_response response;
        bool end = false;
        enum error_code code = rpc_client_receive(call, &response, &end, error);
        if (code == ERROR_NONE && end)
            break;
        if (code == ERROR_NONE)
            code = take_chunk(transfer, &response, &progress, local, error);
        if (code != ERROR_NONE)
            return code;
    }
    if (progress.total_bytes > 0 && progress.bytes != progress.total_bytes)
        return wrong_size(&progress, error);
    return ERROR_NONE;
}

static enum error_code run_call(const struct transfer *transfer, struct rpc_client_call *call,
                                bool *local, struct error *error)
{
    Peer__DownloadRequest request = PEER__DOWNLOAD_REQUEST__INIT;
    struct file_name name = *transfer->name;

    request.filename.data = (uint8_t *)name.text;
    request.filename.len = strlen(name.text);
    request.accepts_queue_position = true;
    enum error_code code = rpc_client_send_only(call, &request.base, error);
    if (code == ERROR_NONE)
        code = receive_all(transfer, call, local, error);
    return code;
}

enum error_code transfer_run(const struct transfer *transfer, bool *local, struct error *error)
{
    char target[ADDRESS_TEXT_BYTES];
    struct rpc_client_call *call = NULL;
    struct rpc_channel *channel = rpc_channel_open(address_format(transfer->address, target));

    *local = false;
    enum error_code code = rpc_client_start(channel, "/peer.PeerService/DownloadFile",
                                            transfer->stall_ms, &call, error);
    if (code == ERROR_NONE) {
        interrupt_attach(transfer->interrupt, call);
        code = run_call(transfer, call, local, error);
        interrupt_detach(transfer->interrupt);
    }
    rpc_client_free(call);
    rpc_channel_close(channel);
    if (code != ERROR_NONE && interrupt_raised(transfer->interrupt)) {
        *local = true;
        return error_set(error, ERROR_CANCELLED, "cancelado");
    }
    return code;
}
