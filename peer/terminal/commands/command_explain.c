#include "peer/terminal/commands/command_private.h"

#include "common/memory.h"
#include "common/text.h"
#include "peer/downloads/downloads.h"
#include "peer/terminal/explain_text.h"
#include "peer/terminal/job_list.h"
#include "peer/terminal/job_text.h"

#include <limits.h>

#define TEXT_MAX_BYTES ((size_t)1024 * 1024) /* some tens of sources */

static void source_json(struct json_writer *json, const P2p__Control__JobSource *source)
{
    json_begin_object(json, NULL);
    command_json_text(json, "who", source->who);
    json_write_string(json, "address", source->address);
    json_write_string(json, "state",
                      download_source_state_name((enum download_source_state)source->state));
    json_write_integer(json, "bytes", source->bytes);
    json_write_integer(json, "bytes_per_second", source->bytes_per_second);
    json_write_integer(json, "retry_in_ms", source->retry_in_ms);
    json_write_integer(json, "place", source->place);
    json_write_boolean(json, "liar", source->liar);
    json_write_boolean(json, "whole_stream", source->whole_stream);
    if (source->failure)
        command_json_text(json, "failure", source->failure->text);
    else
        json_write_null(json, "failure");
    json_end_object(json);
}

static void explain_json(const struct explain *explain, struct buffer *out)
{
    struct json_writer json;
    auto_buffer limit;

    buffer_init(&limit, TEXT_MAX_BYTES);
    explain_limit(explain, &limit);
    json_writer_init(&json, out);
    json_begin_object(&json, NULL);
    job_json_keys(&json, explain->job);
    json_write_string(&json, "limit", limit.data);
    json_begin_array(&json, "source_list");
    for (size_t i = 0; i < explain->sources->n_sources; i++)
        source_json(&json, explain->sources->sources[i]);
    json_end_array(&json);
    json_end_object(&json);
}

static enum exit_status print(const struct command_context *context, const struct explain *explain)
{
    auto_buffer out;

    buffer_init(&out, TEXT_MAX_BYTES);
    if (context->arguments.json) {
        explain_json(explain, &out);
        return command_print(&out);
    }
    explain_format(explain, &out);
    fwrite(out.data, 1, out.length, stdout);
    return fflush(stdout) == 0 && !out.failed ? EXIT_DONE : EXIT_FAILED;
}

static enum exit_status explain_job(const struct command_context *context,
                                    const struct job_list *list, uint64_t id)
{
    auto_reply P2p__Control__SourcesReply *sources = NULL;
    auto_reply P2p__Control__StatusReply *peer = NULL;
    struct explain explain = {.job = job_list_find(list, id)};
    struct error error = {0};

    enum error_code code = explain.job ? control_sources(context->client, id, &sources, &error)
                                       : job_list_missing(id, &error);
    if (code == ERROR_NONE)
        code = control_status(context->client, &peer, &error);
    if (code != ERROR_NONE)
        return command_fail(context, &error, "Error");
    explain.sources = sources;
    explain.download_limit = peer->limits ? peer->limits->download : 0;
    for (size_t i = 0; i < peer->n_jobs; i++)
        explain.bytes_per_second += peer->jobs[i]->bytes_per_second;
    return print(context, &explain);
}

enum exit_status command_explain(struct command_context *context)
{
    struct job_list list;
    struct error error = {0};
    long long id;

    if (!text_to_integer(context->arguments.words[0], 1, LLONG_MAX, &id)) {
        fputs("p2p-peer explain: an ID is a number\n", stderr);
        return EXIT_USAGE;
    }
    if (job_list_get(context->client, &list, &error) != ERROR_NONE)
        return command_fail(context, &error, "Error");
    enum exit_status status = explain_job(context, &list, (uint64_t)id);
    job_list_done(&list);
    return status;
}
