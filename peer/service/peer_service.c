#include "peer/service/peer_service.h"

#include "common/memory.h"
#include "peer/catalogue/catalogue_check.h"
#include "peer/service/peer_service_private.h"
#include "proto/peer.pb-c.h"

#include <stdlib.h>
#include <string.h>

static void fill(Peer__FileInfo *info, struct share_file *file)
{
    peer__file_info__init(info);
    info->filename.data = (uint8_t *)file->name.text;
    info->filename.len = strlen(file->name.text);
    info->size_bytes = file->size_bytes;
    if (file->has_content)
        info->content_id = (ProtobufCBinaryData){.data = file->content.bytes, .len = HASH_BYTES};
}

static enum error_code pack_list(struct share_list *list, struct rpc_reply *reply,
                                 struct error *error)
{
    auto_free Peer__FileInfo *infos = memory_new(list->count, sizeof *infos);
    auto_free Peer__FileInfo **pointers = memory_new(list->count, sizeof *pointers);
    Peer__ListFilesResponse response = PEER__LIST_FILES_RESPONSE__INIT;

    for (size_t i = 0; i < list->count; i++) {
        fill(&infos[i], &list->files[i]);
        pointers[i] = &infos[i];
    }
    response.n_files = list->count;
    response.files = pointers;
    return rpc_reply_pack(reply, &response.base, error);
}

/* A list that does not fit into a message is an error: a part of it would look like the whole. */
static enum error_code list_files(void *context, const ProtobufCMessage *request,
                                  struct rpc_reply *reply, struct error *error)
{
    struct peer_service *service = context;
    struct share_list list = {.count = 0};
    enum error_code code = share_list_files(service->share, &list, error);

    (void)request;
    if (!code && service->catalogue) {
        catalogue_fill_list(service->catalogue, &list);
        catalogue_leave_out_withdrawn(service->catalogue, &list);
    }
    if (!code)
        code = pack_list(&list, reply, error);
    if (code == ERROR_TOO_LARGE)
        (void)error_set(error, code,
                        "La lista de %zu archivos es demasiado larga para un solo mensaje",
                        list.count);
    share_list_done(&list);
    return code;
}

static const struct rpc_method methods[] = {
    {.path = "/peer.PeerService/ListFiles",
     .request = &peer__empty__descriptor,
     .max_reply_bytes = PEER_LIST_MAX_BYTES,
     .call = list_files},
    {.path = "/peer.PeerService/DownloadFile",
     .request = &peer__download_request__descriptor,
     .open = peer_download_open,
     .message = peer_download_message,
     .next = peer_download_next,
     .close = peer_download_close},
    {.path = "/peer.PeerService/GetManifest",
     .request = &peer__manifest_request__descriptor,
     .open = peer_manifest_open,
     .message = peer_manifest_message,
     .next = peer_manifest_next,
     .close = peer_manifest_close},
    {.path = "/peer.PeerService/Locate",
     .request = &peer__locate_request__descriptor,
     .open = peer_locate_open,
     .message = peer_locate_message,
     .next = peer_locate_next,
     .close = peer_locate_close},
    {.path = "/peer.PeerService/UploadFile",
     .raw = true,
     .open = peer_upload_open,
     .message = peer_upload_message,
     .next = peer_upload_next,
     .close = peer_upload_close},
};

static void start_deadlines(struct peer_service *service,
                            const struct peer_service_options *options)
{
    int64_t upload_ms = options->upload_idle_ms ? options->upload_idle_ms : PEER_UPLOAD_IDLE_MS;
    int64_t download_ms =
        options->download_idle_ms ? options->download_idle_ms : PEER_DOWNLOAD_IDLE_MS;

    service->places = deadlines_new(options->timer, PEER_PLACE_MS, peer_download_wake);
    service->idle_downloads = deadlines_new(options->timer, download_ms, peer_download_abort);
    service->idle_uploads = deadlines_new(options->timer, upload_ms, peer_upload_abort);
}

enum error_code peer_service_new(const struct peer_service_options *options,
                                 struct peer_service **service_out, struct error *error)
{
    struct peer_service *service = memory_new(1, sizeof *service);
    enum error_code code;

    service->share = options->share;
    service->catalogue = options->catalogue;
    service->limits = options->limits;
    service->rpc = (struct rpc_service){
        .methods = methods, .method_count = ARRAY_LENGTH(methods), .service = service};
    start_deadlines(service, options);
    code = committer_start(&service->committer, error);
    if (code) {
        peer_service_free(service);
        return code;
    }
    *service_out = service;
    return ERROR_NONE;
}

void peer_service_free(struct peer_service *service)
{
    if (!service)
        return;
    committer_stop(service->committer);
    deadlines_free(service->idle_uploads);
    deadlines_free(service->idle_downloads);
    deadlines_free(service->places);
    free(service);
}

void peer_service_set_locator(struct peer_service *service, struct locator *locator)
{
    atomic_store(&service->locator, locator);
}

const struct rpc_service *peer_service_rpc(const struct peer_service *service)
{
    return &service->rpc;
}

int64_t peer_service_streams(const struct peer_service *service)
{
    return atomic_load(&service->streams);
}
