#include "peer/network/peer_client.h"

#include "common/memory.h"
#include "common/text.h"
#include "proto/peer.pb-c.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A message costs each side a handful of thread switches, so that large ones cost less a byte; half
 * of the window that our server gives a stream (rpc/tuning.c), so that the next is on its way. */
#define UPLOAD_CHUNK_BYTES ((size_t)512 * 1024)

/* A call to the peer with its channel; both end together. */
struct session {
    struct rpc_channel *channel;
    struct rpc_client_call *call;
    struct interrupt *interrupt;
};

static enum error_code session_open(struct session *session, const struct address *address,
                                    const char *method, struct interrupt *interrupt,
                                    struct error *error)
{
    char target[ADDRESS_TEXT_BYTES];

    *session = (struct session){.channel = rpc_channel_open(address_format(address, target))};
    enum error_code code =
        rpc_client_start(session->channel, method, PEER_STEP_MS, &session->call, error);
    if (code == ERROR_NONE) {
        session->interrupt = interrupt;
        interrupt_attach(interrupt, session->call);
    }
    return code;
}

static void session_close(struct session *session)
{
    if (session->interrupt)
        interrupt_detach(session->interrupt);
    rpc_client_free(session->call);
    rpc_channel_close(session->channel);
}

/* A good name as it is; of any other what can be shown. */
static char *take_name(const ProtobufCBinaryData *bytes, bool *is_good)
{
    auto_free char *text = memory_copy(bytes->data, bytes->len);
    struct file_name name;

    *is_good = file_name_parse_path(text, bytes->len, &name, NULL) == ERROR_NONE;
    if (*is_good)
        return take_pointer(&text);
    for (size_t i = 0; i < bytes->len; i++)
        text[i] = text[i] ? text[i] : '?';
    char clean[FILE_PATH_MAX_BYTES + 1];
    return memory_copy_string(text_clean(text, clean, sizeof clean));
}

static void take_list(const Peer__ListFilesResponse *response, struct peer_files *files)
{
    files->items = memory_new(response->n_files + 1, sizeof *files->items);
    files->count = response->n_files;
    for (size_t i = 0; i < response->n_files; i++) {
        files->items[i].name = take_name(&response->files[i]->filename, &files->items[i].is_good);
        files->items[i].size_bytes = response->files[i]->size_bytes;
        files->items[i].has_content =
            content_id_from_bytes(response->files[i]->content_id.data,
                                  response->files[i]->content_id.len, &files->items[i].content);
    }
}

void peer_files_done(struct peer_files *files)
{
    for (size_t i = 0; i < files->count; i++)
        free(files->items[i].name);
    free(files->items);
    *files = (struct peer_files){0};
}

enum error_code peer_list_files(const struct address *address, struct interrupt *interrupt,
                                struct peer_files *files, struct error *error)
{
    Peer__Empty request = PEER__EMPTY__INIT;
    ProtobufCMessage *message = NULL;
    struct session session;

    request.accepts_folders = true;

    enum error_code code =
        session_open(&session, address, "/peer.PeerService/ListFiles", interrupt, error);
    if (code == ERROR_NONE)
        code = rpc_client_send_only(session.call, &request.base, error);
    if (code == ERROR_NONE)
        code = rpc_client_receive_only(session.call, &peer__list_files_response__descriptor,
                                       &message, error);
    if (code == ERROR_NONE) {
        take_list((const Peer__ListFilesResponse *)message, files);
        protobuf_c_message_free_unpacked(message, NULL);
    }
    session_close(&session);
    return code;
}

static enum error_code bad_manifest(struct error *error)
{
    return error_set(error, ERROR_CORRUPT, "las sumas que envió el otro peer no se entienden");
}

/* Of the first message: which content, and how large. */
static enum error_code begin_manifest(const Peer__ManifestPart *part, struct manifest *manifest,
                                      struct error *error)
{
    struct content_id id;

    if (!content_id_from_bytes(part->content_id.data, part->content_id.len, &id) ||
        manifest_init(manifest, part->size_bytes, NULL) != ERROR_NONE)
        return bad_manifest(error);
    manifest->id = id;
    return ERROR_NONE;
}

static enum error_code take_hashes(const Peer__ManifestPart *part, struct manifest *manifest,
                                   size_t *count, struct error *error)
{
    size_t more = part->piece_hashes.len / HASH_BYTES;

    if (part->piece_hashes.len % HASH_BYTES != 0 || more > manifest->piece_count - *count)
        return bad_manifest(error);
    if (more > 0)
        memcpy(manifest->hashes[*count], part->piece_hashes.data, part->piece_hashes.len);
    *count += more;
    return ERROR_NONE;
}

/* All the messages. One that brings nothing would let the other side go on for ever. */
static enum error_code receive_manifest(struct rpc_client_call *call, struct manifest *manifest,
                                        struct error *error)
{
    enum error_code code = ERROR_NONE;
    bool begun = false;
    size_t count = 0;

    for (;;) {
        struct rpc_response response;
        ProtobufCMessage *message = NULL;
        bool end = false;
        code = rpc_client_receive(call, &response, &end, error);
        if (code != ERROR_NONE || end)
            break;
        code = rpc_response_unpack(&response, &peer__manifest_part__descriptor, &message, error);
        if (code != ERROR_NONE)
            return code;
        const Peer__ManifestPart *part = (const Peer__ManifestPart *)message;
        if (begun && part->piece_hashes.len == 0)
            code = bad_manifest(error);
        if (code == ERROR_NONE && !begun)
            code = begin_manifest(part, manifest, error);
        if (code == ERROR_NONE)
            code = take_hashes(part, manifest, &count, error);
        begun = true;
        protobuf_c_message_free_unpacked(message, NULL);
        if (code != ERROR_NONE)
            return code;
    }
    if (code == ERROR_NONE && (!begun || count != manifest->piece_count))
        code = bad_manifest(error);
    return code;
}

static enum error_code ask_manifest(const struct peer_manifest_request *request,
                                    struct rpc_client_call *call, struct manifest *manifest,
                                    struct error *error)
{
    Peer__ManifestRequest message = PEER__MANIFEST_REQUEST__INIT;
    struct file_name name = *request->name;
    struct content_id wanted = {.bytes = {0}};

    message.filename =
        (ProtobufCBinaryData){.data = (uint8_t *)name.text, .len = strlen(name.text)};
    if (request->content) {
        wanted = *request->content;
        message.content_id =
            (ProtobufCBinaryData){.data = wanted.bytes, .len = sizeof wanted.bytes};
    }
    enum error_code code = rpc_client_send_only(call, &message.base, error);
    if (code == ERROR_NONE)
        code = receive_manifest(call, manifest, error);
    if (code == ERROR_NONE)
        code = manifest_check(manifest, error);
    if (code == ERROR_NONE && request->content && !content_id_equal(&manifest->id, &wanted))
        code = error_set(error, ERROR_CHANGED, "el otro peer envió las sumas de otro contenido");
    return code;
}

enum error_code peer_get_manifest(const struct peer_manifest_request *request,
                                  struct manifest *manifest, struct error *error)
{
    struct session session;

    *manifest = (struct manifest){0};
    enum error_code code = session_open(&session, request->address, "/peer.PeerService/GetManifest",
                                        request->interrupt, error);
    if (code == ERROR_NONE)
        code = ask_manifest(request, session.call, manifest, error);
    session_close(&session);
    if (code != ERROR_NONE)
        manifest_done(manifest);
    return code;
}

/* Reads the next part of the file; *got 0 at its end. *data is the caller's. */
static enum error_code read_part(const struct peer_upload *upload, int64_t offset, void **data,
                                 size_t *got, struct error *error)
{
    size_t wanted = (size_t)limits_message_bytes(upload->limits, LIMITS_UPLOAD, UPLOAD_CHUNK_BYTES);
    auto_free void *part = malloc(wanted); /* not zeroed: it is written over */
    ssize_t count;

    if (!part)
        return error_set(error, ERROR_BUSY, "no hay memoria para leer %s", upload->name->text);
    do
        count = pread(upload->descriptor, part, wanted, offset);
    while (count < 0 && errno == EINTR);
    if (count < 0)
        return error_set_errno(error, errno, "no se puede leer %s", upload->name->text);
    *got = (size_t)count;
    *data = take_pointer(&part);
    return ERROR_NONE;
}

static enum error_code check_unchanged(const struct peer_upload *upload, int64_t sent,
                                       const struct stat *before, struct error *error)
{
    struct stat now;

    if (fstat(upload->descriptor, &now) != 0)
        return error_set_errno(error, errno, "no se puede leer %s", upload->name->text);
    if (sent != upload->size_bytes || now.st_size != upload->size_bytes ||
        now.st_mtim.tv_sec != before->st_mtim.tv_sec ||
        now.st_mtim.tv_nsec != before->st_mtim.tv_nsec)
        return error_set(error, ERROR_CHANGED, "%s cambió mientras se enviaba", upload->name->text);
    return ERROR_NONE;
}

/* Waits until the limits let so many bytes pass. */
static bool take_turn(const struct peer_upload *upload, size_t bytes)
{
    char peer[ADDRESS_TEXT_BYTES];

    return limits_take(upload->limits, LIMITS_UPLOAD, address_format(upload->address, peer),
                       (int64_t)bytes, upload->interrupt);
}

static enum error_code send_part(struct session *session, const struct peer_upload *upload,
                                 int64_t offset, size_t *got, bool *ended, struct error *error)
{
    Peer__UploadChunk chunk = PEER__UPLOAD_CHUNK__INIT;
    void *data = NULL;

    enum error_code code = read_part(upload, offset, &data, got, error);
    if (code != ERROR_NONE)
        return code;
    if (*got == 0)
        free(take_pointer(&data));
    if (*got == 0 && offset > 0)
        return ERROR_NONE;
    if (!take_turn(upload, *got)) {
        free(data);
        return error_set(error, ERROR_CANCELLED, "Cancelado");
    }
    chunk.data.data = data;
    chunk.data.len = *got;
    if (offset == 0) {
        chunk.filename.len = strlen(upload->name->text);
        chunk.filename.data = (uint8_t *)memory_copy_string(upload->name->text);
    }
    code = rpc_client_send(session->call, &chunk.base, data, *got, ended, error);
    if (offset == 0)
        rpc_client_set_step_timeout(session->call, PEER_UPLOAD_STEP_MS);
    free(chunk.filename.data);
    return code;
}

/* Sends the file. Without the end of the stream when anything is wrong, so that the other side
 * never takes a part for the whole. *answered: it has said its word before the end. */
static enum error_code send_file(struct session *session, const struct peer_upload *upload,
                                 bool *answered, struct error *error)
{
    enum error_code code = ERROR_NONE;
    struct stat before;
    int64_t sent = 0;
    size_t got = 1;

    if (fstat(upload->descriptor, &before) != 0)
        return error_set_errno(error, errno, "no se puede leer %s", upload->name->text);
    while (code == ERROR_NONE && got > 0 && !*answered) {
        code = send_part(session, upload, sent, &got, answered, error);
        if (code == ERROR_NONE && !*answered) {
            sent += (int64_t)got;
            if (upload->progress)
                upload->progress(upload->context, sent);
        }
        if (code == ERROR_NONE && sent > upload->size_bytes)
            break;
    }
    if (code == ERROR_NONE && !*answered)
        code = check_unchanged(upload, sent, &before, error);
    if (code == ERROR_NONE && !*answered)
        code = rpc_client_send_end(session->call, error);
    return code;
}

enum error_code peer_upload_file(const struct peer_upload *upload,
                                 struct peer_upload_result *result, struct error *error)
{
    ProtobufCMessage *message = NULL;
    struct session session;
    bool answered = false;

    enum error_code code = session_open(&session, upload->address, "/peer.PeerService/UploadFile",
                                        upload->interrupt, error);
    if (code == ERROR_NONE)
        code = send_file(&session, upload, &answered, error);
    if (code == ERROR_NONE)
        code = rpc_client_receive_only(session.call, &peer__upload_response__descriptor, &message,
                                       error);
    if (code == ERROR_NONE) {
        const Peer__UploadResponse *response = (const Peer__UploadResponse *)message;
        result->ok = response->ok;
        text_clean(response->message, result->message, sizeof result->message);
        protobuf_c_message_free_unpacked(message, NULL);
    }
    session_close(&session);
    return code;
}
