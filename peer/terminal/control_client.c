#include "peer/terminal/control_client.h"

#include "common/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* A download may wait in line for hours without a word, and a menu may be open for days. A daemon
 * that has gone breaks the connection, which is noticed at once. */
#define STEP_MS ((int64_t)365 * 24 * 3600 * 1000)

struct control_client {
    struct rpc_channel *channel;
    char *socket_path;
    char *start_hint;
    struct interrupt *interrupt; /* borrowed; may be NULL */
};

struct control_client *control_client_open(const char *socket_path, const char *start_hint,
                                           struct interrupt *interrupt)
{
    struct control_client *client = memory_new(1, sizeof *client);
    auto_free char *target = memory_format("unix:%s", socket_path);

    client->channel = rpc_channel_open(target);
    client->socket_path = memory_copy_string(socket_path);
    client->start_hint = memory_copy_string(start_hint);
    client->interrupt = interrupt;
    return client;
}

void control_client_close(struct control_client *client)
{
    if (!client)
        return;
    rpc_channel_close(client->channel);
    free(client->start_hint);
    free(client->socket_path);
    free(client);
}

void control_reply_cleanup(void *pointer_to_message)
{
    ProtobufCMessage **message = pointer_to_message;

    if (*message)
        protobuf_c_message_free_unpacked(*message, NULL);
}

enum error_code control_failure_error(const P2p__Control__Failure *failure, struct error *error)
{
    if (!failure)
        return ERROR_NONE;
    bool known = failure->code > ERROR_NONE && failure->code < ERROR_CODE_COUNT;
    return error_set(error, known ? (enum error_code)failure->code : ERROR_IO, "%s", failure->text);
}

/* What a status that is not OK means for somebody at a terminal. */
static enum error_code explain(const struct control_client *client, bool answered,
                               struct error *error)
{
    if (error->code == ERROR_CANCELLED)
        return error->code;
    if (error->code != ERROR_UNREACHABLE)
        return error_context(error, "El peer local no pudo responder");
    if (answered)
        return error_set(error, ERROR_UNREACHABLE, "Se perdió la conexión con el peer local");
    if (access(client->socket_path, W_OK) != 0 && errno == EACCES)
        return error_set(error, ERROR_UNREACHABLE,
                         "No tiene permiso para hablar con el peer local (%s)",
                         client->socket_path);
    return error_set(error, ERROR_UNREACHABLE,
                     "El peer local no está en marcha (nadie atiende en %s). Inícielo con: %s",
                     client->socket_path, client->start_hint);
}

/* A method and the messages that it speaks. */
struct method {
    const char *path;
    const ProtobufCMessageDescriptor *reply;
};

static enum error_code take_replies(struct rpc_client_call *call, const struct method *method,
                                    const struct control_taker *taker, bool *answered, bool *taken,
                                    struct error *error)
{
    for (bool stop = false; !stop;) {
        auto_reply ProtobufCMessage *reply = NULL;
        struct rpc_response response;
        bool end = false;
        enum error_code code = rpc_client_receive(call, &response, &end, error);
        if (code != ERROR_NONE || end)
            return code;
        *answered = true;
        code = rpc_response_unpack(&response, method->reply, &reply, error);
        if (code != ERROR_NONE)
            return code;
        code = taker->take(taker->context, &reply, &stop, error);
        *taken = code != ERROR_NONE;
        if (code != ERROR_NONE)
            return code;
    }
    return ERROR_NONE;
}

static enum error_code converse(struct control_client *client, const struct method *method,
                                const ProtobufCMessage *request, const struct control_taker *taker,
                                struct error *error)
{
    struct rpc_client_call *call = NULL;
    bool answered = false;
    bool taken = false; /* the error is the taker's word, not the transport's */
    struct error own;

    error = error ? error : &own;
    enum error_code code = rpc_client_start(client->channel, method->path, STEP_MS, &call, error);
    if (code != ERROR_NONE)
        return code;
    if (client->interrupt)
        interrupt_attach(client->interrupt, call);
    code = rpc_client_send_only(call, request, error);
    if (code == ERROR_NONE)
        code = take_replies(call, method, taker, &answered, &taken, error);
    if (client->interrupt)
        interrupt_detach(client->interrupt);
    rpc_client_free(call);
    return code == ERROR_NONE || taken ? code : explain(client, answered, error);
}

static enum error_code keep_reply(void *context, ProtobufCMessage **reply, bool *stop,
                                  struct error *error)
{
    ProtobufCMessage **kept = context;

    (void)error;
    *kept = take_pointer(reply);
    *stop = true;
    return ERROR_NONE;
}

/* A call of one reply; *reply is NULL with an error. */
static enum error_code ask(struct control_client *client, const struct method *method,
                           const ProtobufCMessage *request, ProtobufCMessage **reply,
                           struct error *error)
{
    struct control_taker taker = {.take = keep_reply, .context = reply};

    *reply = NULL;
    enum error_code code = converse(client, method, request, &taker, error);
    if (code == ERROR_NONE && !*reply)
        code = error_set(error, ERROR_CORRUPT, "El peer local no contestó nada");
    return code;
}

enum error_code control_search(struct control_client *client, const char *name,
                               P2p__Control__SearchReply **reply, struct error *error)
{
    static const struct method method = {"/p2p.control.Control/Search",
                                         &p2p__control__search_reply__descriptor};
    P2p__Control__SearchRequest request = P2P__CONTROL__SEARCH_REQUEST__INIT;
    auto_free char *copy = memory_copy_string(name);
    ProtobufCMessage *message;

    request.name = copy;
    enum error_code code = ask(client, &method, &request.base, &message, error);
    *reply = (P2p__Control__SearchReply *)message;
    if (code == ERROR_NONE)
        code = control_failure_error((*reply)->failure, error);
    return code;
}

enum error_code control_status(struct control_client *client, P2p__Control__StatusReply **reply,
                               struct error *error)
{
    static const struct method method = {"/p2p.control.Control/Status",
                                         &p2p__control__status_reply__descriptor};
    P2p__Control__StatusRequest request = P2P__CONTROL__STATUS_REQUEST__INIT;
    ProtobufCMessage *message;

    enum error_code code = ask(client, &method, &request.base, &message, error);
    *reply = (P2p__Control__StatusReply *)message;
    return code;
}

enum error_code control_limit(struct control_client *client,
                              const P2p__Control__LimitRequest *request,
                              P2p__Control__LimitReply **reply, struct error *error)
{
    static const struct method method = {"/p2p.control.Control/Limit",
                                         &p2p__control__limit_reply__descriptor};
    ProtobufCMessage *message;

    enum error_code code = ask(client, &method, &request->base, &message, error);
    *reply = (P2p__Control__LimitReply *)message;
    if (code == ERROR_NONE)
        code = control_failure_error((*reply)->failure, error);
    return code;
}

enum error_code control_begin(struct control_client *client,
                              const P2p__Control__BeginRequest *request,
                              P2p__Control__BeginReply **reply, struct error *error)
{
    static const struct method method = {"/p2p.control.Control/Begin",
                                         &p2p__control__begin_reply__descriptor};
    ProtobufCMessage *message;

    enum error_code code = ask(client, &method, &request->base, &message, error);
    *reply = (P2p__Control__BeginReply *)message;
    return code;
}

enum error_code control_order(struct control_client *client, enum control_order order, uint64_t id,
                              struct error *error)
{
    static const struct method methods[] = {
        [CONTROL_PAUSE] = {"/p2p.control.Control/Pause", &p2p__control__job_reply__descriptor},
        [CONTROL_RESUME] = {"/p2p.control.Control/Resume", &p2p__control__job_reply__descriptor},
        [CONTROL_CANCEL] = {"/p2p.control.Control/Cancel", &p2p__control__job_reply__descriptor},
    };
    P2p__Control__JobRequest request = P2P__CONTROL__JOB_REQUEST__INIT;
    auto_reply ProtobufCMessage *message = NULL;

    request.id = id;
    enum error_code code = ask(client, &methods[order], &request.base, &message, error);
    if (code == ERROR_NONE)
        code = control_failure_error(((P2p__Control__JobReply *)message)->failure, error);
    return code;
}

enum error_code control_prioritize(struct control_client *client, uint64_t id,
                                   enum download_priority priority, struct error *error)
{
    static const struct method method = {"/p2p.control.Control/Prioritize",
                                         &p2p__control__job_reply__descriptor};
    P2p__Control__PriorityRequest request = P2P__CONTROL__PRIORITY_REQUEST__INIT;
    auto_reply ProtobufCMessage *message = NULL;

    request.id = id;
    request.priority = priority;
    enum error_code code = ask(client, &method, &request.base, &message, error);
    if (code == ERROR_NONE)
        code = control_failure_error(((P2p__Control__JobReply *)message)->failure, error);
    return code;
}

enum error_code control_sources(struct control_client *client, uint64_t id,
                                P2p__Control__SourcesReply **reply, struct error *error)
{
    static const struct method method = {"/p2p.control.Control/Sources",
                                         &p2p__control__sources_reply__descriptor};
    P2p__Control__JobRequest request = P2P__CONTROL__JOB_REQUEST__INIT;
    ProtobufCMessage *message;

    request.id = id;
    enum error_code code = ask(client, &method, &request.base, &message, error);
    *reply = (P2p__Control__SourcesReply *)message;
    if (code == ERROR_NONE)
        code = control_failure_error((*reply)->failure, error);
    return code;
}

/* ---- several replies ---- */

static enum error_code take_match(void *context, ProtobufCMessage **reply, bool *stop,
                                  struct error *error)
{
    const struct control_taker *taker = context;
    const P2p__Control__MatchReply *message = (const P2p__Control__MatchReply *)*reply;

    enum error_code code = control_failure_error(message->failure, error);
    return code == ERROR_NONE ? taker->take(taker->context, reply, stop, error) : code;
}

enum error_code control_match(struct control_client *client, const char *pattern, const char *from,
                              const struct control_taker *taker, struct error *error)
{
    static const struct method method = {"/p2p.control.Control/Match",
                                         &p2p__control__match_reply__descriptor};
    P2p__Control__MatchRequest request = P2P__CONTROL__MATCH_REQUEST__INIT;
    auto_free char *pattern_copy = memory_copy_string(pattern);
    auto_free char *from_copy = memory_copy_string(from);
    struct control_taker checked = {
        .take = take_match, .context = &(struct control_taker){taker->take, taker->context}};

    request.pattern = pattern_copy;
    request.from = from_copy;
    return converse(client, &method, &request.base, &checked, error);
}

static enum error_code take_words(void *context, ProtobufCMessage **reply, bool *stop,
                                  struct error *error)
{
    const struct control_taker *taker = context;
    const P2p__Control__WordsReply *message = (const P2p__Control__WordsReply *)*reply;

    enum error_code code = control_failure_error(message->failure, error);
    return code == ERROR_NONE ? taker->take(taker->context, reply, stop, error) : code;
}

enum error_code control_words(struct control_client *client,
                              const P2p__Control__WordsRequest *request,
                              const struct control_taker *taker, struct error *error)
{
    static const struct method method = {"/p2p.control.Control/Words",
                                         &p2p__control__words_reply__descriptor};
    struct control_taker checked = {
        .take = take_words, .context = &(struct control_taker){taker->take, taker->context}};

    return converse(client, &method, &request->base, &checked, error);
}

static enum error_code take_list(void *context, ProtobufCMessage **reply, bool *stop,
                                 struct error *error)
{
    const struct control_taker *taker = context;
    const P2p__Control__ListReply *message = (const P2p__Control__ListReply *)*reply;

    enum error_code code = control_failure_error(message->failure, error);
    return code == ERROR_NONE ? taker->take(taker->context, reply, stop, error) : code;
}

enum error_code control_list(struct control_client *client, const char *address,
                             const struct control_taker *taker, struct error *error)
{
    static const struct method method = {"/p2p.control.Control/List",
                                         &p2p__control__list_reply__descriptor};
    P2p__Control__ListRequest request = P2P__CONTROL__LIST_REQUEST__INIT;
    auto_free char *copy = memory_copy_string(address);
    struct control_taker checked = {
        .take = take_list, .context = &(struct control_taker){taker->take, taker->context}};

    request.address = copy;
    return converse(client, &method, &request.base, &checked, error);
}

static enum error_code take_get(void *context, ProtobufCMessage **reply, bool *stop,
                                struct error *error)
{
    const struct control_taker *taker = context;
    const P2p__Control__GetReply *message = (const P2p__Control__GetReply *)*reply;

    enum error_code code = control_failure_error(message->failure, error);
    return code == ERROR_NONE ? taker->take(taker->context, reply, stop, error) : code;
}

enum error_code control_get(struct control_client *client, const P2p__Control__GetRequest *request,
                            const struct control_taker *taker, struct error *error)
{
    static const struct method method = {"/p2p.control.Control/Get",
                                         &p2p__control__get_reply__descriptor};
    struct control_taker checked = {
        .take = take_get, .context = &(struct control_taker){taker->take, taker->context}};

    return converse(client, &method, &request->base, &checked, error);
}

enum error_code control_put(struct control_client *client, const char *path, const char *address,
                            const struct control_taker *taker, struct error *error)
{
    static const struct method method = {"/p2p.control.Control/Put",
                                         &p2p__control__put_reply__descriptor};
    P2p__Control__PutRequest request = P2P__CONTROL__PUT_REQUEST__INIT;
    auto_free char *path_copy = memory_copy_string(path);
    auto_free char *address_copy = memory_copy_string(address);

    request.path = path_copy;
    request.address = address_copy;
    return converse(client, &method, &request.base, taker, error);
}

static enum error_code take_verify(void *context, ProtobufCMessage **reply, bool *stop,
                                   struct error *error)
{
    const struct control_taker *taker = context;
    const P2p__Control__VerifyReply *message = (const P2p__Control__VerifyReply *)*reply;

    enum error_code code = control_failure_error(message->failure, error);
    return code == ERROR_NONE ? taker->take(taker->context, reply, stop, error) : code;
}

enum error_code control_verify(struct control_client *client,
                               const P2p__Control__VerifyRequest *request,
                               const struct control_taker *taker, struct error *error)
{
    static const struct method method = {"/p2p.control.Control/Verify",
                                         &p2p__control__verify_reply__descriptor};
    struct control_taker checked = {
        .take = take_verify, .context = &(struct control_taker){taker->take, taker->context}};

    return converse(client, &method, &request->base, &checked, error);
}

enum error_code control_downloads(struct control_client *client, bool follow,
                                  const struct control_taker *taker, struct error *error)
{
    static const struct method method = {"/p2p.control.Control/Downloads",
                                         &p2p__control__downloads_reply__descriptor};
    P2p__Control__DownloadsRequest request = P2P__CONTROL__DOWNLOADS_REQUEST__INIT;

    request.follow = follow;
    return converse(client, &method, &request.base, taker, error);
}
