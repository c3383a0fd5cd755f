/* Match: which files of others go by names of a pattern. */
#include "peer/service/control_private.h"

#include "common/memory.h"
#include "common/name_pattern.h"
#include "common/text.h"
#include "peer/downloads/downloads.h"
#include "peer/network/peer_client.h"

#include <stdlib.h>
#include <string.h>

/* As many downloads may wait in line. */
#define NAMES_MAX  DOWNLOADS_QUEUED_MAX
#define PART_BYTES ((size_t)512 * 1024) /* of names in one message, and one name more */

struct match {
    struct operation operation;
    char *pattern;
    char *peer; /* only of this one; "": of all, but not our own */
    bool has_address;
    struct address address; /* ask this one */

    char **names; /* in order, each once; of the thread until it is finished */
    size_t count;
    size_t told;
    bool too_many;
};

static enum error_code match_begin(struct operation *operation, const ProtobufCMessage *message,
                                   struct error *error)
{
    const P2p__Control__MatchRequest *request = (const P2p__Control__MatchRequest *)message;
    struct match *match = (struct match *)operation;

    if (!text_is_utf8(request->pattern, strlen(request->pattern)))
        return error_set(error, ERROR_INVALID, "El patrón no es UTF-8");
    match->pattern = memory_copy_string(request->pattern);
    match->peer = memory_copy_string(request->from);
    match->has_address = address_parse(request->from, false, &match->address, NULL) == ERROR_NONE;
    return ERROR_NONE;
}

/* Keeps the name if it matches and is new. False: there are too many. */
static bool add_name(struct match *match, const char *name)
{
    size_t low = 0;

    if (!name_pattern_match(match->pattern, name))
        return true;
    for (size_t high = match->count; low < high;) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(match->names[middle], name);
        if (order == 0)
            return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    match->too_many = match->count == NAMES_MAX;
    if (match->too_many)
        return false;
    match->names = memory_resize(match->names, match->count + 1, sizeof *match->names);
    memmove(&match->names[low + 1], &match->names[low],
            (match->count - low) * sizeof *match->names);
    match->names[low] = memory_copy_string(name);
    match->count++;
    return true;
}

static bool take_file(void *context, const char *peer, const struct file_name *name)
{
    struct match *match = context;
    const char *own = match->operation.service->options.finder->own_name;
    bool wanted = match->peer[0] ? strcmp(peer, match->peer) == 0 : strcmp(peer, own) != 0;

    return wanted ? add_name(match, name->text) : true;
}

static enum error_code match_peer(struct match *match, struct error *error)
{
    struct peer_files files = {0};

    enum error_code code =
        peer_list_files(&match->address, match->operation.interrupt, &files, error);
    for (size_t i = 0; i < files.count && !match->too_many && code == ERROR_NONE; i++)
        if (files.items[i].is_good)
            (void)add_name(match, files.items[i].name);
    peer_files_done(&files);
    return code;
}

static enum error_code match_run(struct operation *operation, struct error *error)
{
    struct match *match = (struct match *)operation;
    struct directories *directories = operation->service->options.directories;
    const struct directory_files_taker taker = {
        .folders = strchr(match->pattern, '/') != NULL, .take = take_file, .context = match};
    enum error_code code;

    if (match->has_address)
        code = match_peer(match, error);
    else if (directories)
        code = directories_files(directories, &taker, interrupt_event(operation->interrupt), error);
    else
        code = error_set(error, ERROR_UNREACHABLE, "No hay directorio");
    if (code == ERROR_NONE && match->too_many)
        code = error_set(error, ERROR_TOO_LARGE,
                         "Más de %d archivos tienen un nombre así: use un patrón más preciso",
                         NAMES_MAX);
    return code;
}

static enum error_code match_reply(struct operation *operation, struct rpc_reply *reply, bool *last,
                                   struct error *error)
{
    struct match *match = (struct match *)operation;
    P2p__Control__MatchReply message = P2P__CONTROL__MATCH_REPLY__INIT;
    P2p__Control__Failure failure;

    message.failure = control_failure(&failure, &operation->outcome);
    if (!message.failure) {
        message.names = match->names + match->told;
        for (size_t bytes = 0; match->told < match->count && bytes < PART_BYTES; message.n_names++)
            bytes += strlen(match->names[match->told++]);
    }
    *last = message.failure || match->told == match->count;
    return rpc_reply_pack(reply, &message.base, error);
}

static void match_done(struct operation *operation)
{
    struct match *match = (struct match *)operation;

    for (size_t i = 0; i < match->count; i++)
        free(match->names[i]);
    free(match->names);
    free(match->pattern);
    free(match->peer);
}

void *control_match_open(void *service, struct rpc_call *call)
{
    static const struct operation_kind kind = {.size = sizeof(struct match),
                                               .begin = match_begin,
                                               .run = match_run,
                                               .reply = match_reply,
                                               .done = match_done};

    return operation_open(service, call, &kind);
}
