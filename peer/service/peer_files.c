/* DownloadFiles: several small files, as many to a message as the limits grant it (peer_turn.h). A
 * file that does not fit goes on in the next message: at a low rate, or with little memory left, a
 * grant is less than a file. */
#include "common/clock.h"
#include "common/memory.h"
#include "peer/network/files_part.h"
#include "peer/service/peer_service_private.h"
#include "peer/service/peer_turn.h"
#include "proto/peer.pb-c.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* A file that was asked for: as it came, looked at when its turn comes. */
struct wanted {
    size_t name_at, name_length; /* in names */
    int64_t size_bytes;
    size_t id_length;
    struct content_id content;
};

struct files_call {
    struct peer_service *service;
    struct peer_turn turn;
    struct host_key host; /* with admitted */
    bool admitted;
    struct wanted *wanted;
    size_t count;
    char *names;                 /* of all, one after the other */
    size_t at;                   /* the file whose turn it is, */
    struct share_reader *reader; /* NULL until it is open, */
    size_t done;                 /* and how many of its bytes are sent */
};

/* A message that is being filled. */
struct parcel {
    size_t count;
    Peer__ArrivedFile files[FILES_PART_MAX];
    Peer__ArrivedFile *pointers[FILES_PART_MAX];
    size_t with_data;
    uint8_t *data;
    size_t bytes, capacity;
};

void *peer_files_open(void *context, struct rpc_call *rpc)
{
    struct files_call *call = memory_new(1, sizeof *call);

    call->service = context;
    peer_turn_join(&call->turn, call->service, rpc);
    return call;
}

static bool take_place(struct files_call *call)
{
    call->host = host_key_of(rpc_call_peer(call->turn.call));
    call->admitted =
        host_counts_take(call->service->files_by_host, &call->host) == ADMISSION_GRANTED;
    return call->admitted;
}

/* One byte more of a name than one may have, so that a longer one is seen to be longer. */
static size_t kept_length(const Peer__WantedFile *file)
{
    size_t length = file->filename.len;

    return length <= FILE_PATH_MAX_BYTES ? length : FILE_PATH_MAX_BYTES + 1;
}

static void keep(struct files_call *call, const Peer__FilesRequest *request)
{
    size_t bytes = 0;

    for (size_t i = 0; i < request->n_files; i++)
        bytes += kept_length(request->files[i]);
    call->names = memory_new(bytes + 1, 1);
    call->wanted = memory_new(request->n_files, sizeof *call->wanted);
    call->count = request->n_files;
    bytes = 0;
    for (size_t i = 0; i < call->count; i++) {
        const Peer__WantedFile *file = request->files[i];
        struct wanted *wanted = &call->wanted[i];
        *wanted = (struct wanted){.name_at = bytes,
                                  .name_length = kept_length(file),
                                  .size_bytes = file->size_bytes,
                                  .id_length = file->content_id.len};
        if (wanted->name_length > 0)
            memcpy(call->names + bytes, file->filename.data, wanted->name_length);
        if (wanted->id_length == sizeof wanted->content.bytes)
            memcpy(wanted->content.bytes, file->content_id.data, wanted->id_length);
        bytes += wanted->name_length;
    }
}

enum error_code peer_files_message(void *state, const struct rpc_request *request,
                                   struct error *error)
{
    struct files_call *call = state;
    const Peer__FilesRequest *message;

    if (!request)
        return error_set(error, ERROR_INVALID, "Falta el mensaje de la petición");
    message = (const Peer__FilesRequest *)request->message;
    if (!call->service->catalogue)
        return error_set(error, ERROR_UNSUPPORTED, "Este peer no calcula contenidos");
    if (message->n_files == 0)
        return error_set(error, ERROR_INVALID, "No se pide ningún archivo");
    if (message->n_files > FILES_PART_MAX)
        return error_set(error, ERROR_INVALID,
                         "Demasiados archivos en una petición: el máximo es %d", FILES_PART_MAX);
    if (!take_place(call))
        return error_set(error, ERROR_BUSY,
                         "Demasiadas peticiones a la vez a este peer: inténtelo más tarde");
    keep(call, message);
    peer_turn_begin(&call->turn, message->accepts_queue_position);
    return ERROR_NONE;
}

/* ---- files ---- */

static enum error_code open_file(struct files_call *call, struct error *error)
{
    const struct wanted *wanted = &call->wanted[call->at];
    ProtobufCBinaryData id = {.len = wanted->id_length,
                              .data = (uint8_t *)(uintptr_t)wanted->content.bytes};
    struct content_id content;
    struct file_name name;
    bool given = false;

    enum error_code code =
        file_name_parse_path(call->names + wanted->name_at, wanted->name_length, &name, error);
    if (!code)
        code = peer_wanted_content(&id, &given, &content, error);
    if (!code && !given)
        code = error_set(error, ERROR_INVALID, "Falta el identificador de contenido");
    if (!code && wanted->size_bytes > (int64_t)PIECE_BYTES)
        code =
            error_set(error, ERROR_TOO_LARGE, "El archivo es demasiado grande para esta petición");
    if (!code)
        code = share_reader_open(call->service->share, &name, &call->reader, error);
    if (!code)
        code = peer_check_content(call->service, call->reader, &content, error);
    if (!code && share_reader_size(call->reader) != wanted->size_bytes)
        code = peer_other_content(error);
    if (!code)
        code = peer_check_damage(call->service, call->reader, 0, wanted->size_bytes, error);
    return code;
}

static void next_file(struct files_call *call)
{
    share_reader_close(call->reader);
    call->reader = NULL;
    call->done = 0;
    call->at++;
}

/* Bytes that are still to be sent of that file, if it is as the asker says. */
static int64_t left_bytes(const struct files_call *call, size_t number)
{
    int64_t size = call->wanted[number].size_bytes;

    if (size < 0 || size > (int64_t)PIECE_BYTES)
        return 0;
    return number == call->at ? size - (int64_t)call->done : size;
}

/* ---- messages ---- */

static Peer__ArrivedFile *add_entry(const struct files_call *call, struct parcel *parcel)
{
    Peer__ArrivedFile *entry = &parcel->files[parcel->count];

    assert(parcel->count < FILES_PART_MAX); /* each file has one entry at most in a message */
    peer__arrived_file__init(entry);
    entry->index = (uint32_t)call->at;
    parcel->pointers[parcel->count++] = entry;
    return entry;
}

/* Reads the next part of the file that is open into the room that is left. At its end it has to be
 * the same file still. */
static enum error_code read_part(struct files_call *call, struct parcel *parcel, size_t *got,
                                 struct error *error)
{
    size_t left = (size_t)left_bytes(call, call->at);
    size_t most = parcel->capacity - parcel->bytes;
    size_t wanted = left < most ? left : most;
    uint8_t *to = parcel->data + parcel->bytes;
    size_t step;

    for (*got = 0; *got < wanted; *got += step)
        if (share_reader_read(call->reader, to + *got, wanted - *got, &step, error))
            return error->code;
    return wanted == left ? share_reader_read(call->reader, to, 0, &step, error) : ERROR_NONE;
}

/* What there is room for of the file whose turn it is, or why it does not come. */
static void add_file(struct files_call *call, struct parcel *parcel)
{
    struct error error = {.code = ERROR_NONE};
    Peer__ArrivedFile *entry = add_entry(call, parcel);
    enum error_code code = call->reader ? ERROR_NONE : open_file(call, &error);
    size_t got = 0;

    if (!code)
        code = read_part(call, parcel, &got, &error);
    if (code) {
        entry->code = rpc_status_number(code);
        entry->reason = memory_copy_string(error.text);
        next_file(call);
        return;
    }
    entry->data = (ProtobufCBinaryData){.data = parcel->data + parcel->bytes, .len = got};
    parcel->bytes += got;
    parcel->with_data += got > 0;
    if ((int64_t)got == left_bytes(call, call->at))
        next_file(call);
    else
        call->done += got;
}

static void fill(struct files_call *call, struct parcel *parcel)
{
    int64_t end_ms = clock_boot_ms() + PEER_FILES_MESSAGE_MS;

    do {
        add_file(call, parcel);
    } while (call->at < call->count && clock_boot_ms() <= end_ms &&
             (parcel->bytes < parcel->capacity || left_bytes(call, call->at) == 0));
}

/* Several files are copied into one message; one alone is sent from where it was read. */
static enum error_code pack(struct parcel *parcel, struct rpc_reply *reply, struct error *error)
{
    Peer__FilesPart part = PEER__FILES_PART__INIT;

    part.files = parcel->pointers;
    part.n_files = parcel->count;
    if (parcel->with_data == 1)
        return rpc_reply_pack_payload(reply, &part.base, take_pointer(&parcel->data), parcel->bytes,
                                      error);
    return rpc_reply_pack(reply, &part.base, error);
}

static enum rpc_step send_files(struct files_call *call, size_t granted, struct rpc_reply *reply,
                                struct error *error)
{
    struct parcel parcel = {.count = 0, .data = malloc(granted), .capacity = granted};
    enum error_code code;

    if (!parcel.data) {
        (void)error_set(error, ERROR_BUSY, "No hay memoria para leer los archivos");
        return RPC_END;
    }
    fill(call, &parcel);
    code = pack(&parcel, reply, error);
    for (size_t i = 0; i < parcel.count; i++)
        if (parcel.files[i].code != 0)
            free(parcel.files[i].reason);
    free(parcel.data);
    if (code)
        return RPC_END;
    peer_turn_told(&call->turn);
    return RPC_SEND;
}

static enum rpc_step send_place(struct files_call *call, int64_t place, struct rpc_reply *reply,
                                struct error *error)
{
    Peer__FilesPart part = PEER__FILES_PART__INIT;

    part.queue_position = place;
    if (rpc_reply_pack(reply, &part.base, error))
        return RPC_END;
    peer_turn_told(&call->turn);
    return RPC_SEND;
}

/* For one message: at least one file, or a part of it. */
static int64_t message_bytes(const struct files_call *call)
{
    int64_t bytes = left_bytes(call, call->at);

    for (size_t i = call->at + 1; i < call->count; i++) {
        if (bytes + left_bytes(call, i) > PEER_FILES_MESSAGE_BYTES)
            break;
        bytes += left_bytes(call, i);
    }
    return bytes > 0 ? bytes : 1;
}

enum rpc_step peer_files_next(void *state, struct rpc_reply *reply, struct error *error)
{
    struct files_call *call = state;
    int64_t granted = 0;
    int64_t place;

    peer_turn_sent(&call->turn);
    if (call->at == call->count)
        return RPC_END;
    if (!peer_turn_ask(&call->turn, message_bytes(call), &granted, &place))
        return place > 0 ? send_place(call, place, reply, error) : RPC_WAIT;
    return send_files(call, (size_t)granted, reply, error);
}

void peer_files_close(void *state)
{
    struct files_call *call = state;

    peer_turn_leave(&call->turn);
    if (call->admitted)
        host_counts_give(call->service->files_by_host, &call->host);
    share_reader_close(call->reader);
    free(call->wanted);
    free(call->names);
    free(call);
}
