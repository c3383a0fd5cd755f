#include "peer/locate/ask.h"

#include "common/memory.h"
#include "peer/locate/answers_file.h"
#include "peer/locate/located.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what came ---- */

static void take_addresses(const Peer__LocatedSource *message, const struct address *asked,
                           struct directory_source *source)
{
    source->addresses = memory_new(LOCATED_ADDRESSES_MAX, sizeof *source->addresses);
    for (size_t i = 0; i < message->n_addresses && source->address_count < LOCATED_ADDRESSES_MAX;
         i++) {
        struct address address;
        if (address_parse(message->addresses[i], false, &address, NULL))
            continue;
        if (address_is_wildcard(&address))
            snprintf(address.host, sizeof address.host, "%s", asked->host);
        if (located_address_is_good(&address, asked))
            source->addresses[source->address_count++] = address;
    }
}

static bool take_source(const Peer__LocatedSource *message, const struct address *asked,
                        struct directory_source *source)
{
    const char *peer = (const char *)message->peer.data;
    int64_t age_ms = message->age_ms > 0 ? message->age_ms : 0;

    *source = (struct directory_source){.origin = SOURCE_LOCATED, .via = *asked};
    if (!located_peer_is_good(peer, message->peer.len))
        return false;
    take_addresses(message, asked, source);
    if (source->address_count == 0) {
        free(source->addresses);
        return false;
    }
    source->peer = memory_copy(peer, message->peer.len);
    source->size_bytes = message->has_size && message->size_bytes >= 0 ? message->size_bytes : -1;
    source->has_content =
        content_id_from_bytes(message->content_id.data, message->content_id.len, &source->content);
    source->age_ms = age_ms < ANSWERS_KEEP_MS ? age_ms : ANSWERS_KEEP_MS;
    return true;
}

void ask_take_response(const Peer__LocateResponse *response, const struct address *asked,
                       struct directory_sources *sources)
{
    *sources = (struct directory_sources){0};
    if (response->n_sources == 0)
        return;
    sources->items = memory_new(LOCATED_SOURCES_MAX, sizeof *sources->items);
    for (size_t i = 0; i < response->n_sources && sources->count < LOCATED_SOURCES_MAX; i++)
        sources->count += take_source(response->sources[i], asked, &sources->items[sources->count]);
}

/* The peer itself, if the file is in its list. Its name is not known: its address stands for it. */
static void take_list(const Peer__ListFilesResponse *response, const struct file_name *name,
                      const struct address *asked, struct directory_sources *sources)
{
    size_t length = strlen(name->text);
    char text[ADDRESS_TEXT_BYTES];

    for (size_t i = 0; i < response->n_files; i++) {
        const Peer__FileInfo *info = response->files[i];
        if (info->filename.len != length || memcmp(info->filename.data, name->text, length) != 0)
            continue;
        sources->items = memory_new(1, sizeof *sources->items);
        sources->count = 1;
        sources->items[0] = (struct directory_source){
            .peer = memory_copy_string(address_format(asked, text)),
            .addresses = (struct address *)memory_copy(asked, sizeof *asked),
            .address_count = 1,
            .size_bytes = info->size_bytes >= 0 ? info->size_bytes : -1,
            .has_content = content_id_from_bytes(info->content_id.data, info->content_id.len,
                                                 &sources->items[0].content),
            .origin = SOURCE_LOCATED,
            .via = *asked};
        return;
    }
}

/* ---- asking ---- */

/* A unary call to the peer. */
struct exchange {
    const struct address *address;
    const char *method;
    int64_t wait_ms;
    const ProtobufCMessage *request;
    const ProtobufCMessageDescriptor *descriptor; /* of the response */
    size_t max_bytes;                             /* of the response, before it is unpacked */
};

static enum error_code receive(struct rpc_client_call *call, const struct exchange *exchange,
                               ProtobufCMessage **message, struct error *error)
{
    struct rpc_response response;
    bool end = false;

    enum error_code code = rpc_client_receive(call, &response, &end, error);
    if (code == ERROR_NONE && end)
        return error_set(error, ERROR_CORRUPT, "no envió respuesta");
    if (code == ERROR_NONE && response.bytes > exchange->max_bytes)
        return error_set(error, ERROR_TOO_LARGE, "envió %zu bytes", response.bytes);
    return code ? code : rpc_response_unpack(&response, exchange->descriptor, message, error);
}

static enum error_code converse(const struct exchange *exchange, struct interrupt *interrupt,
                                ProtobufCMessage **message, struct error *error)
{
    char target[ADDRESS_TEXT_BYTES];
    struct rpc_channel *channel = rpc_channel_open(address_format(exchange->address, target));
    struct rpc_client_call *call = NULL;

    enum error_code code =
        rpc_client_start(channel, exchange->method, exchange->wait_ms, &call, error);
    if (code == ERROR_NONE) {
        interrupt_attach(interrupt, call);
        code = rpc_client_send_only(call, exchange->request, error);
        if (code == ERROR_NONE)
            code = receive(call, exchange, message, error);
        interrupt_detach(interrupt);
    }
    rpc_client_free(call);
    rpc_channel_close(channel);
    return code;
}

static enum error_code ask_locate(const struct address *address, const struct question *question,
                                  struct interrupt *interrupt, struct directory_sources *sources,
                                  struct error *error)
{
    Peer__LocateRequest request = PEER__LOCATE_REQUEST__INIT;
    struct question copy = *question; /* protobuf-c's fields are not const */
    ProtobufCMessage *message = NULL;
    struct exchange exchange = {.address = address,
                                .method = "/peer.PeerService/Locate",
                                .wait_ms = question->wait_ms,
                                .request = &request.base,
                                .descriptor = &peer__locate_response__descriptor,
                                .max_bytes = LOCATE_RESPONSE_MAX_BYTES};

    request.filename =
        (ProtobufCBinaryData){.data = (uint8_t *)copy.name.text, .len = strlen(copy.name.text)};
    request.hops = copy.hops;
    request.question_id = (ProtobufCBinaryData){.data = copy.id, .len = sizeof copy.id};
    request.wait_ms = (uint32_t)copy.wait_ms;
    enum error_code code = converse(&exchange, interrupt, &message, error);
    if (code == ERROR_NONE) {
        ask_take_response((const Peer__LocateResponse *)message, address, sources);
        protobuf_c_message_free_unpacked(message, NULL);
    }
    return code;
}

static enum error_code ask_list(const struct address *address, const struct question *question,
                                struct interrupt *interrupt, struct directory_sources *sources,
                                struct error *error)
{
    Peer__Empty request = PEER__EMPTY__INIT;
    ProtobufCMessage *message = NULL;

    request.accepts_folders = file_name_in_folder(&question->name);
    struct exchange exchange = {.address = address,
                                .method = "/peer.PeerService/ListFiles",
                                .wait_ms = question->wait_ms,
                                .request = &request.base,
                                .descriptor = &peer__list_files_response__descriptor,
                                .max_bytes = LOCATE_LIST_MAX_BYTES};

    enum error_code code = converse(&exchange, interrupt, &message, error);
    if (code == ERROR_NONE) {
        take_list((const Peer__ListFilesResponse *)message, &question->name, address, sources);
        protobuf_c_message_free_unpacked(message, NULL);
    }
    return code;
}

enum error_code ask_peer(const struct address *address, const struct question *question,
                         struct interrupt *interrupt, struct directory_sources *sources,
                         struct error *error)
{
    struct error own;

    error = error ? error : &own;
    *sources = (struct directory_sources){0};
    enum error_code code = ask_locate(address, question, interrupt, sources, error);
    if (code == ERROR_UNSUPPORTED)
        code = ask_list(address, question, interrupt, sources, error);
    return code;
}
