/* GetAvailability: which pieces of a content are here; and where a content is, by its id alone. */
#include "common/memory.h"
#include "peer/service/peer_service_private.h"
#include "proto/peer.pb-c.h"

#include <string.h>

struct arrival *peer_find_arrival(struct peer_service *service, const struct content_id *id)
{
    return service->arrivals ? arrivals_find(service->arrivals, id) : NULL;
}

/* Whether the file of that name is the content now, and no damage of it is known. */
static bool is_content(struct peer_service *service, const struct file_name *name,
                       const struct content_id *wanted, int64_t *size_bytes)
{
    struct catalogue_entry entry;

    if (catalogue_look_up(service->catalogue, name, &entry, NULL) != ERROR_NONE ||
        !content_id_equal(&entry.id, wanted))
        return false;
    *size_bytes = entry.size_bytes;
    return true;
}

/* The folder is not searched for a content: it may be large, and names are what is asked by. */
enum error_code peer_find_content(struct peer_service *service, const struct content_id *id,
                                  const struct file_name *guess, struct peer_content *content,
                                  struct error *error)
{
    bool found = false;

    if (!service->catalogue)
        return error_set(error, ERROR_UNSUPPORTED, "Este peer no calcula contenidos");
    if (guess) {
        content->name = *guess;
        found = is_content(service, guess, id, &content->size_bytes);
    }
    if (!found && service->arrivals && arrivals_stored(service->arrivals, id, &content->name))
        found = is_content(service, &content->name, id, &content->size_bytes);
    if (found)
        return ERROR_NONE;
    return error_set(error, ERROR_NOT_FOUND, "Este peer no tiene ese contenido");
}

/* Who does not know folders asks on under the name that it has. */
static void set_name(Peer__AvailabilityResponse *response, const struct file_name *name,
                     bool accepts_folders)
{
    if (file_name_in_folder(name) && !accepts_folders)
        return;
    response->filename.data = (uint8_t *)(uintptr_t)name->text;
    response->filename.len = strlen(name->text);
}

static enum error_code answer_part(struct arrival *arrival, bool accepts_folders,
                                   struct rpc_reply *reply, struct error *error)
{
    Peer__AvailabilityResponse response = PEER__AVAILABILITY_RESPONSE__INIT;
    const struct manifest *manifest = arrival_manifest(arrival);
    size_t bytes = (manifest->piece_count + 7) / 8;
    auto_free uint8_t *bits = memory_new(bytes + 1, 1);

    (void)arrival_pieces(arrival, bits);
    response.size_bytes = manifest->size_bytes;
    response.pieces = (ProtobufCBinaryData){.data = bits, .len = bytes};
    set_name(&response, arrival_name(arrival), accepts_folders);
    return rpc_reply_pack(reply, &response.base, error);
}

enum error_code peer_availability(void *context, const ProtobufCMessage *request,
                                  struct rpc_reply *reply, struct error *error)
{
    const Peer__AvailabilityRequest *message = (const Peer__AvailabilityRequest *)request;
    Peer__AvailabilityResponse response = PEER__AVAILABILITY_RESPONSE__INIT;
    struct peer_service *service = context;
    struct content_id wanted;
    struct peer_content content;
    struct file_name name;
    bool given;

    enum error_code code = peer_wanted_content(&message->content_id, &given, &wanted, error);
    if (!code && !given)
        code = error_set(error, ERROR_INVALID, "Falta el identificador de contenido");
    bool has_name = message->filename.len > 0;
    if (!code && has_name)
        code = file_name_parse_path((const char *)message->filename.data, message->filename.len,
                                    &name, error);
    if (code)
        return code;
    struct arrival *arrival = peer_find_arrival(service, &wanted);
    if (arrival) {
        code = answer_part(arrival, message->accepts_folders, reply, error);
        arrival_release(arrival);
        return code;
    }
    code = peer_find_content(service, &wanted, has_name ? &name : NULL, &content, error);
    if (code)
        return code;
    response.size_bytes = content.size_bytes;
    set_name(&response, &content.name, message->accepts_folders);
    return rpc_reply_pack(reply, &response.base, error);
}
