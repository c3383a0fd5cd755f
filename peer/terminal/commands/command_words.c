/* search by words: files that have certain words in their names. */
#include "peer/terminal/commands/command_private.h"

#include "common/memory.h"
#include "common/text.h"
#include "peer/terminal/units.h"
#include "peer/terminal/word_hits.h"

#include <sys/ioctl.h>
#include <unistd.h>

#define LIMIT_DEFAULT  50
#define LINE_MAX_BYTES ((size_t)256 * 1024)
#define OUT_MAX_BYTES                                                           \
    ((size_t)64 * 1024 * 1024) /* CONTROL_WORDS_MAX lines of 511 bytes and more \
                                */
#define ANY_WIDTH ((size_t)1 << 20)

/* On a terminal the table fits the window; elsewhere nothing is cut. */
static size_t table_columns(void)
{
    struct winsize size;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return ANY_WIDTH;
    return size.ws_col;
}

/* The words with a blank between two; owned by the caller. */
static char *join_words(const struct arguments *arguments)
{
    struct buffer text;

    buffer_init(&text, LINE_MAX_BYTES);
    for (size_t i = 0; i < arguments->word_count; i++)
        buffer_printf(&text, "%s%s", i > 0 ? " " : "", arguments->words[i]);
    return buffer_take(&text);
}

static bool parse_size(const char *flag, const char *text, int *has, int64_t *bytes)
{
    char clean[CLEAN_BYTES];

    *has = text != NULL;
    if (!text || units_parse_bytes(text, bytes))
        return true;
    fprintf(stderr, "p2p-peer search: --%s: %s is no size such as 700k, 5M or 2GiB\n", flag,
            command_clean(text, clean));
    return false;
}

static bool parse_limit(const char *text, uint32_t *limit)
{
    long long value = LIMIT_DEFAULT;

    if (text && !text_to_integer(text, 1, CONTROL_WORDS_MAX, &value)) {
        fprintf(stderr, "p2p-peer search: --limit takes a number from 1 to %d\n",
                CONTROL_WORDS_MAX);
        return false;
    }
    *limit = (uint32_t)value;
    return true;
}

static enum exit_status print_json(const P2p__Control__WordHit *hit)
{
    struct json_writer json;
    auto_buffer out;

    buffer_init(&out, LINE_MAX_BYTES);
    json_writer_init(&json, &out);
    json_begin_object(&json, NULL);
    command_json_text(&json, "name", hit->name);
    if (hit->has_size)
        json_write_integer(&json, "size_bytes", hit->size_bytes);
    else
        json_write_null(&json, "size_bytes");
    if (hit->content[0])
        json_write_string(&json, "content", hit->content);
    else
        json_write_null(&json, "content");
    json_write_integer(&json, "peers", hit->peers);
    json_begin_array(&json, "sources");
    for (size_t i = 0; i < hit->n_sources; i++) {
        json_begin_object(&json, NULL);
        command_source_json(&json, hit->sources[i]);
        json_end_object(&json);
    }
    json_end_array(&json);
    if (hit->truncated)
        json_write_boolean(&json, "truncated", true);
    json_end_object(&json);
    return command_print(&out);
}

static enum exit_status print_hits(const struct command_context *context,
                                   const struct word_hits *hits)
{
    enum exit_status status = EXIT_DONE;
    auto_buffer out;

    if (context->arguments.json) {
        for (size_t i = 0; i < hits->count && status == EXIT_DONE; i++)
            status = print_json(hits->items[i]);
        return status;
    }
    buffer_init(&out, OUT_MAX_BYTES);
    word_hits_format(hits, table_columns(), &out);
    fwrite(out.data, 1, out.length, stdout);
    return fflush(stdout) == 0 && !out.failed ? EXIT_DONE : EXIT_FAILED;
}

static enum exit_status show(const struct command_context *context, const struct word_hits *hits,
                             const struct error *missing)
{
    char clean[CLEAN_BYTES];
    struct error error = {0};

    if (hits->note[0])
        fprintf(stderr, "%s\n", command_clean(hits->note, clean));
    if (hits->count == 0) {
        error_set(&error, ERROR_NOT_FOUND, "Ningún archivo tiene esas palabras en su nombre");
        return command_fail(context, missing ? missing : &error, "Error al buscar archivo");
    }
    if (missing)
        fprintf(stderr, "Ningún archivo se llama %s; por palabras:\n",
                command_clean(context->arguments.words[0], clean));
    enum exit_status status = print_hits(context, hits);
    if (hits->more)
        fprintf(stderr, "Hay más de %zu: --limit N muestra hasta N (%d como máximo)\n", hits->count,
                CONTROL_WORDS_MAX);
    return status;
}

enum exit_status command_words(struct command_context *context, const struct error *missing)
{
    const struct arguments *arguments = &context->arguments;
    P2p__Control__WordsRequest request = P2P__CONTROL__WORDS_REQUEST__INIT;
    auto_free char *words = join_words(arguments);
    auto_free char *ending = memory_copy_string(arguments->ext ? arguments->ext : "");
    struct error error = {0};
    struct word_hits hits;
    enum exit_status status;

    if (!parse_size("min-size", arguments->min_size, &request.has_min_size, &request.min_size) ||
        !parse_size("max-size", arguments->max_size, &request.has_max_size, &request.max_size) ||
        !parse_limit(arguments->limit, &request.limit))
        return EXIT_USAGE;
    request.words = words;
    request.ending = ending;
    word_hits_init(&hits);
    struct control_taker taker = {.take = word_hits_take, .context = &hits};
    if (control_words(context->client, &request, &taker, &error) == ERROR_NONE)
        status = show(context, &hits, missing);
    else
        status = command_fail(context, missing ? missing : &error, "Error al buscar archivo");
    word_hits_done(&hits);
    return status;
}
