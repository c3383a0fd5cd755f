#include "peer/terminal/commands/command_private.h"

#include "common/clock.h"
#include "common/memory.h"
#include "peer/downloads/rate.h"
#include "peer/terminal/progress_bar.h"

#include <inttypes.h>
#include <stdlib.h>

#define JSON_MAX_BYTES ((size_t)256 * 1024 * 1024) /* some hundred thousand files */

#define PIECES_SHOWN 10 /* of one file; --json has more */

/* One `verify` while its replies come in. */
struct session {
    bool as_json;
    struct json_writer json;
    struct progress_bar bar;
    struct rate rate;
    bool done;
    bool damaged, failed, missing; /* some file is */
};

static void file_json(struct json_writer *json, const P2p__Control__VerifiedFile *file)
{
    static const char *const states[] = {"ok", "damaged", "unknown", "failed"};
    bool is_known = (size_t)file->state < ARRAY_LENGTH(states);

    json_begin_object(json, NULL);
    command_json_text(json, "name", file->name);
    json_write_string(json, "state", states[is_known ? file->state : 3]);
    if (file->content[0]) {
        json_write_integer(json, "size_bytes", file->size_bytes);
        json_write_string(json, "content", file->content);
        json_write_integer(json, "pieces", file->pieces);
        json_write_integer(json, "bad_count", file->bad_count);
        json_begin_array(json, "bad");
        for (size_t i = 0; i < file->n_bad; i++)
            json_write_integer(json, NULL, file->bad[i]);
        json_end_array(json);
    }
    if (file->failure) {
        json_begin_object(json, "error");
        json_write_string(json, "code", error_code_name((enum error_code)file->failure->code));
        command_json_text(json, "text", file->failure->text);
        json_end_object(json);
    }
    json_end_object(json);
}

static void print_file(const P2p__Control__VerifiedFile *file)
{
    char name[CLEAN_BYTES];
    char reason[CLEAN_BYTES];

    command_clean(file->name, name);
    command_clean(file->failure ? file->failure->text : "", reason);
    switch (file->state) {
    case P2P__CONTROL__VERIFIED_FILE__STATE__GOOD:
        printf("bien    %s\n", name);
        return;
    case P2P__CONTROL__VERIFIED_FILE__STATE__DAMAGED:
        printf("dañado  %s: %" PRId64 " de %" PRId64 " piezas:", name, file->bad_count,
               file->pieces);
        for (size_t i = 0; i < file->n_bad && i < PIECES_SHOWN; i++)
            printf(" %" PRIu32, file->bad[i]);
        puts(file->bad_count > PIECES_SHOWN ? " ..." : "");
        return;
    case P2P__CONTROL__VERIFIED_FILE__STATE__UNKNOWN:
        printf("-       %s: %s\n", name, reason);
        return;
    default:
        printf("error   %s: %s\n", name, reason);
        return;
    }
}

static void take_file(struct session *session, const P2p__Control__VerifiedFile *file)
{
    session->damaged |= file->state == P2P__CONTROL__VERIFIED_FILE__STATE__DAMAGED;
    if (file->state == P2P__CONTROL__VERIFIED_FILE__STATE__FAILED) {
        bool missing = file->failure && file->failure->code == ERROR_NOT_FOUND;
        session->missing |= missing;
        session->failed |= !missing;
    }
    if (session->as_json) {
        file_json(&session->json, file);
        return;
    }
    progress_bar_clear(&session->bar);
    print_file(file);
    fflush(stdout); /* each file may have taken minutes */
}

static enum error_code take_reply(void *context, ProtobufCMessage **message, bool *stop,
                                  struct error *error)
{
    struct session *session = context;
    const P2p__Control__VerifyReply *reply = (const P2p__Control__VerifyReply *)*message;
    char clean[CLEAN_BYTES];

    (void)stop;
    (void)error;
    session->done = reply->done;
    if (reply->file) {
        take_file(session, reply->file);
        return ERROR_NONE;
    }
    if (reply->done)
        return ERROR_NONE;
    struct progress progress = {
        .name = command_clean(reply->name, clean),
        .bytes = reply->bytes,
        .total_bytes = reply->total_bytes,
        .bytes_per_second = rate_add(&session->rate, clock_boot_ms(), reply->bytes),
    };
    progress_bar_show(&session->bar, &progress);
    return ERROR_NONE;
}

static enum exit_status status_of(const struct session *session)
{
    if (session->damaged || session->failed)
        return EXIT_FAILED;
    return session->missing ? EXIT_NOT_FOUND : EXIT_DONE;
}

/* The words as the message wants them: pointers to what may be written. */
static char **copy_words(const struct arguments *arguments)
{
    char **names = memory_new(arguments->word_count + 1, sizeof *names);

    for (size_t i = 0; i < arguments->word_count; i++)
        names[i] = memory_copy_string(arguments->words[i]);
    return names;
}

static enum error_code ask(struct command_context *context, struct session *session,
                           struct error *error)
{
    P2p__Control__VerifyRequest request = P2P__CONTROL__VERIFY_REQUEST__INIT;
    struct control_taker taker = {.take = take_reply, .context = session};

    request.n_names = context->arguments.word_count;
    request.names = copy_words(&context->arguments);
    enum error_code code = control_verify(context->client, &request, &taker, error);
    for (size_t i = 0; i < request.n_names; i++)
        free(request.names[i]);
    free(request.names);
    progress_bar_clear(&session->bar);
    if (!code && !session->done)
        code = error_set(error, ERROR_UNREACHABLE, "El peer local no dijo cómo terminó");
    return code;
}

enum exit_status command_verify(struct command_context *context)
{
    struct session session = {.as_json = context->arguments.json};
    struct error error = {0};
    auto_buffer out;

    buffer_init(&out, JSON_MAX_BYTES);
    json_writer_init(&session.json, &out);
    json_begin_object(&session.json, NULL);
    json_begin_array(&session.json, "files");
    progress_bar_init(&session.bar);
    rate_init(&session.rate, clock_boot_ms(), 0);
    if (ask(context, &session, &error))
        return command_fail(context, &error, "Error al comprobar archivos");
    json_end_array(&session.json);
    json_end_object(&session.json);
    if (session.as_json && command_print(&out) != EXIT_DONE)
        return EXIT_FAILED;
    return fflush(stdout) == 0 ? status_of(&session) : EXIT_FAILED;
}
