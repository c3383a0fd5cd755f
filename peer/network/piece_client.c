#include "peer/network/piece_client.h"

#include "common/clock.h"
#include "common/memory.h"
#include "peer/network/chunk.h"
#include "peer/network/peer_client.h"
#include "proto/peer.pb-c.h"

#include <stdlib.h>
#include <string.h>

#define COPY_SPANS 64 /* taken at a time */

struct piece_client {
    struct rpc_channel *channel;
    char peer[ADDRESS_TEXT_BYTES];
    struct piece_client_options options; /* without the address */
};

struct piece_client *piece_client_open(const struct piece_client_options *options)
{
    struct piece_client *client = memory_new(1, sizeof *client);

    address_format(options->address, client->peer);
    client->options = *options;
    client->options.address = NULL;
    if (options->stall_ms == 0)
        client->options.stall_ms = PEER_STEP_MS;
    client->channel = options->channels ? channel_pool_take(options->channels, client->peer)
                                        : rpc_channel_open(client->peer);
    return client;
}

void piece_client_close(struct piece_client *client)
{
    if (!client)
        return;
    if (client->options.channels)
        channel_pool_give(client->options.channels, client->channel);
    else
        rpc_channel_close(client->channel);
    free(client);
}

/* What has come of a stream. */
struct arrival {
    const struct piece_client *client;
    const struct piece_request *request;
    uint8_t *data;
    int64_t end_ms; /* when it takes too long, on the boot clock */
    bool begun;
    int64_t at;  /* where in the file the next byte of the stream belongs */
    size_t done; /* bytes of the piece that are there */
};

/* The part of the message from byte `from` on, to the end of the piece. */
static void copy_data(struct arrival *arrival, const struct rpc_response *response,
                      const struct chunk *chunk, size_t from)
{
    struct iovec spans[COPY_SPANS];
    size_t left = arrival->request->length - arrival->done;
    size_t length = chunk->data.bytes - from < left ? chunk->data.bytes - from : left;

    for (size_t covered; length > 0; length -= covered, from += covered) {
        size_t count = spans_slice(response->spans, response->span_count, chunk->data.offset + from,
                                   length, spans, COPY_SPANS, &covered);
        for (size_t i = 0; i < count; i++) {
            memcpy(arrival->data + arrival->done, spans[i].iov_base, spans[i].iov_len);
            arrival->done += spans[i].iov_len;
        }
    }
}

/* What came is paid for before more is read: the sender's window fills meanwhile. */
static enum error_code pay(struct arrival *arrival, size_t bytes, struct error *error)
{
    const struct piece_client *client = arrival->client;
    int64_t begin_ms = clock_boot_ms();

    if (!limits_take(client->options.limits, LIMITS_DOWNLOAD, client->peer, (int64_t)bytes,
                     client->options.interrupt))
        return error_set(error, ERROR_CANCELLED, "cancelado");
    arrival->end_ms += clock_boot_ms() - begin_ms;
    return ERROR_NONE;
}

static enum error_code take_chunk(struct arrival *arrival, const struct rpc_response *response,
                                  struct error *error)
{
    const struct piece_request *request = arrival->request;
    struct chunk chunk;
    enum error_code code = chunk_parse(response->spans, response->span_count, &chunk, error);

    if (!code && chunk.queue_position > 0 && arrival->client->options.impatient)
        code = error_set(error, ERROR_BUSY, "hay que esperar turno");
    if (code || chunk.data.bytes == 0)
        return code;
    if (!arrival->begun && chunk.total_bytes > 0 && chunk.offset == request->offset)
        arrival->at = request->offset;
    arrival->begun = true;
    int64_t end = arrival->at + (int64_t)chunk.data.bytes;
    if (end > request->offset) {
        int64_t from = request->offset > arrival->at ? request->offset - arrival->at : 0;
        copy_data(arrival, response, &chunk, (size_t)from);
    }
    arrival->at = end;
    return pay(arrival, chunk.data.bytes, error);
}

static enum error_code receive(struct rpc_client_call *call, struct arrival *arrival,
                               struct error *error)
{
    while (arrival->done < arrival->request->length) {
        struct rpc_response response;
        bool end = false;
        enum error_code code = rpc_client_receive(call, &response, &end, error);
        if (!code && end)
            return error_set(error, ERROR_CORRUPT, "el otro peer no envió la parte entera");
        if (!code)
            code = take_chunk(arrival, &response, error);
        if (code)
            return code;
        if (clock_boot_ms() > arrival->end_ms)
            return error_set(error, ERROR_TIMEOUT, "el otro peer envía demasiado despacio");
    }
    return ERROR_NONE;
}

static enum error_code ask(struct rpc_client_call *call, const struct piece_request *request,
                           struct error *error)
{
    Peer__DownloadRequest message = PEER__DOWNLOAD_REQUEST__INIT;
    struct file_name name = *request->name;
    struct content_id content = *request->content;

    message.filename.data = (uint8_t *)name.text;
    message.filename.len = strlen(name.text);
    message.content_id.data = content.bytes;
    message.content_id.len = sizeof content.bytes;
    message.offset = request->offset;
    message.length = (int64_t)request->length;
    message.accepts_queue_position = true; /* signs of life */
    return rpc_client_send_only(call, &message.base, error);
}

enum error_code piece_client_fetch(struct piece_client *client, const struct piece_request *request,
                                   void *data, struct error *error)
{
    struct arrival arrival = {.client = client,
                              .request = request,
                              .data = data,
                              .end_ms = clock_boot_ms() + PIECE_CLIENT_MS};
    struct rpc_client_call *call = NULL;
    enum error_code code = rpc_client_start(client->channel, "/peer.PeerService/DownloadFile",
                                            client->options.stall_ms, &call, error);

    if (code)
        return code;
    interrupt_attach(client->options.interrupt, call);
    code = ask(call, request, error);
    if (!code)
        code = receive(call, &arrival, error);
    interrupt_detach(client->options.interrupt);
    rpc_client_free(call); /* what the peer still has to send, it keeps */
    return code;
}
