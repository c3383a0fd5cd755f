/*
 * The daemon as commands and menu see it: calls to its control socket (proto/control.proto).
 *
 * All of them block. Errors are the daemon's own, or ERROR_UNREACHABLE with a text that says how to
 * start it. Any thread; a client without an interrupt may be shared.
 */
#pragma once

#include "common/error.h"
#include "peer/downloads/priority.h"
#include "peer/network/interrupt.h"
#include "proto/control.pb-c.h"

#include <stdbool.h>

struct control_client;

/* start_hint: the command that starts the daemon, for texts; both texts are copied. interrupt (may
 * be NULL) breaks off the call that runs; with it, one call at a time. Never fails. */
struct control_client *control_client_open(const char *socket_path, const char *start_hint,
                                           struct interrupt *interrupt);
void control_client_close(struct control_client *client);

/* *reply is the caller's (protobuf_c_message_free_unpacked, or auto_reply). */
MUST_CHECK enum error_code control_search(struct control_client *client, const char *name,
                                          P2p__Control__SearchReply **reply, struct error *error);
MUST_CHECK enum error_code control_status(struct control_client *client,
                                          P2p__Control__StatusReply **reply, struct error *error);

MUST_CHECK enum error_code control_limit(struct control_client *client,
                                         const P2p__Control__LimitRequest *request,
                                         P2p__Control__LimitReply **reply, struct error *error);

/* For calls of several replies: take is called for each. An error that it returns ends the call and
 * is the outcome; so does *stop, with ERROR_NONE. It keeps a reply by setting *reply to NULL. */
struct control_taker {
    enum error_code (*take)(void *context, ProtobufCMessage **reply, bool *stop,
                            struct error *error);
    void *context;
};

/* The names of others' files that match; from: only of the peer of that name or address ("": of
 * all). take gets P2p__Control__MatchReply, and not one with a failure: that is the outcome. */
MUST_CHECK enum error_code control_match(struct control_client *client, const char *pattern,
                                         const char *from, const struct control_taker *taker,
                                         struct error *error);

/* Files by words. take gets P2p__Control__WordsReply, likewise without a failure. */
#define CONTROL_WORDS_MAX 10000 /* hits of one call */
MUST_CHECK enum error_code control_words(struct control_client *client,
                                         const P2p__Control__WordsRequest *request,
                                         const struct control_taker *taker, struct error *error);

/* take gets P2p__Control__ListReply, GetReply, PutReply, VerifyReply. A failure in a
 * reply is not given to take but is the outcome, except of Get's jobs and Put. */
MUST_CHECK enum error_code control_list(struct control_client *client, const char *address,
                                        const struct control_taker *taker, struct error *error);
MUST_CHECK enum error_code control_get(struct control_client *client,
                                       const P2p__Control__GetRequest *request,
                                       const struct control_taker *taker, struct error *error);
/* Starts as many of the names as the daemon takes, in one call: (*reply)->jobs. */
#define CONTROL_BEGIN_MAX 100
MUST_CHECK enum error_code control_begin(struct control_client *client,
                                         const P2p__Control__BeginRequest *request,
                                         P2p__Control__BeginReply **reply, struct error *error);
MUST_CHECK enum error_code control_put(struct control_client *client, const char *path,
                                       const char *address, const struct control_taker *taker,
                                       struct error *error);
MUST_CHECK enum error_code control_verify(struct control_client *client,
                                          const P2p__Control__VerifyRequest *request,
                                          const struct control_taker *taker, struct error *error);

/* All downloads that are remembered; with follow their changes, too, until the taker has enough.
 * take gets P2p__Control__DownloadsReply. */
MUST_CHECK enum error_code control_downloads(struct control_client *client, bool follow,
                                             const struct control_taker *taker,
                                             struct error *error);

enum control_order { CONTROL_PAUSE, CONTROL_RESUME, CONTROL_CANCEL };
/* ERROR_NOT_FOUND: there is no such download (any more). */
MUST_CHECK enum error_code control_order(struct control_client *client, enum control_order order,
                                         uint64_t id, struct error *error);
MUST_CHECK enum error_code control_prioritize(struct control_client *client, uint64_t id,
                                              enum download_priority priority, struct error *error);
/* Likewise. The sources of a download whose content is known. */
MUST_CHECK enum error_code control_sources(struct control_client *client, uint64_t id,
                                           P2p__Control__SourcesReply **reply, struct error *error);

/* The error that a failure tells; ERROR_NONE for NULL. */
enum error_code control_failure_error(const P2p__Control__Failure *failure, struct error *error);

void control_reply_cleanup(void *pointer_to_message);
#define auto_reply CLEANUP(control_reply_cleanup)
