/* What the sources of peer_service share. */
#pragma once

#include "common/content.h"
#include "peer/limits/deadlines.h"
#include "peer/limits/host_counts.h"
#include "peer/rpc/server.h"
#include "peer/service/committer.h"
#include "peer/service/handouts.h"
#include "peer/service/peer_list.h"
#include "peer/service/peer_service.h"
#include "peer/share/share.h"

#include <stdatomic.h>
#include <stdbool.h>

struct peer_service {
    struct share *share;
    struct catalogue *catalogue;       /* may be NULL */
    struct arrivals *arrivals;         /* may be NULL */
    _Atomic(struct locator *) locator; /* NULL until it is set */
    struct limits *limits;
    struct committer *committer;
    struct lister *lister;
    struct handouts *handouts;
    struct deadlines *places; /* of waiting downloads: the next word on their place */
    struct host_counts *uploads_by_host;
    struct host_counts *files_by_host; /* calls of DownloadFiles */
    atomic_int_least64_t streams;
    struct rpc_service rpc;
};

/* The functions of the rows for the streams (see struct rpc_method). */
void *peer_download_open(void *service, struct rpc_call *call);
enum error_code peer_download_message(void *state, const struct rpc_request *request,
                                      struct error *error);
enum rpc_step peer_download_next(void *state, struct rpc_reply *reply, struct error *error);
void peer_download_close(void *state);

void *peer_files_open(void *service, struct rpc_call *call);
enum error_code peer_files_message(void *state, const struct rpc_request *request,
                                   struct error *error);
enum rpc_step peer_files_next(void *state, struct rpc_reply *reply, struct error *error);
void peer_files_close(void *state);

/* Whether the file that is open is the content that was asked for: the one under that name may be
 * another one by now. ERROR_CHANGED; ERROR_BUSY: that is not known yet; ERROR_UNSUPPORTED: nor
 * ever.
 */
MUST_CHECK enum error_code peer_check_content(struct peer_service *service,
                                              const struct share_reader *reader,
                                              const struct content_id *wanted, struct error *error);
/* What has rotted is not sent: others would share it on. ERROR_CORRUPT: a byte of that part has. */
MUST_CHECK enum error_code peer_check_damage(struct peer_service *service,
                                             const struct share_reader *reader, int64_t offset,
                                             int64_t length, struct error *error);

void *peer_manifest_open(void *service, struct rpc_call *call);
enum error_code peer_manifest_message(void *state, const struct rpc_request *request,
                                      struct error *error);
enum rpc_step peer_manifest_next(void *state, struct rpc_reply *reply, struct error *error);
void peer_manifest_close(void *state);

/* The content that a request asks for: *given says whether it asks for any. ERROR_INVALID. */
MUST_CHECK enum error_code peer_wanted_content(const ProtobufCBinaryData *field, bool *given,
                                               struct content_id *id, struct error *error);
enum error_code peer_other_content(struct error *error); /* ERROR_CHANGED, for what was asked for */

/* NULL: it does not arrive. Owned by the caller (arrival_release). */
struct arrival *peer_find_arrival(struct peer_service *service, const struct content_id *id);
struct peer_content {
    struct file_name name;
    int64_t size_bytes;
};
/* A complete file with that content, of that name (or NULL), or one that has just arrived.
 * ERROR_NOT_FOUND. */
MUST_CHECK enum error_code peer_find_content(struct peer_service *service,
                                             const struct content_id *id,
                                             const struct file_name *guess,
                                             struct peer_content *content, struct error *error);
enum error_code peer_availability(void *service, const ProtobufCMessage *request,
                                  struct rpc_reply *reply, struct error *error);

void *peer_locate_open(void *service, struct rpc_call *call);
enum error_code peer_locate_message(void *state, const struct rpc_request *request,
                                    struct error *error);
enum rpc_step peer_locate_next(void *state, struct rpc_reply *reply, struct error *error);
void peer_locate_close(void *state);

void *peer_upload_open(void *service, struct rpc_call *call);
enum error_code peer_upload_message(void *state, const struct rpc_request *request,
                                    struct error *error);
enum rpc_step peer_upload_next(void *state, struct rpc_reply *reply, struct error *error);
void peer_upload_close(void *state);
