#include "peer/downloads/swarm/availability.h"

#include "common/memory.h"
#include "proto/peer.pb-c.h"

#include <string.h>

static enum error_code take(const struct availability_request *request,
                            const Peer__AvailabilityResponse *response,
                            struct availability *availability, struct error *error)
{
    size_t count = request->manifest->piece_count;
    size_t bytes = (count + 7) / 8;

    if (response->size_bytes != request->manifest->size_bytes ||
        (response->pieces.len > 0 && response->pieces.len != bytes))
        return error_set(error, ERROR_CORRUPT, "lo que dice que tiene no se entiende");
    if (response->pieces.len > 0) {
        availability->have = (uint8_t *)memory_copy(response->pieces.data, bytes);
        return ERROR_NONE;
    }
    availability->named =
        file_name_parse_path((const char *)response->filename.data, response->filename.len,
                             &availability->name, NULL) == ERROR_NONE;
    return ERROR_NONE;
}

static enum error_code ask(const struct availability_request *request, struct rpc_client_call *call,
                           struct availability *availability, struct error *error)
{
    Peer__AvailabilityRequest message = PEER__AVAILABILITY_REQUEST__INIT;
    struct content_id id = request->manifest->id;
    struct file_name name = *request->name;
    ProtobufCMessage *reply = NULL;

    message.content_id = (ProtobufCBinaryData){.data = id.bytes, .len = sizeof id.bytes};
    message.filename =
        (ProtobufCBinaryData){.data = (uint8_t *)name.text, .len = strlen(name.text)};
    message.accepts_folders = true;
    enum error_code code = rpc_client_send_only(call, &message.base, error);
    if (code == ERROR_NONE)
        code =
            rpc_client_receive_only(call, &peer__availability_response__descriptor, &reply, error);
    if (code != ERROR_NONE)
        return code;
    code = take(request, (const Peer__AvailabilityResponse *)reply, availability, error);
    protobuf_c_message_free_unpacked(reply, NULL);
    return code;
}

enum error_code availability_ask(const struct availability_request *request,
                                 struct availability *availability, struct error *error)
{
    struct rpc_client_call *call = NULL;

    *availability = (struct availability){.have = NULL};
    enum error_code code = rpc_client_start(request->channel, "/peer.PeerService/GetAvailability",
                                            request->timeout_ms, &call, error);
    if (code != ERROR_NONE)
        return code;
    interrupt_attach(request->interrupt, call);
    code = ask(request, call, availability, error);
    interrupt_detach(request->interrupt);
    rpc_client_free(call);
    return code;
}
