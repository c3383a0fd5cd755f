/* What the sources of peer_service share. */
#pragma once

#include "peer/rpc/server.h"
#include "peer/service/committer.h"
#include "peer/service/peer_service.h"
#include "peer/share/share.h"

#include <stdatomic.h>

struct peer_service {
    struct share *share;
    struct committer *committer;
    atomic_int_least64_t streams;
    struct rpc_service rpc;
};

/* The functions of the rows for DownloadFile and UploadFile (see struct rpc_method). */
void *peer_download_open(void *service, struct rpc_call *call);
enum error_code peer_download_message(void *state, const struct rpc_request *request,
                                      struct error *error);
enum rpc_step peer_download_next(void *state, struct rpc_reply *reply, struct error *error);
void peer_download_close(void *state);

void *peer_upload_open(void *service, struct rpc_call *call);
enum error_code peer_upload_message(void *state, const struct rpc_request *request,
                                    struct error *error);
enum rpc_step peer_upload_next(void *state, struct rpc_reply *reply, struct error *error);
void peer_upload_close(void *state);
