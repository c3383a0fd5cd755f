/* DownloadFile: a file's bytes in order, one message at a time. */
#include "common/memory.h"
#include "peer/service/peer_service_private.h"
#include "proto/peer.pb-c.h"

#include <stdlib.h>

struct download {
    struct peer_service *service;
    struct share_reader *reader;
    int64_t left_bytes;
    bool begun; /* the first message, with the size, is out */
};

void *peer_download_open(void *service, struct rpc_call *call)
{
    struct download *download = memory_new(1, sizeof *download);

    (void)call;
    download->service = service;
    atomic_fetch_add(&download->service->streams, 1);
    return download;
}

enum error_code peer_download_message(void *state, const struct rpc_request *request,
                                      struct error *error)
{
    struct download *download = state;
    const Peer__DownloadRequest *message;
    struct file_name name;
    enum error_code code;

    if (!request)
        return error_set(error, ERROR_INVALID, "Falta el mensaje de la petición");
    message = (const Peer__DownloadRequest *)request->message;
    /* Differs: the reference opens any path that it is given. */
    code =
        file_name_parse((const char *)message->filename.data, message->filename.len, &name, error);
    if (!code)
        code = share_reader_open(download->service->share, &name, &download->reader, error);
    if (!code)
        download->left_bytes = share_reader_size(download->reader);
    return code;
}

/* As many bytes as one of so many streams may have in a message. */
static size_t chunk_bytes(const struct peer_service *service)
{
    size_t streams = (size_t)peer_service_streams(service); /* ours is one of them */
    size_t share = PEER_CHUNK_SUM_BYTES / streams;

    if (share > PEER_CHUNK_MAX_BYTES)
        return PEER_CHUNK_MAX_BYTES;
    return share < PEER_CHUNK_MIN_BYTES ? PEER_CHUNK_MIN_BYTES : share;
}

/* At the end the reader is asked once more: it says whether the file is still the same one. */
static enum error_code read_chunk(struct download *download, void **data, size_t *got,
                                  struct error *error)
{
    size_t capacity = chunk_bytes(download->service);
    auto_free void *memory = NULL;
    enum error_code code;

    if (download->left_bytes < (int64_t)capacity)
        capacity = (size_t)download->left_bytes;
    memory = malloc(capacity ? capacity : 1);
    if (!memory)
        return error_set(error, ERROR_BUSY, "No hay memoria para leer el archivo");
    code = share_reader_read(download->reader, memory, capacity, got, error);
    if (code)
        return code;
    download->left_bytes -= (int64_t)*got;
    *data = take_pointer(&memory);
    return ERROR_NONE;
}

enum rpc_step peer_download_next(void *state, struct rpc_reply *reply, struct error *error)
{
    struct download *download = state;
    Peer__Chunk chunk = PEER__CHUNK__INIT;
    void *data = NULL;
    size_t got;

    if (read_chunk(download, &data, &got, error))
        return RPC_END;
    if (got == 0) {
        free(data);
        return RPC_END;
    }
    chunk.data = (ProtobufCBinaryData){.data = data, .len = got};
    if (!download->begun)
        chunk.total_bytes = share_reader_size(download->reader);
    download->begun = true;
    return rpc_reply_pack_payload(reply, &chunk.base, data, got, error) ? RPC_END : RPC_SEND;
}

void peer_download_close(void *state)
{
    struct download *download = state;

    atomic_fetch_sub(&download->service->streams, 1);
    share_reader_close(download->reader);
    free(download);
}
