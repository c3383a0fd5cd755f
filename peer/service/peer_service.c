#include "peer/service/peer_service.h"

#include "common/memory.h"
#include "peer/service/peer_service_private.h"
#include "peer/service/peer_turn.h"
#include "proto/peer.pb-c.h"

#include <stdlib.h>
#include <string.h>

static const struct rpc_method methods[] = {
    {.path = "/peer.PeerService/ListFiles",
     .request = &peer__empty__descriptor,
     .open = peer_list_open,
     .message = peer_list_message,
     .next = peer_list_next,
     .close = peer_list_close},
    {.path = "/peer.PeerService/DownloadFile",
     .request = &peer__download_request__descriptor,
     .open = peer_download_open,
     .message = peer_download_message,
     .next = peer_download_next,
     .close = peer_download_close},
    {.path = "/peer.PeerService/DownloadFiles",
     .request = &peer__files_request__descriptor,
     .open = peer_files_open,
     .message = peer_files_message,
     .next = peer_files_next,
     .close = peer_files_close},
    {.path = "/peer.PeerService/GetManifest",
     .request = &peer__manifest_request__descriptor,
     .open = peer_manifest_open,
     .message = peer_manifest_message,
     .next = peer_manifest_next,
     .close = peer_manifest_close},
    {.path = "/peer.PeerService/GetAvailability",
     .request = &peer__availability_request__descriptor,
     .call = peer_availability},
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

enum error_code peer_service_new(const struct peer_service_options *options,
                                 struct peer_service **service_out, struct error *error)
{
    struct peer_service *service = memory_new(1, sizeof *service);
    enum error_code code;

    service->share = options->share;
    service->catalogue = options->catalogue;
    service->arrivals = options->arrivals;
    service->limits = options->limits;
    service->rpc = (struct rpc_service){
        .methods = methods, .method_count = ARRAY_LENGTH(methods), .service = service};
    service->handouts = handouts_new();
    service->places = deadlines_new(options->timer, PEER_PLACE_MS, peer_turn_wake);
    service->uploads_by_host = host_counts_new(PEER_MAX_UPLOADS, PEER_MAX_HOST_UPLOADS, true);
    service->files_by_host = host_counts_new(PEER_MAX_FILES_CALLS, PEER_MAX_HOST_FILES_CALLS, true);
    code = committer_start(&service->committer, error);
    if (!code)
        code = lister_start(service->share, service->catalogue, &service->lister, error);
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
    lister_stop(service->lister);
    committer_stop(service->committer);
    handouts_free(service->handouts);
    host_counts_free(service->uploads_by_host);
    host_counts_free(service->files_by_host);
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
