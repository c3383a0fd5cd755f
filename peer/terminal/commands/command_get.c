/* get: one file here, several in get_many. */
#include "peer/terminal/commands/get_private.h"

#include "common/address.h"
#include "common/clock.h"
#include "common/memory.h"
#include "common/text.h"
#include "peer/downloads/downloads.h"
#include "peer/terminal/commands/output.h"
#include "peer/terminal/ctrl_c.h"
#include "peer/terminal/job_text.h"
#include "peer/terminal/progress_bar.h"
#include "peer/terminal/units.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REASON_BYTES 1024
#define LEFT_IDS_MAX 20 /* of those that go on */

#define TIMEOUT_MAX_S 31536000 /* a year */

/* One `get` while its events come in. */
struct session {
    const char *name; /* cleaned, for the bar */
    struct progress_bar bar;
    struct output *output; /* NULL: the shared folder */
    uint64_t id;           /* of the job; 0: not heard of yet */
    bool write_failed;
    int64_t wait_told;
    uint32_t attempt;
    P2p__Control__GetReply *last; /* the job's final state */
    char why[REASON_BYTES];       /* what it waits for; "": nothing that is known */

    int64_t timeout_ms;          /* 0: without a limit */
    _Atomic int64_t deadline_ms; /* so long after something has come last */
};

static void note_life(struct session *session)
{
    atomic_store(&session->deadline_ms, clock_boot_ms() + session->timeout_ms);
}

static bool is_overdue(const struct session *session)
{
    return session->timeout_ms > 0 && clock_boot_ms() >= atomic_load(&session->deadline_ms);
}

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

static void show_bar(struct session *session, const P2p__Control__Job *job)
{
    char clean[CLEAN_BYTES];
    const char *why = job_why(job);
    struct progress progress = {.name = session->name,
                                .bytes = job->bytes,
                                .total_bytes = job->total_bytes,
                                .bytes_per_second = job->bytes_per_second,
                                .sources = job->active_sources};

    get_tell_wait(job, &session->wait_told);
    session->why[0] = '\0';
    if (job->state != DOWNLOAD_RUNNING) {
        snprintf(session->why, sizeof session->why, "%s%s%s", job_state_text(job),
                 why[0] ? ": " : "", why);
        progress.state = command_clean(session->why, clean);
    }
    progress_bar_show(&session->bar, &progress);
}

static enum error_code take_reply(void *context, ProtobufCMessage **message, bool *stop,
                                  struct error *error)
{
    struct session *session = context;
    const P2p__Control__GetReply *reply = (const P2p__Control__GetReply *)*message;

    (void)stop;
    if (reply->data.len > 0 || (reply->job && get_moves(reply->job)))
        note_life(session);
    if (reply->data.len > 0)
        return session->output ? take_data(session, reply, error) : ERROR_NONE;
    if (!reply->job)
        return ERROR_NONE;
    const P2p__Control__Job *job = reply->job;
    session->id = job->id;
    if (download_state_is_final((enum download_state)job->state)) {
        session->last = (P2p__Control__GetReply *)take_pointer(message);
        return ERROR_NONE;
    }
    show_bar(session, job);
    return ERROR_NONE;
}

void get_request_fill(struct get_request *request, const struct command_context *context,
                      const char *name)
{
    const struct arguments *arguments = &context->arguments;
    enum download_priority priority;
    struct address address;

    p2p__control__get_request__init(&request->message);
    request->name = memory_copy_string(name);
    request->from = memory_copy_string(arguments->from ? arguments->from : "");
    request->message.name = request->name;
    request->message.stream = arguments->output != NULL;
    if (arguments->priority && download_priority_parse(arguments->priority, &priority))
        request->message.priority = priority; /* checked before */
    if (arguments->from && address_parse(arguments->from, false, &address, NULL) == ERROR_NONE) {
        request->message.addresses = &request->from;
        request->message.n_addresses = 1;
    } else {
        request->message.peer = request->from;
    }
}

void get_request_done(struct get_request *request)
{
    free(request->name);
    free(request->from);
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

enum exit_status get_print_done(const struct command_context *context, const P2p__Control__Job *job,
                                const char *path, const char *note)
{
    if (context->arguments.json)
        return print_json(job, path, note);
    printf("Archivo descargado: %s\n", path);
    if (!context->arguments.output && strcmp(job->stored_name, job->name) != 0)
        printf("Ya existía %s con otro contenido: se guardó como %s\n", job->name,
               job->stored_name);
    return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}

const char *get_totals_format(const struct get_totals *totals, char out[JOB_LINE_BYTES])
{
    char text[UNITS_TEXT_BYTES];

    int used = snprintf(out, JOB_LINE_BYTES, "%zu de %zu archivos", totals->done, totals->files);
    if (totals->failed > 0)
        used += snprintf(out + used, JOB_LINE_BYTES - (size_t)used, ", %zu %s", totals->failed,
                         totals->failed == 1 ? "fallido" : "fallidos");
    used += snprintf(out + used, JOB_LINE_BYTES - (size_t)used, ", %s",
                     units_bytes(totals->bytes, text));
    if (totals->bytes_per_second > 0)
        snprintf(out + used, JOB_LINE_BYTES - (size_t)used, ", %s/s",
                 units_bytes(totals->bytes_per_second, text));
    return out;
}

void get_tell_wait(const P2p__Control__Job *job, int64_t *told_held)
{
    const char *why = job_why(job);
    char name[CLEAN_BYTES];
    char clean[CLEAN_BYTES];
    bool rests = job->state == DOWNLOAD_WAITING || job->state == DOWNLOAD_PAUSED;

    if (!rests || *told_held == job->held_bytes + 1 || isatty(STDERR_FILENO))
        return;
    *told_held = job->held_bytes + 1;
    fprintf(stderr, "%s: %s%s%s\n", command_clean(job->name, name), job_state_text(job),
            why[0] ? ": " : "", command_clean(why, clean));
}

void get_print_left(const uint64_t *ids, size_t count)
{
    if (count == 0)
        return;
    fprintf(stderr, "%s en el peer. Para verlas: p2p-peer downloads. Para cancelar: ",
            count == 1 ? "La descarga sigue" : "Las descargas siguen");
    fputs("p2p-peer downloads cancel", stderr);
    for (size_t i = 0; i < count && i < LEFT_IDS_MAX; i++)
        fprintf(stderr, " %" PRIu64, ids[i]);
    fputs(count > LEFT_IDS_MAX ? " …\n" : "\n", stderr);
}

int64_t get_timeout_ms(const struct arguments *arguments)
{
    long long seconds = 0;

    if (arguments->timeout) /* checked before */
        (void)text_to_integer(arguments->timeout, 1, TIMEOUT_MAX_S, &seconds);
    return (int64_t)seconds * 1000;
}

bool get_moves(const P2p__Control__Job *job)
{
    return job->bytes_per_second > 0 || job_is_over(job);
}

enum exit_status get_print_timeout(const struct command_context *context, const char *why)
{
    struct error error;

    (void)error_set(&error, ERROR_TIMEOUT, "no llegó nada en %s s%s%s", context->arguments.timeout,
                    why[0] ? "; " : "", why);
    (void)command_fail(context, &error, "Error al descargar");
    return EXIT_TIMEOUT;
}

static enum exit_status print_result(const struct command_context *context,
                                     const struct session *session)
{
    const P2p__Control__Job *job = session->last->job;
    const char *path = session->output ? output_path(session->output) : job->path;

    return get_print_done(context, job, path, session->last->note);
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

/* What is said of an error; a reader of standard output that has seen enough wants to hear of
 * nothing. */
static enum exit_status print_error(const struct command_context *context,
                                    const struct session *session, const struct error *error)
{
    bool to_standard = session->output && strcmp(output_path(session->output), "-") == 0;

    if (session->write_failed && to_standard && error->code == ERROR_UNREACHABLE)
        return EXIT_FAILED;
    bool broken_off = error->code == ERROR_CANCELLED && !session->last;
    if (broken_off && ctrl_c_came()) {
        fputc('\n', stderr);
        get_print_left(&session->id, session->id > 0);
        return (enum exit_status)(EXIT_BY_SIGNAL + SIGINT);
    }
    if (broken_off && is_overdue(session)) {
        enum exit_status status = get_print_timeout(context, session->why);
        get_print_left(&session->id, session->id > 0 && !session->output);
        return status;
    }
    enum exit_status status = command_fail(context, error, "Error al descargar");
    return session->write_failed ? EXIT_FAILED : status;
}

static enum exit_status run(const struct command_context *context, struct control_client *client,
                            struct session *session)
{
    struct control_taker taker = {.take = take_reply, .context = session};
    struct get_request request;
    struct error error = {0};
    char clean[CLEAN_BYTES];
    bool to_standard = session->output && strcmp(output_path(session->output), "-") == 0;

    get_request_fill(&request, context, context->arguments.words[0]);
    enum error_code code = control_get(client, &request.message, &taker, &error);
    get_request_done(&request);
    progress_bar_clear(&session->bar);
    if (session->last && session->last->note[0] && !context->arguments.json)
        fprintf(stderr, "%s\n", command_clean(session->last->note, clean));
    if (code == ERROR_NONE)
        code = finish(session, &error);
    if (code != ERROR_NONE)
        return print_error(context, session, &error);
    return to_standard ? EXIT_DONE : print_result(context, session);
}

/* To the shared folder Ctrl-C, and a time that is over, leave the download alone; elsewhere both
 * end it. */
static enum exit_status run_watched(const struct command_context *context, struct session *session)
{
    struct interrupt *interrupt = interrupt_new();
    struct control_client *client =
        control_client_open(context->socket_path, context->start_hint, interrupt);

    if (!session->output)
        (void)ctrl_c_catch();
    note_life(session);
    struct ctrl_c_watch *watch =
        ctrl_c_watch_start(interrupt, session->timeout_ms > 0 ? &session->deadline_ms : NULL);
    enum exit_status status = run(context, client, session);
    ctrl_c_watch_stop(watch);
    control_client_close(client);
    interrupt_free(interrupt);
    return status;
}

static enum exit_status get_one(const struct command_context *context)
{
    const struct arguments *arguments = &context->arguments;
    struct session session = {.timeout_ms = get_timeout_ms(arguments)};
    char clean[CLEAN_BYTES];
    struct error error = {0};

    session.name = command_clean(arguments->words[0], clean);
    if (arguments->output && output_open(arguments->output, arguments->words[0], &session.output,
                                         &error) != ERROR_NONE) {
        (void)command_fail(context, &error, "Error al descargar");
        return EXIT_FAILED; /* a folder that does not exist is not "the file was not found" */
    }
    progress_bar_init(&session.bar);
    enum exit_status status = run_watched(context, &session);
    output_close(session.output);
    if (session.last)
        protobuf_c_message_free_unpacked(&session.last->base, NULL);
    return status;
}

bool get_is_folder(const char *name)
{
    size_t length = strlen(name);

    return length > 0 && name[length - 1] == '/';
}

bool get_is_pattern(const char *name)
{
    return strpbrk(name, "*?") != NULL || get_is_folder(name);
}

enum exit_status command_get(struct command_context *context)
{
    const struct arguments *arguments = &context->arguments;
    bool one = arguments->word_count == 1 && !get_is_pattern(arguments->words[0]);
    enum download_priority priority;
    long long seconds;
    const char *wrong = NULL;

    if (arguments->priority && !download_priority_parse(arguments->priority, &priority))
        wrong = "--priority is high, normal or low";
    else if (arguments->timeout && !text_to_integer(arguments->timeout, 1, TIMEOUT_MAX_S, &seconds))
        wrong = "--timeout is a number of seconds, at least 1";
    else if (arguments->json && arguments->output && strcmp(arguments->output, "-") == 0)
        wrong = "--json does not go with --output -";
    else if (arguments->output && arguments->word_count > 1)
        wrong = "--output goes with one name only";
    else if (arguments->output && get_is_folder(arguments->words[0]))
        wrong = "--output goes with one file only, not with a folder";
    else if (arguments->output && arguments->follow)
        wrong = "--output does not go with --follow";
    if (wrong) {
        fprintf(stderr, "p2p-peer get: %s\n", wrong);
        return EXIT_USAGE;
    }
    /* One name to one place is as it always was: with --json one object, and nothing before it. */
    return arguments->output || (one && !arguments->follow) ? get_one(context) : get_many(context);
}
