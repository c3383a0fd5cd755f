/*
 * What the files of the control service share. Used inside service/control_* only.
 */
#pragma once

#include "peer/service/control_operation.h"
#include "peer/service/control_service.h"
#include "proto/control.pb-c.h"

#include <pthread.h>
#include <stdatomic.h>

struct thread_pool;

struct control_service {
    struct control_service_options options; /* constant */
    struct rpc_service rpc;                 /* constant */
    struct thread_pool *pool;               /* constant; runs the operations */

    atomic_int verifying; /* calls of Verify */

    pthread_mutex_t lock; /* guards what follows */
    struct operation *running;
    bool stopping;
};

/* Runs the operation on a thread and remembers it, so that stopping can interrupt it, until it is
 * forgotten. */
MUST_CHECK enum error_code control_service_run(struct control_service *service,
                                               struct operation *operation, void (*run)(void *),
                                               struct error *error);
void control_service_forget(struct control_service *service, struct operation *operation);

/* The methods; open functions of struct rpc_method. */
void *control_search_open(void *service, struct rpc_call *call);
void *control_list_open(void *service, struct rpc_call *call);
void *control_match_open(void *service, struct rpc_call *call);
void *control_words_open(void *service, struct rpc_call *call);
void *control_put_open(void *service, struct rpc_call *call);
void *control_verify_open(void *service, struct rpc_call *call);

void *control_get_open(void *service, struct rpc_call *call);
enum error_code control_get_message(void *state, const struct rpc_request *request,
                                    struct error *error);
enum rpc_step control_get_next(void *state, struct rpc_reply *reply, struct error *error);
void control_get_close(void *state);

enum error_code control_begin_call(void *service, const ProtobufCMessage *request,
                                   struct rpc_reply *reply, struct error *error);

/* A request as a checked one, which borrows from it and from addresses. */
#define CONTROL_SOURCE_ADDRESSES 64
MUST_CHECK enum error_code control_parse_get(const struct control_service *service,
                                             const P2p__Control__GetRequest *message,
                                             struct download_request *request,
                                             struct address addresses[CONTROL_SOURCE_ADDRESSES],
                                             struct error *error);

void *control_downloads_open(void *service, struct rpc_call *call);
enum error_code control_downloads_message(void *state, const struct rpc_request *request,
                                          struct error *error);
enum rpc_step control_downloads_next(void *state, struct rpc_reply *reply, struct error *error);
void control_downloads_close(void *state);

enum error_code control_pause_call(void *service, const ProtobufCMessage *request,
                                   struct rpc_reply *reply, struct error *error);
enum error_code control_resume_call(void *service, const ProtobufCMessage *request,
                                    struct rpc_reply *reply, struct error *error);
enum error_code control_cancel_call(void *service, const ProtobufCMessage *request,
                                    struct rpc_reply *reply, struct error *error);
enum error_code control_prioritize_call(void *service, const ProtobufCMessage *request,
                                        struct rpc_reply *reply, struct error *error);
enum error_code control_sources_call(void *service, const ProtobufCMessage *request,
                                     struct rpc_reply *reply, struct error *error);

enum error_code control_status_call(void *service, const ProtobufCMessage *request,
                                    struct rpc_reply *reply, struct error *error);

enum error_code control_limit_call(void *service, const ProtobufCMessage *request,
                                   struct rpc_reply *reply, struct error *error);

/* What the limits are now. */
void control_limits_fill(P2p__Control__Limits *message, struct limits *limits);

/* A job's status as a message: the memory for it and for what it points to. The status must stay
 * as long as the message. */
struct control_job {
    P2p__Control__Job message;
    P2p__Control__Failure failure;
    char *path; /* owned */
};
void control_job_fill(struct control_job *job, const struct control_service *service,
                      struct download_status *status);
void control_job_done(struct control_job *job);

/* The id as text, owned by the caller; "" when it is not known. */
char *control_content_text(bool has_content, const struct content_id *content);

/* A source as a message, which borrows its name. Owned by the caller. */
P2p__Control__Source *control_source_new(const struct directory_source *source);
void control_source_free(P2p__Control__Source *message);

/* The failure of an error, or NULL for ERROR_NONE; *failure is where it is made. */
P2p__Control__Failure *control_failure(P2p__Control__Failure *failure, struct error *error);
