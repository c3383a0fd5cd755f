/* DownloadFile: the bytes of a file or of a part of it, in order, one message at a time, each when
 * the limits grant it (peer_turn.h). */
#include "common/memory.h"
#include "peer/service/peer_service_private.h"
#include "peer/service/peer_turn.h"
#include "proto/peer.pb-c.h"

#include <stdlib.h>

/* Who exchanges pieces asks for the next while the end of one is still under way: it must see that
 * come. What has arrived here is told of files up to 64 GiB, in 8 KiB. */
#define EXCHANGE_MESSAGE_BYTES ((int64_t)256 << 10)
#define EXCHANGE_PIECES_MAX    65536

struct download {
    struct peer_service *service;
    struct peer_turn turn;
    struct share_reader *reader;
    struct arrival *arrival; /* what is read is arriving; else NULL */
    int64_t offset;          /* where the part begins */
    int64_t left_bytes;
    bool begun;                /* the first message, with the size, is out */
    struct handout handout;    /* the part, if it is one that we chose, */
    int64_t handout_bytes;     /* of so many bytes, */
    struct content_id content; /* of this content */
    bool exchanges;            /* the receiver is one of many that exchange the content, */
    size_t told_count;         /* and has heard that so many pieces have arrived here */
};

void *peer_download_open(void *context, struct rpc_call *call)
{
    struct download *download = memory_new(1, sizeof *download);

    download->service = context;
    peer_turn_join(&download->turn, download->service, call);
    return download;
}

/* What is arriving is checked before it counts as here. */
static enum error_code check_damage(const struct download *download, struct error *error)
{
    if (download->arrival)
        return ERROR_NONE;
    return peer_check_damage(download->service, download->reader, download->offset,
                             download->left_bytes, error);
}

static enum error_code open_file(struct download *download, const struct file_name *name,
                                 const struct content_id *wanted, struct error *error)
{
    enum error_code code =
        share_reader_open(download->service->share, name, &download->reader, error);

    if (code || !wanted)
        return code;
    return peer_check_content(download->service, download->reader, wanted, error);
}

/* The file is not here, or is another one: the content may be arriving. False: nothing has changed.
 * The descriptor that is opened stays good when the content has arrived. */
static bool open_arrival(struct download *download, const struct content_id *wanted)
{
    struct share_reader *reader = NULL;

    download->arrival = peer_find_arrival(download->service, wanted);
    if (!download->arrival || arrival_open(download->arrival, &reader, NULL))
        return false;
    share_reader_close(download->reader);
    download->reader = reader;
    return true;
}

/* Of a content that is arriving, all that was asked for must be here. */
static enum error_code check_part(const struct download *download, struct error *error)
{
    if (!download->arrival ||
        arrival_has(download->arrival, download->offset, download->left_bytes))
        return ERROR_NONE;
    return error_set(error, ERROR_NOT_FOUND, "Esa parte del archivo todavía no ha llegado");
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
    return check_damage(download, error);
}

/* Who leaves the choice to us gets what we have given least. What is arriving here itself, others
 * can tell from GetAvailability. */
static enum error_code choose(struct download *download, const Peer__DownloadRequest *request,
                              const struct content_id *content, struct error *error)
{
    const int64_t bytes = (int64_t)PIECE_BYTES;
    int64_t size = share_reader_size(download->reader);
    bool to_the_end = download->offset + download->left_bytes == size;

    if (!content || request->alternatives.len == 0 || request->alternatives_from < 0 ||
        download->arrival || size > CONTENT_MAX_BYTES || download->offset % bytes != 0 ||
        download->left_bytes == 0 || (download->left_bytes % bytes != 0 && !to_the_end))
        return ERROR_NONE;
    const struct handout_wish wish = {
        .content = content,
        .piece_count = content_piece_count(size),
        .asked = {.first = (size_t)(download->offset / bytes),
                  .count = content_piece_count(download->left_bytes)},
        .from = (size_t)request->alternatives_from,
        .alternatives = request->alternatives.data,
        .bytes = request->alternatives.len,
    };
    struct handout handout = handouts_choose(download->service->handouts, &wish);
    int64_t end = (int64_t)(handout.first + handout.count) * bytes;
    download->offset = (int64_t)handout.first * bytes;
    download->left_bytes = (end < size ? end : size) - download->offset;
    share_reader_limit(download->reader, download->offset, download->left_bytes);
    enum error_code code = check_damage(download, error);
    if (code == ERROR_NONE) { /* else others are not offered it next */
        download->handout = handout;
        download->handout_bytes = download->left_bytes;
        download->content = *content;
    }
    return code;
}

/* The receiver did not take all that we chose: others are to have it. */
static void return_rest(const struct download *download)
{
    size_t begun = content_piece_count(download->handout_bytes - download->left_bytes);
    const struct handout rest = {.first = download->handout.first + begun,
                                 .count = download->handout.count - begun};

    if (download->handout.count > begun)
        handouts_return(download->service->handouts, &download->content, rest);
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
    code = file_name_parse_path((const char *)message->filename.data, message->filename.len, &name,
                                error);
    if (!code)
        code = peer_wanted_content(&message->content_id, &given, &wanted, error);
    if (!code)
        code = open_file(download, &name, given ? &wanted : NULL, error);
    if (code && code != ERROR_INVALID && given && open_arrival(download, &wanted))
        code = ERROR_NONE;
    peer_turn_begin(&download->turn, message->accepts_queue_position);
    download->exchanges = message->exchanges &&
                          (!download->arrival ||
                           arrival_manifest(download->arrival)->piece_count <= EXCHANGE_PIECES_MAX);
    if (!code)
        code = limit(download, message, error);
    if (!code)
        code = choose(download, message, given ? &wanted : NULL, error);
    return code ? code : check_part(download, error);
}

/* Reads at most so many bytes; 0 at the end, where the reader says whether the file is still the
 * same one. */
static enum error_code read_chunk(struct download *download, size_t capacity, void **data,
                                  size_t *got, struct error *error)
{
    auto_free void *memory = malloc(capacity ? capacity : 1);
    enum error_code code;

    if (!memory)
        return error_set(error, ERROR_BUSY, "No hay memoria para leer el archivo");
    code = share_reader_read(download->reader, memory, capacity, got, error);
    if (code)
        return code;
    download->left_bytes -= (int64_t)*got;
    *data = take_pointer(&memory);
    return ERROR_NONE;
}

/* Which pieces have arrived, when it has changed. The memory is the caller's. */
static uint8_t *add_pieces(struct download *download, Peer__Chunk *chunk)
{
    if (!download->exchanges || !download->arrival ||
        arrival_count(download->arrival) == download->told_count)
        return NULL;
    size_t bytes = (arrival_manifest(download->arrival)->piece_count + 7) / 8;
    uint8_t *bits = memory_new(bytes + 1, 1);
    download->told_count = arrival_pieces(download->arrival, bits);
    chunk->pieces = (ProtobufCBinaryData){.data = bits, .len = bytes};
    return bits;
}

static enum rpc_step send_data(struct download *download, size_t bytes, struct rpc_reply *reply,
                               struct error *error)
{
    Peer__Chunk chunk = PEER__CHUNK__INIT;
    void *data = NULL;
    size_t got;

    if (!download->begun)
        chunk.length = download->handout.count > 0 ? download->left_bytes : 0;
    if (read_chunk(download, bytes, &data, &got, error))
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
    auto_free uint8_t *bits = add_pieces(download, &chunk);
    (void)bits; /* the message points to it until it is packed; clang takes it for unused */
    if (rpc_reply_pack_payload(reply, &chunk.base, data, got, error))
        return RPC_END;
    peer_turn_told(&download->turn);
    return RPC_SEND;
}

static enum rpc_step send_place(struct download *download, int64_t place, struct rpc_reply *reply,
                                struct error *error)
{
    Peer__Chunk chunk = PEER__CHUNK__INIT;

    chunk.queue_position = place;
    if (rpc_reply_pack(reply, &chunk.base, error))
        return RPC_END;
    peer_turn_told(&download->turn);
    return RPC_SEND;
}

enum rpc_step peer_download_next(void *state, struct rpc_reply *reply, struct error *error)
{
    struct download *download = state;
    int64_t granted = 0;
    int64_t place;

    peer_turn_sent(&download->turn);
    if (download->left_bytes == 0)
        return send_data(download, 0, reply, error);
    int64_t bytes = download->left_bytes;
    if (download->exchanges && bytes > EXCHANGE_MESSAGE_BYTES)
        bytes = EXCHANGE_MESSAGE_BYTES;
    if (!peer_turn_ask(&download->turn, bytes, &granted, &place))
        return place > 0 ? send_place(download, place, reply, error) : RPC_WAIT;
    return send_data(download, (size_t)granted, reply, error);
}

void peer_download_close(void *state)
{
    struct download *download = state;

    peer_turn_leave(&download->turn);
    return_rest(download);
    share_reader_close(download->reader);
    arrival_release(download->arrival);
    free(download);
}
