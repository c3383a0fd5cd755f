#include "peer/terminal/commands/commands.h"

#include "common/memory.h"
#include "common/text.h"
#include "peer/settings.h"
#include "peer/terminal/commands/command_private.h"
#include "peer/terminal/commands/usage_text.h"

#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

struct command {
    const char *name;
    struct argument_shape shape;
    const char *usage;
    const char *summary;
    enum exit_status (*run)(struct command_context *context);
};

static const struct command commands[] = {
    {"search",
     {ARGUMENT_JSON | ARGUMENT_WORDS, 1, ARGUMENTS_WORDS_MAX},
     "NAME|WORD... [-WORD...] [--exact|--words] [--min-size SIZE] [--max-size SIZE] [--ext EXT] "
     "[--limit N]",
     "who has the file of that name, else files with the words in their names",
     command_search},
    {"get",
     {ARGUMENT_JSON | ARGUMENT_FROM | ARGUMENT_OUTPUT | ARGUMENT_FOLLOW | ARGUMENT_PRIORITY |
          ARGUMENT_TIMEOUT,
      1, ARGUMENTS_WORDS_MAX},
     "NAME... [--from PEER] [--output PATH|-] [--priority high|normal|low] [--timeout SECONDS] "
     "[--follow]",
     "fetch files into the shared folder; one also to a path or to standard output",
     command_get},
    {"downloads",
     {ARGUMENT_JSON | ARGUMENT_FOLLOW, 0, ARGUMENTS_WORDS_MAX},
     "[pause|resume|cancel ID...|all] [priority ID...|all high|normal|low] [--follow]",
     "list the downloads, or pause, resume, cancel some, or say how urgent they are",
     command_downloads},
    {"explain",
     {ARGUMENT_JSON, 1, 1},
     "ID",
     "what happened at each source of a download, what limits it",
     command_explain},
    {"put",
     {ARGUMENT_JSON, 2, 2},
     "FILE ADDRESS",
     "send a file (absolute, or of the shared folder) to a peer",
     command_put},
    {"list", {ARGUMENT_JSON, 0, 1}, "[ADDRESS]", "what a peer shares", command_list},
    {"verify",
     {ARGUMENT_JSON, 0, ARGUMENTS_WORDS_MAX},
     "[NAME...]",
     "read shared files and compare them with their hashes",
     command_verify},
    {"status", {ARGUMENT_JSON, 0, 0}, "", "how the daemon is", command_status},
    {"limit",
     {ARGUMENT_JSON | ARGUMENT_RATES, 0, 0},
     "[--upload RATE] [--download RATE] [--upload-per-peer RATE] [--download-per-peer RATE]",
     "show the limits of rate, and change them until the daemon ends",
     command_limit},
    {"menu", {0, 0, 0}, "", "the interactive menu", command_menu},
};

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < ARRAY_LENGTH(commands); i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

bool command_exists(const char *name)
{
    return find_command(name) != NULL;
}

void commands_describe(struct buffer *out)
{
    for (size_t i = 0; i < ARRAY_LENGTH(commands); i++) {
        auto_free char *usage = memory_format("%s %s", commands[i].name, commands[i].usage);
        usage_row(out, usage, commands[i].summary);
    }
}

static void print_usage(FILE *stream, const struct command *command, bool with_flags)
{
    auto_buffer text;

    buffer_init(&text, (size_t)64 * 1024);
    auto_free char *usage = memory_format("%s %s%s[--config FILE]%s", command->name, command->usage,
                                          command->usage[0] ? " " : "",
                                          command->shape.flags & ARGUMENT_JSON ? " [--json]" : "");
    buffer_append_string(&text, "usage: p2p-peer ");
    usage_wrap(&text, usage, strlen("usage: p2p-peer "), strlen("usage: "));
    if (with_flags) {
        buffer_append_char(&text, '\n');
        usage_wrap(&text, command->summary, 0, 0);
        buffer_append_char(&text, '\n');
        arguments_describe(&command->shape, &text);
    }
    fputs(text.data, stream);
}

/* ---- what all commands print ---- */

static enum exit_status status_of(enum error_code code)
{
    switch (code) {
    case ERROR_NONE:
        return EXIT_DONE;
    case ERROR_NOT_FOUND:
        return EXIT_NOT_FOUND;
    case ERROR_UNREACHABLE:
    case ERROR_TIMEOUT:
        return EXIT_UNREACHABLE;
    default:
        return EXIT_FAILED;
    }
}

const char *command_clean(const char *text, char out[CLEAN_BYTES])
{
    return text_clean(text, out, CLEAN_BYTES);
}

void command_json_text(struct json_writer *json, const char *key, const char *text)
{
    char clean[CLEAN_BYTES];

    if (text_has_control(text, strlen(text)))
        text = command_clean(text, clean);
    json_write_string(json, key, text);
}

enum exit_status command_print(const struct buffer *out)
{
    if (out->failed)
        return EXIT_FAILED;
    fwrite(out->data, 1, out->length, stdout);
    fputc('\n', stdout);
    return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}

enum exit_status command_fail(const struct command_context *context, const struct error *error,
                              const char *what)
{
    char clean[CLEAN_BYTES];

    fprintf(stderr, "%s: %s\n", what, command_clean(error->text, clean));
    if (context->arguments.json) {
        auto_buffer out;
        struct json_writer json;
        buffer_init(&out, (size_t)16 * 1024);
        json_writer_init(&json, &out);
        json_begin_object(&json, NULL);
        json_begin_object(&json, "error");
        json_write_string(&json, "code", error_code_name(error->code));
        command_json_text(&json, "text", error->text);
        json_end_object(&json);
        json_end_object(&json);
        (void)command_print(&out);
    }
    return status_of(error->code);
}

static void print_one_error(const char *name, uint64_t id, const struct error *error)
{
    struct json_writer json;
    auto_buffer out;

    buffer_init(&out, (size_t)64 * 1024);
    json_writer_init(&json, &out);
    json_begin_object(&json, NULL);
    if (name)
        command_json_text(&json, "name", name);
    else
        json_write_integer(&json, "id", (int64_t)id);
    json_begin_object(&json, "error");
    json_write_string(&json, "code", error_code_name(error->code));
    command_json_text(&json, "text", error->text);
    json_end_object(&json);
    json_end_object(&json);
    (void)command_print(&out);
}

enum exit_status command_fail_one(const struct command_context *context, const char *name,
                                  uint64_t id, const struct error *error)
{
    char clean[CLEAN_BYTES];
    char text[CLEAN_BYTES];

    if (name)
        fprintf(stderr, "%s: %s\n", command_clean(name, clean), command_clean(error->text, text));
    else
        fprintf(stderr, "%s\n", command_clean(error->text, text));
    if (context->arguments.json)
        print_one_error(name, id, error);
    return status_of(error->code);
}

/* ---- running ---- */

/* Without a UTF-8 locale (a bare container has none set) accents could not be edited. */
static void set_locale(void)
{
    const char *type = setlocale(LC_CTYPE, "");

    if (!type || MB_CUR_MAX < 2)
        (void)setlocale(LC_CTYPE, "C.UTF-8");
}

static void find_daemon(struct command_context *context, const struct settings *settings)
{
    const char *config = context->arguments.config;

    context->socket_path = memory_copy_string(settings->control_socket);
    context->start_hint = config ? memory_format("p2p-peer run --config %s", config)
                                 : memory_copy_string("p2p-peer run");
}

static enum exit_status run_command(const struct command *command, struct command_context *context)
{
    if (command->run == command_menu) /* it opens clients of its own, for its threads */
        return command_menu(context);
    context->client = control_client_open(context->socket_path, context->start_hint, NULL);
    enum exit_status status = command->run(context);
    control_client_close(context->client);
    return status;
}

int command_main(int argc, char **argv)
{
    const struct command *command = find_command(argv[0]);
    struct command_context context = {0};
    struct settings settings;
    struct error error = {0};

    if (arguments_parse(&command->shape, argc, argv, &context.arguments, &error) != ERROR_NONE) {
        fprintf(stderr, "p2p-peer %s: %s\n", command->name, error.text);
        print_usage(stderr, command, false);
        return EXIT_USAGE;
    }
    if (context.arguments.help) {
        print_usage(stdout, command, true);
        return EXIT_DONE;
    }
    if (settings_load(context.arguments.config, NULL, &settings, &error) != ERROR_NONE) {
        fprintf(stderr, "p2p-peer %s: %s\n", command->name, error.text);
        return EXIT_USAGE;
    }
    (void)signal(SIGPIPE, SIG_IGN); /* a reader that has gone is an error of write */
    set_locale();
    find_daemon(&context, &settings);
    settings_done(&settings);
    enum exit_status status = run_command(command, &context);
    free(context.socket_path);
    free(context.start_hint);
    return status;
}
