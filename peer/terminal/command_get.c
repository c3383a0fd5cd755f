#include "peer/terminal/command_private.h"

#include "common/address.h"
#include "common/memory.h"
#include "peer/downloads/downloads.h"
#include "peer/terminal/output.h"
#include "peer/terminal/progress_bar.h"

#include <string.h>

/* One `get` while its events come in. */
struct session {
    const char *name; /* cleaned, for the bar */
    struct progress_bar bar;
    struct output *output; /* NULL: the shared folder */
    bool write_failed;
    uint32_t attempt;
    P2p__Control__GetReply *last; /* the job's final state */
};

static enum error_code take_data(struct session *session, const P2p__Control__GetReply *reply,
                                 struct error *error)
{
    enum error_code code = ERROR_NONE;

    if (reply->attempt != session->attempt) {
        session->attempt = reply->attempt;
        code = output_restart(session->output, error);
    }
    if (code == ERROR_NONE)
        code = output_write(session->output, reply->data.data, reply->data.len, error);
    session->write_failed = code != ERROR_NONE;
    return code;
}

static enum error_code take_reply(void *context, ProtobufCMessage **message, bool *stop,
                                  struct error *error)
{
    struct session *session = context;
    const P2p__Control__GetReply *reply = (const P2p__Control__GetReply *)*message;

    (void)stop;
    if (reply->data.len > 0)
        return session->output ? take_data(session, reply, error) : ERROR_NONE;
    if (!reply->job)
        return ERROR_NONE;
    const P2p__Control__Job *job = reply->job;
    if (download_state_is_final((enum download_state)job->state)) {
        session->last = (P2p__Control__GetReply *)take_pointer(message);
        return ERROR_NONE;
    }
    struct progress progress = {.name = session->name,
                                .bytes = job->bytes,
                                .total_bytes = job->total_bytes,
                                .bytes_per_second = job->bytes_per_second};
    progress_bar_show(&session->bar, &progress);
    return ERROR_NONE;
}

/* --from is a peer's name, or the address of one. */
static void fill_request(const struct arguments *arguments, P2p__Control__GetRequest *request,
                         char **name, char **from)
{
    struct address address;

    *name = memory_copy_string(arguments->words[0]);
    *from = memory_copy_string(arguments->from ? arguments->from : "");
    request->name = *name;
    request->stream = arguments->output != NULL;
    if (arguments->from && address_parse(arguments->from, false, &address, NULL) == ERROR_NONE) {
        request->addresses = from;
        request->n_addresses = 1;
    } else {
        request->peer = *from;
    }
}

static enum exit_status print_json(const P2p__Control__Job *job, const char *path, const char *note)
{
    auto_buffer out;
    struct json_writer json;

    buffer_init(&out, (size_t)64 * 1024);
    json_writer_init(&json, &out);
    json_begin_object(&json, NULL);
    json_write_string(&json, "name", job->name);
    json_write_string(&json, "path", path);
    json_write_integer(&json, "bytes", job->bytes);
    command_json_text(&json, "source", job->source);
    if (note[0])
        command_json_text(&json, "note", note);
    json_end_object(&json);
    return command_print(&out);
}

static enum exit_status print_result(const struct command_context *context,
                                     const struct session *session)
{
    const P2p__Control__Job *job = session->last->job;
    const char *path = session->output ? output_path(session->output) : job->path;

    if (context->arguments.json)
        return print_json(job, path, session->last->note);
    printf("Archivo descargado: %s\n", path);
    if (!session->output && strcmp(job->stored_name, job->name) != 0)
        printf("Ya existía %s con otro contenido: se guardó como %s\n", job->name,
               job->stored_name);
    return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}

/* How the job ended, and the file's name for good. */
static enum error_code finish(struct session *session, struct error *error)
{
    if (!session->last)
        return error_set(error, ERROR_UNREACHABLE, "El peer local no dijo cómo terminó");
    enum error_code code = control_failure_error(session->last->job->failure, error);
    if (code == ERROR_NONE && session->output)
        code = output_commit(session->output, error);
    return code;
}

static enum exit_status run(const struct command_context *context, struct session *session)
{
    P2p__Control__GetRequest request = P2P__CONTROL__GET_REQUEST__INIT;
    struct control_taker taker = {.take = take_reply, .context = session};
    auto_free char *name = NULL;
    auto_free char *from = NULL;
    struct error error = {0};
    char clean[CLEAN_BYTES];
    bool to_standard = session->output && strcmp(output_path(session->output), "-") == 0;

    fill_request(&context->arguments, &request, &name, &from);
    enum error_code code = control_get(context->client, &request, &taker, &error);
    progress_bar_clear(&session->bar);
    if (session->last && session->last->note[0] && !context->arguments.json)
        fprintf(stderr, "%s\n", command_clean(session->last->note, clean));
    if (code == ERROR_NONE)
        code = finish(session, &error);
    if (code == ERROR_NONE)
        return to_standard ? EXIT_DONE : print_result(context, session);
    if (session->write_failed && to_standard && code == ERROR_UNREACHABLE)
        return EXIT_FAILED; /* the reader has seen enough: nobody wants to hear of it */
    enum exit_status status = command_fail(context, &error, "Error al descargar");
    return session->write_failed ? EXIT_FAILED : status;
}

enum exit_status command_get(struct command_context *context)
{
    const struct arguments *arguments = &context->arguments;
    struct session session = {0};
    char clean[CLEAN_BYTES];
    struct error error = {0};

    if (arguments->json && arguments->output && strcmp(arguments->output, "-") == 0) {
        fputs("p2p-peer get: --json does not go with --output -\n", stderr);
        return EXIT_USAGE;
    }
    session.name = command_clean(arguments->words[0], clean);
    if (arguments->output && output_open(arguments->output, arguments->words[0], &session.output,
                                         &error) != ERROR_NONE) {
        (void)command_fail(context, &error, "Error al descargar");
        return EXIT_FAILED; /* a folder that does not exist is not "the file was not found" */
    }
    progress_bar_init(&session.bar);
    enum exit_status status = run(context, &session);
    output_close(session.output);
    if (session.last)
        protobuf_c_message_free_unpacked(&session.last->base, NULL);
    return status;
}
