/* search and list: commands that only ask. */
#include "peer/terminal/commands/command_private.h"

#include "common/address.h"
#include "common/memory.h"
#include "common/text.h"
#include "peer/locate/located.h"
#include "peer/terminal/units.h"

#include <string.h>

#define CONTENT_SHOWN_DIGITS 12

#define JSON_MAX_BYTES ((size_t)256 * 1024 * 1024) /* a list of some million names */

static void content_json(struct json_writer *json, const char *content)
{
    if (content[0])
        json_write_string(json, "content", content);
    else
        json_write_null(json, "content");
}

/* ---- search ---- */

/* How many contents go by this name, as far as they are known. */
static size_t count_contents(const P2p__Control__SearchReply *reply)
{
    size_t count = 0;

    for (size_t i = 0; i < reply->n_sources; i++) {
        bool is_new = reply->sources[i]->content[0] != '\0';
        for (size_t k = 0; k < i && is_new; k++)
            is_new = strcmp(reply->sources[k]->content, reply->sources[i]->content) != 0;
        count += is_new;
    }
    return count;
}

/* Sources of the same content stand together, in the order of each one's first; those without an id
 * are last. Who is placed swaps into its place, the rest moves down: the order within stays. */
static void group_sources(P2p__Control__SearchReply *reply)
{
    size_t placed = 0;

    while (placed < reply->n_sources) {
        size_t lead = placed;
        while (lead < reply->n_sources && !reply->sources[lead]->content[0])
            lead++;
        if (lead == reply->n_sources)
            return;
        const char *content = reply->sources[lead]->content;
        for (size_t i = lead; i < reply->n_sources; i++) {
            P2p__Control__Source *source = reply->sources[i];
            if (strcmp(source->content, content) != 0)
                continue;
            memmove(&reply->sources[placed + 1], &reply->sources[placed],
                    (i - placed) * sizeof *reply->sources);
            reply->sources[placed++] = source;
        }
    }
}

static void warn(const P2p__Control__SearchReply *reply)
{
    char clean[CLEAN_BYTES];
    size_t count = count_contents(reply);

    if (reply->note[0])
        fprintf(stderr, "%s\n", command_clean(reply->note, clean));
    if (count > 1)
        fprintf(stderr, "Atención: hay %zu contenidos distintos con el nombre %s\n", count,
                command_clean(reply->name, clean));
}

/* Only where no directory tells: programs that know nothing of it see what they always saw. */
static void origin_json(struct json_writer *json, const P2p__Control__Source *source)
{
    if (source->via[0])
        json_write_string(json, "via", source->via);
    else
        json_write_null(json, "via");
    json_write_integer(json, "age_ms", source->age_ms);
}

void command_source_json(struct json_writer *json, const P2p__Control__Source *source)
{
    command_json_text(json, "peer", source->peer);
    json_begin_array(json, "addresses");
    for (size_t a = 0; a < source->n_addresses; a++)
        json_write_string(json, NULL, source->addresses[a]);
    json_end_array(json);
}

static void search_json(const P2p__Control__SearchReply *reply, struct buffer *out)
{
    struct json_writer json;

    json_writer_init(&json, out);
    json_begin_object(&json, NULL);
    json_write_string(&json, "name", reply->name);
    json_begin_array(&json, "sources");
    for (size_t i = 0; i < reply->n_sources; i++) {
        json_begin_object(&json, NULL);
        command_source_json(&json, reply->sources[i]);
        if (reply->sources[i]->has_size)
            json_write_integer(&json, "size_bytes", reply->sources[i]->size_bytes);
        else
            json_write_null(&json, "size_bytes");
        content_json(&json, reply->sources[i]->content);
        if (reply->sources[i]->not_told)
            origin_json(&json, reply->sources[i]);
        json_end_object(&json);
    }
    json_end_array(&json);
    if (reply->note[0])
        command_json_text(&json, "note", reply->note);
    json_end_object(&json);
}

static void search_print(const P2p__Control__SearchReply *reply)
{
    char clean[CLEAN_BYTES];
    char size[UNITS_TEXT_BYTES];
    char age[LOCATED_AGE_BYTES];
    size_t widest = 0;

    for (size_t i = 0; i < reply->n_sources; i++) {
        size_t columns = text_columns(command_clean(reply->sources[i]->peer, clean));
        widest = columns > widest ? columns : widest;
    }
    for (size_t i = 0; i < reply->n_sources; i++) {
        const P2p__Control__Source *source = reply->sources[i];
        command_clean(source->peer, clean);
        printf("%s%*s", clean, (int)(widest - text_columns(clean)), "");
        for (size_t a = 0; a < source->n_addresses; a++)
            printf("  %s", source->addresses[a]);
        if (source->n_addresses == 0)
            fputs("  (sin dirección conocida)", stdout);
        if (source->has_size)
            printf("  %s", units_bytes(source->size_bytes, size));
        if (source->content[0])
            printf("  %.*s", CONTENT_SHOWN_DIGITS, source->content);
        if (source->not_told)
            printf("  según %s %s", source->via[0] ? source->via : "lo recordado",
                   located_age(source->age_ms, age));
        putchar('\n');
    }
}

static bool has_filters(const struct arguments *arguments)
{
    return arguments->min_size || arguments->max_size || arguments->ext || arguments->limit;
}

/* One word may be a name, which goes first: that is what a search was before there were words. */
static bool may_be_name(const struct arguments *arguments)
{
    const char *word = arguments->words[0];
    bool excludes = word[0] == '-' && word[1] != '\0';

    return arguments->exact || (arguments->word_count == 1 && !arguments->by_words &&
                                !has_filters(arguments) && !excludes);
}

enum exit_status command_search(struct command_context *context)
{
    const struct arguments *arguments = &context->arguments;
    auto_reply P2p__Control__SearchReply *reply = NULL;
    struct error error = {0};
    auto_buffer out;

    buffer_init(&out, JSON_MAX_BYTES);
    if (arguments->exact &&
        (arguments->by_words || arguments->word_count > 1 || has_filters(arguments))) {
        fputs("p2p-peer search: --exact takes one name and nothing else\n", stderr);
        return EXIT_USAGE;
    }
    if (!may_be_name(arguments))
        return command_words(context, NULL);
    enum error_code code = control_search(context->client, arguments->words[0], &reply, &error);
    if (code == ERROR_NONE && reply->n_sources == 0)
        code = error_set(&error, ERROR_NOT_FOUND,
                         "Archivo '%s' no está disponible en ningún peer activo", reply->name);
    if (code == ERROR_NOT_FOUND && !arguments->exact)
        return command_words(context, &error);
    if (code != ERROR_NONE)
        return command_fail(context, &error, "Error al buscar archivo");
    group_sources(reply);
    warn(reply);
    if (context->arguments.json) {
        search_json(reply, &out);
        return command_print(&out);
    }
    search_print(reply);
    return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}

/* ---- list ---- */

struct listing {
    bool as_json;
    struct json_writer json;
    size_t count;
};

static enum error_code take_files(void *context, ProtobufCMessage **message, bool *stop,
                                  struct error *error)
{
    struct listing *listing = context;
    const P2p__Control__ListReply *reply = (const P2p__Control__ListReply *)*message;
    char clean[CLEAN_BYTES];
    char size[UNITS_TEXT_BYTES];

    (void)stop;
    (void)error;
    listing->count += reply->n_files;
    for (size_t i = 0; i < reply->n_files; i++) {
        const P2p__Control__ListedFile *file = reply->files[i];
        if (listing->as_json) {
            json_begin_object(&listing->json, NULL);
            command_json_text(&listing->json, "name", file->name);
            json_write_integer(&listing->json, "size_bytes", file->size_bytes);
            content_json(&listing->json, file->content);
            json_end_object(&listing->json);
        } else {
            printf("%10s  %-*.*s  %s\n", units_bytes(file->size_bytes, size), CONTENT_SHOWN_DIGITS,
                   CONTENT_SHOWN_DIGITS, file->content[0] ? file->content : "-",
                   command_clean(file->name, clean));
        }
    }
    return ERROR_NONE;
}

enum exit_status command_list(struct command_context *context)
{
    const struct arguments *arguments = &context->arguments;
    const char *address_text = arguments->word_count > 0 ? arguments->words[0] : "";
    struct listing listing = {.as_json = arguments->json};
    struct control_taker taker = {.take = take_files, .context = &listing};
    struct address address;
    struct error error = {0};
    char clean[CLEAN_BYTES];
    auto_buffer out;

    buffer_init(&out, JSON_MAX_BYTES);
    if (address_text[0] && address_parse(address_text, false, &address, &error) != ERROR_NONE) {
        fprintf(stderr, "p2p-peer list: %s\n", command_clean(error.text, clean));
        return EXIT_USAGE;
    }
    json_writer_init(&listing.json, &out);
    json_begin_object(&listing.json, NULL);
    if (address_text[0])
        json_write_string(&listing.json, "address", address_text);
    else
        json_write_null(&listing.json, "address");
    json_begin_array(&listing.json, "files");
    if (control_list(context->client, address_text, &taker, &error) != ERROR_NONE)
        return command_fail(context, &error, "Error al listar archivos");
    json_end_array(&listing.json);
    json_end_object(&listing.json);
    if (listing.as_json)
        return command_print(&out);
    if (listing.count == 0)
        puts(address_text[0] ? "Sin archivos remotos." : "Sin archivos compartidos.");
    return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}
