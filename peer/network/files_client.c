#include "peer/network/files_client.h"

#include "common/clock.h"
#include "common/memory.h"
#include "common/text.h"
#include "peer/network/chunk.h"
#include "peer/network/files_part.h"
#include "peer/network/peer_client.h"
#include "peer/rpc/server.h"
#include "proto/peer.pb-c.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* The files of one call. */
struct fetch {
    const struct files_client_options *options;
    const struct files_client_taker *taker;
    const struct files_client_file *files;
    size_t count;
    size_t first; /* what the caller knows files[0] as */
    char peer[ADDRESS_TEXT_BYTES];
    int64_t end_ms;  /* when it takes too long, on the boot clock */
    size_t at;       /* the file whose turn it is, */
    size_t done;     /* and how many of its bytes are in joined */
    uint8_t *joined; /* NULL until a file is not in one place, then room for the largest */
    struct files_part part;
};

static enum error_code corrupt(struct error *error, const char *what)
{
    return error_set(error, ERROR_CORRUPT, "el otro peer %s", what);
}

static uint8_t *room(struct fetch *fetch)
{
    size_t most = 1;

    for (size_t i = 0; i < fetch->count; i++)
        if ((size_t)fetch->files[i].size_bytes > most)
            most = (size_t)fetch->files[i].size_bytes;
    if (!fetch->joined)
        fetch->joined = memory_new(most, 1);
    return fetch->joined;
}

static void hand_over(struct fetch *fetch, const struct rpc_response *response,
                      const struct chunk_part *data)
{
    struct iovec span = {.iov_base = (char[1]){0}}; /* of no bytes */
    size_t covered = 0;

    if (fetch->done == 0)
        (void)spans_slice(response->spans, response->span_count, data->offset, data->bytes, &span,
                          1, &covered);
    if (covered < data->bytes || fetch->done > 0) {
        span.iov_base = room(fetch);
        spans_copy(response->spans, response->span_count, data, fetch->joined + fetch->done);
    }
    fetch->taker->arrived(fetch->taker->context, fetch->first + fetch->at, span.iov_base,
                          fetch->done + data->bytes);
    fetch->at++;
    fetch->done = 0;
}

static void refuse(struct fetch *fetch, const struct rpc_response *response,
                   const struct arrived_file *file)
{
    char reason[ERROR_TEXT_BYTES] = "";
    char clean[ERROR_TEXT_BYTES];
    struct chunk_part start = file->reason;
    struct error error;

    if (start.bytes > sizeof reason - 1)
        start.bytes = sizeof reason - 1;
    spans_copy(response->spans, response->span_count, &start, (uint8_t *)reason);
    text_clean(reason, clean, sizeof clean);
    (void)error_set(&error, rpc_client_code_of(file->code), "%s",
                    clean[0] ? clean : "el otro peer no envía el archivo");
    fetch->taker->refused(fetch->taker->context, fetch->first + fetch->at, &error);
    fetch->at++;
    fetch->done = 0;
}

static enum error_code take_file(struct fetch *fetch, const struct rpc_response *response,
                                 const struct arrived_file *file, struct error *error)
{
    if (file->index >= fetch->count)
        return corrupt(error, "envió un archivo que no se le pidió");
    if (file->index != fetch->at)
        return corrupt(error, fetch->done > 0 ? "no envió el archivo entero"
                                              : "no envió los archivos en el orden pedido");
    if (file->code != 0) {
        refuse(fetch, response, file);
        return ERROR_NONE;
    }
    size_t left = (size_t)fetch->files[fetch->at].size_bytes - fetch->done;
    if (file->data.bytes > left)
        return corrupt(error, "envió más datos de los que tiene el archivo");
    if (file->data.bytes == left) {
        hand_over(fetch, response, &file->data);
        return ERROR_NONE;
    }
    if (file->data.bytes == 0)
        return corrupt(error, "no envió el archivo entero");
    spans_copy(response->spans, response->span_count, &file->data, room(fetch) + fetch->done);
    fetch->done += file->data.bytes;
    return ERROR_NONE;
}

/* What came is paid for before more is read: the sender's window fills meanwhile. */
static enum error_code pay(const struct fetch *fetch, struct error *error)
{
    int64_t bytes = 0;

    for (size_t i = 0; i < fetch->part.count; i++)
        bytes += (int64_t)fetch->part.files[i].data.bytes;
    if (!limits_take(fetch->options->limits, LIMITS_DOWNLOAD, fetch->peer, bytes,
                     fetch->options->interrupt))
        return error_set(error, ERROR_CANCELLED, "cancelado");
    return ERROR_NONE;
}

static enum error_code take_message(struct fetch *fetch, const struct rpc_response *response,
                                    struct error *error)
{
    const struct files_part *part = &fetch->part;
    enum error_code code;

    if (response->bytes > RPC_MAX_MESSAGE_BYTES)
        return corrupt(error, "envió un mensaje demasiado grande");
    code = files_part_parse(response->spans, response->span_count, &fetch->part, error);
    if (code == ERROR_NONE && part->queue_position > 0)
        code = error_set(error, ERROR_BUSY, "hay que esperar turno");
    if (code == ERROR_NONE && part->count == 0)
        code = corrupt(error, "envió un mensaje vacío");
    for (size_t i = 0; i < part->count && code == ERROR_NONE; i++)
        code = take_file(fetch, response, &part->files[i], error);
    if (code == ERROR_NONE)
        code = pay(fetch, error);
    if (code == ERROR_NONE && fetch->taker->go_on && !fetch->taker->go_on(fetch->taker->context))
        code = error_set(error, ERROR_CANCELLED, "cancelado");
    return code;
}

static enum error_code receive(struct rpc_client_call *call, struct fetch *fetch,
                               struct error *error)
{
    enum error_code code = ERROR_NONE;

    while (code == ERROR_NONE && fetch->at < fetch->count) {
        struct rpc_response response;
        bool end = false;
        code = rpc_client_receive(call, &response, &end, error);
        if (code == ERROR_NONE && end)
            code = corrupt(error, "no envió todos los archivos");
        int64_t now_ms = clock_boot_ms();
        if (code == ERROR_NONE && now_ms > fetch->end_ms)
            code = error_set(error, ERROR_TIMEOUT, "el otro peer envía demasiado despacio");
        if (code == ERROR_NONE)
            code = take_message(fetch, &response, error);
        fetch->end_ms += clock_boot_ms() - now_ms; /* that was not the peer */
    }
    return code;
}

static enum error_code ask(struct rpc_client_call *call, const struct fetch *fetch,
                           struct error *error)
{
    Peer__FilesRequest request = PEER__FILES_REQUEST__INIT;
    Peer__WantedFile files[FILES_PART_MAX];
    Peer__WantedFile *pointers[FILES_PART_MAX];

    for (size_t i = 0; i < fetch->count; i++) {
        const struct files_client_file *file = &fetch->files[i];
        peer__wanted_file__init(&files[i]);
        files[i].filename.data = (uint8_t *)(uintptr_t)file->name->text;
        files[i].filename.len = strlen(file->name->text);
        files[i].content_id.data = (uint8_t *)(uintptr_t)file->content->bytes;
        files[i].content_id.len = sizeof file->content->bytes;
        files[i].size_bytes = file->size_bytes;
        pointers[i] = &files[i];
    }
    request.files = pointers;
    request.n_files = fetch->count;
    request.accepts_queue_position = true;
    return rpc_client_send_only(call, &request.base, error);
}

static void set_end(struct fetch *fetch, int64_t stall_ms)
{
    int64_t bytes = 0;

    for (size_t i = 0; i < fetch->count; i++) {
        assert(fetch->files[i].size_bytes >= 0 &&
               fetch->files[i].size_bytes <= (int64_t)PIECE_BYTES);
        bytes += fetch->files[i].size_bytes;
    }
    fetch->end_ms = clock_boot_ms() + FILES_CLIENT_BEGIN_STALLS * stall_ms +
                    bytes * 1000 / FILES_CLIENT_BYTES_SECOND;
}

/* Some of the files, by one call. */
static enum error_code fetch_some(struct rpc_channel *channel, struct fetch *fetch,
                                  struct error *error)
{
    const struct files_client_options *options = fetch->options;
    int64_t stall_ms = options->stall_ms > 0 ? options->stall_ms : PEER_STEP_MS;
    struct rpc_client_call *call = NULL;
    enum error_code code =
        rpc_client_start(channel, "/peer.PeerService/DownloadFiles", stall_ms, &call, error);

    if (code != ERROR_NONE)
        return code;
    set_end(fetch, stall_ms);
    interrupt_attach(options->interrupt, call);
    code = ask(call, fetch, error);
    if (code == ERROR_NONE)
        code = receive(call, fetch, error);
    interrupt_detach(options->interrupt);
    rpc_client_free(call); /* what the peer still has to say, it keeps */
    return code;
}

enum error_code files_client_fetch(const struct files_client_options *options,
                                   const struct files_client_file *files, size_t count,
                                   const struct files_client_taker *taker, struct error *error)
{
    struct channel_pool *channels = options->channels;
    auto_free struct fetch *fetch = memory_new(1, sizeof *fetch);
    enum error_code code = ERROR_NONE;

    fetch->options = options;
    fetch->taker = taker;
    address_format(options->address, fetch->peer);
    struct rpc_channel *channel =
        channels ? channel_pool_take(channels, fetch->peer) : rpc_channel_open(fetch->peer);
    for (size_t first = 0; first < count && code == ERROR_NONE; first += fetch->count) {
        fetch->files = files + first;
        fetch->first = first;
        fetch->count = count - first < FILES_PART_MAX ? count - first : FILES_PART_MAX;
        fetch->at = fetch->done = 0;
        code = fetch_some(channel, fetch, error);
        free(take_pointer(&fetch->joined));
    }
    if (channels)
        channel_pool_give(channels, channel);
    else
        rpc_channel_close(channel);
    return code;
}
