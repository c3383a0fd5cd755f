/* A download of one piece at most whose content the directory knows. The id of such a file follows
 * from its bytes alone, so that one call brings it: no hashes are asked for, no session, no plan.
 */
#include "common/memory.h"
#include "peer/downloads/job.h"
#include "peer/network/piece_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A source that is slower than that is better waited for in the other way, where several are asked
 * at once. */
#define STALL_MS 3000

struct small_file {
    struct content_id content;
    int64_t size_bytes;
};

/* What is wanted, if it is a file of at most one piece. */
static bool choose_file(const struct job *job, const struct directory_sources *sources,
                        struct small_file *file)
{
    if (job->draft.destination != DOWNLOAD_SHARE || job->is_not_small ||
        !sources_wanted_content(sources, job->peer, &file->content))
        return false;
    for (size_t i = 0; i < sources->count; i++) {
        const struct directory_source *source = &sources->items[i];
        if (source->has_content && content_id_equal(&source->content, &file->content)) {
            file->size_bytes = source->size_bytes;
            return file->size_bytes >= 0 && file->size_bytes <= (int64_t)PIECE_BYTES;
        }
    }
    return false;
}

/* Whether the bytes are the file's. */
static bool is_right(const struct small_file *file, const void *data, struct manifest *manifest)
{
    if (manifest_init(manifest, file->size_bytes, NULL) != ERROR_NONE)
        return false;
    if (manifest->piece_count > 0)
        content_hash_piece(file->size_bytes, data, (size_t)file->size_bytes, manifest->hashes[0]);
    manifest_seal(manifest);
    if (content_id_equal(&manifest->id, &file->content))
        return true;
    manifest_done(manifest);
    return false;
}

static enum error_code ask(const struct job_call *call, const struct address *address,
                           const struct small_file *file, void *data, struct manifest *manifest,
                           struct error *error)
{
    struct piece_client_options options = {.address = address,
                                           .channels = call->environment->channels,
                                           .limits = call->environment->limits,
                                           .interrupt = call->interrupt,
                                           .stall_ms = call->environment->stall_ms,
                                           .impatient = true};
    const struct piece_request request = {.name = &call->job->draft.name,
                                          .content = &file->content,
                                          .length = (size_t)file->size_bytes};
    enum error_code code = ERROR_NONE;

    if (options.stall_ms > STALL_MS)
        options.stall_ms = STALL_MS;
    if (file->size_bytes > 0) {
        struct piece_client *client = piece_client_open(&options);
        code = piece_client_fetch(client, &request, data, error);
        piece_client_close(client);
    }
    if (code == ERROR_NONE && !is_right(file, data, manifest))
        code = error_set(error, ERROR_CORRUPT, "envió otro contenido");
    return code;
}

static enum error_code keep(const struct job_call *call, const void *data, int64_t size_bytes,
                            struct error *error)
{
    struct job *job = call->job;
    struct share_incoming *incoming = NULL;
    const struct iovec span = {.iov_base = (void *)(uintptr_t)data, .iov_len = (size_t)size_bytes};

    enum error_code code = share_incoming_begin(call->environment->share, &incoming, error);
    if (code == ERROR_NONE)
        code = share_incoming_write(incoming, &span, 1, error);
    if (code != ERROR_NONE) {
        share_incoming_abort(incoming);
        return code;
    }
    job_exchange_incoming(job, incoming);
    job->draft.bytes = job->draft.held_bytes = size_bytes;
    return ERROR_NONE;
}

static void tell_source(const struct job_call *call, const char *peer,
                        const struct address *address, const struct small_file *file)
{
    struct download_status *draft = &call->job->draft;

    draft->state = DOWNLOAD_RUNNING;
    draft->total_bytes = file->size_bytes;
    draft->active_sources = 1;
    swarm_describe_source(peer, address, draft->source);
    call->environment->publish(call->job, false);
}

enum error_code job_fetch_small(const struct job_call *call,
                                const struct directory_sources *sources, struct error *error)
{
    enum error_code code = error_set(error, ERROR_UNSUPPORTED, "no es un archivo pequeño");
    const struct source_finder *finder = call->environment->finder;
    const char *wanted_peer = call->job->peer;
    struct small_file file;

    if (!choose_file(call->job, sources, &file))
        return code;
    auto_free void *data = memory_new((size_t)file.size_bytes + 1, 1);
    for (size_t i = 0; i < sources->count && code != ERROR_NONE && code != ERROR_CANCELLED; i++) {
        const struct directory_source *source = &sources->items[i];
        if (!source->has_content || !content_id_equal(&source->content, &file.content) ||
            source->address_count == 0 || strcmp(source->peer, finder->own_name) == 0 ||
            (wanted_peer[0] && strcmp(source->peer, wanted_peer) != 0))
            continue;
        tell_source(call, source->peer, &source->addresses[0], &file);
        code = ask(call, &source->addresses[0], &file, data, &call->job->small, error);
        if (code == ERROR_NONE)
            sources_worked(finder, &source->addresses[0]);
    }
    if (code != ERROR_NONE)
        return code;
    code = keep(call, data, file.size_bytes, error);
    if (code != ERROR_NONE)
        manifest_done(&call->job->small);
    return code;
}
