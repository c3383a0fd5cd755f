/* DownloadFile: the bytes of a file or of a part of it, in order, one message at a time. */
#include "common/memory.h"
#include "peer/service/peer_service_private.h"
#include "proto/peer.pb-c.h"

#include <stdlib.h>

struct download {
    struct peer_service *service;
    struct share_reader *reader;
    int64_t offset; /* where the part begins */
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

/* Whether the file that is open is the content that was asked for. The one under that name may be
 * another one by now. */
static enum error_code check_content(struct download *download, const struct content_id *wanted,
                                     struct error *error)
{
    struct catalogue *catalogue = download->service->catalogue;
    struct share_identity identity;
    struct content_id id;

    if (!catalogue)
        return error_set(error, ERROR_UNSUPPORTED, "Este peer no calcula contenidos");
    share_reader_identity(download->reader, &identity);
    if (!catalogue_find_id(catalogue, &identity, &id)) {
        catalogue_share_changed(catalogue);
        return error_set(error, ERROR_BUSY, "El contenido del archivo todavía se está calculando");
    }
    return content_id_equal(&id, wanted) ? ERROR_NONE : peer_other_content(error);
}

static enum error_code limit(struct download *download, const Peer__DownloadRequest *request,
                             struct error *error)
{
    int64_t size = share_reader_size(download->reader);

    if (request->offset < 0 || request->length < 0 || request->offset > size)
        return error_set(error, ERROR_INVALID, "El archivo no tiene esa parte");
    download->offset = request->offset;
    download->left_bytes = size - request->offset;
    if (request->length > 0 && request->length < download->left_bytes)
        download->left_bytes = request->length;
    share_reader_limit(download->reader, download->offset, download->left_bytes);
    return ERROR_NONE;
}

enum error_code peer_download_message(void *state, const struct rpc_request *request,
                                      struct error *error)
{
    struct download *download = state;
    const Peer__DownloadRequest *message;
    struct content_id wanted;
    struct file_name name;
    enum error_code code;
    bool given;

    if (!request)
        return error_set(error, ERROR_INVALID, "Falta el mensaje de la petición");
    message = (const Peer__DownloadRequest *)request->message;
    /* Differs: the reference opens any path that it is given. */
    code =
        file_name_parse((const char *)message->filename.data, message->filename.len, &name, error);
    if (!code)
        code = peer_wanted_content(&message->content_id, &given, &wanted, error);
    if (!code)
        code = share_reader_open(download->service->share, &name, &download->reader, error);
    if (!code && given)
        code = check_content(download, &wanted, error);
    return code ? code : limit(download, message, error);
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
    if (!download->begun) {
        chunk.total_bytes = share_reader_size(download->reader);
        chunk.offset = download->offset;
    }
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
