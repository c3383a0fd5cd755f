#include "peer/terminal/commands/command_private.h"

#include "common/address.h"
#include "common/clock.h"
#include "common/memory.h"
#include "peer/downloads/rate.h"
#include "peer/terminal/progress_bar.h"

/* One `put` while its events come in. */
struct session {
    const char *name; /* cleaned, for the bar */
    struct progress_bar bar;
    struct rate rate;
    P2p__Control__PutReply *last;
};

static enum error_code take_reply(void *context, ProtobufCMessage **message, bool *stop,
                                  struct error *error)
{
    struct session *session = context;
    const P2p__Control__PutReply *reply = (const P2p__Control__PutReply *)*message;

    (void)stop;
    (void)error;
    if (reply->done) {
        session->last = (P2p__Control__PutReply *)take_pointer(message);
        return ERROR_NONE;
    }
    struct progress progress = {
        .name = session->name,
        .bytes = reply->bytes,
        .total_bytes = reply->total_bytes,
        .bytes_per_second = rate_add(&session->rate, clock_boot_ms(), reply->bytes),
    };
    progress_bar_show(&session->bar, &progress);
    return ERROR_NONE;
}

static enum exit_status print_json(const struct command_context *context,
                                   const P2p__Control__PutReply *reply)
{
    auto_buffer out;
    struct json_writer json;

    buffer_init(&out, (size_t)64 * 1024);
    json_writer_init(&json, &out);
    json_begin_object(&json, NULL);
    json_write_string(&json, "address", context->arguments.words[1]);
    json_write_boolean(&json, "ok", reply->ok);
    command_json_text(&json, "message", reply->message);
    json_write_integer(&json, "bytes", reply->bytes);
    json_end_object(&json);
    return command_print(&out);
}

static enum exit_status print_result(const struct command_context *context,
                                     const P2p__Control__PutReply *reply)
{
    char clean[CLEAN_BYTES];
    enum exit_status status = EXIT_DONE;

    if (context->arguments.json)
        status = print_json(context, reply);
    else
        fprintf(reply->ok ? stdout : stderr, "Resultado de subida: %s\n",
                command_clean(reply->message, clean));
    if (fflush(stdout) != 0)
        status = EXIT_FAILED;
    return reply->ok ? status : EXIT_FAILED;
}

enum exit_status command_put(struct command_context *context)
{
    const struct arguments *arguments = &context->arguments;
    struct session session = {0};
    struct control_taker taker = {.take = take_reply, .context = &session};
    struct address address;
    struct error error = {0};
    char clean[CLEAN_BYTES];

    if (address_parse(arguments->words[1], false, &address, &error) != ERROR_NONE) {
        fprintf(stderr, "p2p-peer put: %s\n", command_clean(error.text, clean));
        return EXIT_USAGE;
    }
    session.name = command_clean(arguments->words[0], clean);
    progress_bar_init(&session.bar);
    rate_init(&session.rate, clock_boot_ms(), 0);
    enum error_code code =
        control_put(context->client, arguments->words[0], arguments->words[1], &taker, &error);
    progress_bar_clear(&session.bar);
    auto_reply ProtobufCMessage *last = session.last ? &session.last->base : NULL;
    if (code == ERROR_NONE && !last)
        code = error_set(&error, ERROR_UNREACHABLE, "El peer local no dijo cómo terminó");
    if (code == ERROR_NONE)
        code = control_failure_error(session.last->failure, &error);
    if (code != ERROR_NONE)
        return command_fail(context, &error, "Error al subir archivo");
    return print_result(context, session.last);
}
