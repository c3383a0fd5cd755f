/* GetManifest: the hashes of a file's pieces, read from the catalogue message by message. */
#include "common/memory.h"
#include "peer/service/peer_service_private.h"
#include "proto/peer.pb-c.h"

#include <stdlib.h>
#include <string.h>

struct manifest_call {
    struct peer_service *service;
    struct catalogue_entry entry;
    struct arrival *arrival; /* whose hashes are sent; NULL: those of the entry */
    size_t piece_count;
    size_t sent;
    bool begun; /* the first message, with id and size, is out */
};

enum error_code peer_wanted_content(const ProtobufCBinaryData *field, bool *given,
                                    struct content_id *id, struct error *error)
{
    *given = field->len > 0;
    if (*given && !content_id_from_bytes(field->data, field->len, id))
        return error_set(error, ERROR_INVALID, "El identificador de contenido tiene %zu bytes",
                         field->len);
    return ERROR_NONE;
}

enum error_code peer_other_content(struct error *error)
{
    return error_set(error, ERROR_CHANGED, "El archivo ya no tiene el contenido pedido");
}

void *peer_manifest_open(void *service, struct rpc_call *call)
{
    struct manifest_call *state = memory_new(1, sizeof *state);

    (void)call;
    state->service = service;
    return state;
}

static enum error_code find_complete(struct manifest_call *call, const struct file_name *name,
                                     const struct content_id *wanted, struct error *error)
{
    struct peer_content content;

    if (!call->service->catalogue)
        return error_set(error, ERROR_UNSUPPORTED, "Este peer no calcula contenidos");
    if (!name && peer_find_content(call->service, wanted, NULL, &content, error))
        return error->code;
    enum error_code code = catalogue_look_up(call->service->catalogue, name ? name : &content.name,
                                             &call->entry, error);
    if (!code && wanted && !content_id_equal(wanted, &call->entry.id))
        code = peer_other_content(error);
    return code;
}

/* Of the file of that name (NULL: any) with the content that is wanted (NULL: any). */
static enum error_code find_hashes(struct manifest_call *call, const struct file_name *name,
                                   const struct content_id *wanted, struct error *error)
{
    enum error_code code = find_complete(call, name, wanted, error);

    if (code && wanted)
        call->arrival = peer_find_arrival(call->service, wanted);
    if (!call->arrival)
        return code;
    call->entry.id = arrival_manifest(call->arrival)->id;
    call->entry.size_bytes = arrival_manifest(call->arrival)->size_bytes;
    return ERROR_NONE;
}

/* The next ones. */
static enum error_code read_hashes(const struct manifest_call *call, size_t count,
                                   uint8_t (*hashes)[HASH_BYTES], struct error *error)
{
    if (!call->arrival)
        return catalogue_read_hashes(call->service->catalogue, &call->entry, call->sent, count,
                                     hashes, error);
    memcpy(hashes, arrival_manifest(call->arrival)->hashes[call->sent], count * HASH_BYTES);
    return ERROR_NONE;
}

enum error_code peer_manifest_message(void *state, const struct rpc_request *request,
                                      struct error *error)
{
    struct manifest_call *call = state;
    const Peer__ManifestRequest *message;
    struct content_id wanted;
    struct file_name name;
    bool given;

    if (!request)
        return error_set(error, ERROR_INVALID, "Falta el mensaje de la petición");
    message = (const Peer__ManifestRequest *)request->message;
    enum error_code code = peer_wanted_content(&message->content_id, &given, &wanted, error);
    bool has_name = message->filename.len > 0 || !given;
    if (!code && has_name)
        code = file_name_parse_path((const char *)message->filename.data, message->filename.len,
                                    &name, error);
    if (!code)
        code = find_hashes(call, has_name ? &name : NULL, given ? &wanted : NULL, error);
    if (!code)
        call->piece_count = content_piece_count(call->entry.size_bytes);
    return code;
}

static enum error_code pack_part(struct manifest_call *call, size_t count, struct rpc_reply *reply,
                                 struct error *error)
{
    Peer__ManifestPart part = PEER__MANIFEST_PART__INIT;
    size_t bytes = count * HASH_BYTES;
    uint8_t(*hashes)[HASH_BYTES] = malloc(bytes ? bytes : 1);

    if (!hashes)
        return error_set(error, ERROR_BUSY, "No hay memoria para las sumas del archivo");
    enum error_code code = read_hashes(call, count, hashes, error);
    if (code) {
        free(hashes);
        return code;
    }
    part.piece_hashes = (ProtobufCBinaryData){.data = (uint8_t *)hashes, .len = bytes};
    if (!call->begun) {
        part.content_id =
            (ProtobufCBinaryData){.data = call->entry.id.bytes, .len = sizeof call->entry.id.bytes};
        part.size_bytes = call->entry.size_bytes;
    }
    if (bytes > 0)
        return rpc_reply_pack_payload(reply, &part.base, hashes, bytes, error);
    free(hashes);
    part.piece_hashes = (ProtobufCBinaryData){0};
    return rpc_reply_pack(reply, &part.base, error);
}

enum rpc_step peer_manifest_next(void *state, struct rpc_reply *reply, struct error *error)
{
    struct manifest_call *call = state;
    size_t left = call->piece_count - call->sent;
    size_t count = left < PEER_MANIFEST_HASHES ? left : PEER_MANIFEST_HASHES;

    if (call->begun && left == 0)
        return RPC_END;
    if (pack_part(call, count, reply, error))
        return RPC_END;
    call->begun = true;
    call->sent += count;
    return RPC_SEND;
}

void peer_manifest_close(void *state)
{
    struct manifest_call *call = state;

    arrival_release(call->arrival);
    free(call);
}
