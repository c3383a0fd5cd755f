/* What is asked of a directory: who has a file, which files there are. */
#include "peer/network/directory_client.h"

#include "common/buffer.h"
#include "common/memory.h"
#include "peer/network/directory_client_private.h"
#include "peer/network/directory_replies.h"
#include "peer/network/directory_requests.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Borrowed until the next request. */
struct reply {
    const char *text;
    size_t length;
    long status; /* 0: there was none */
};

static enum error_code ask(struct directory_client *client, const struct directory_request *request,
                           struct reply *reply, struct error *error)
{
    reply->status = 0;
    enum error_code code = directory_exchange_run(client->exchange, request, &reply->status, error);
    reply->text = directory_exchange_reply(client->exchange, &reply->length);
    return code ? code : directory_exchange_error(client->exchange, reply->status, error);
}

enum error_code directory_search(struct directory_client *client, const struct file_name *name,
                                 bool partial, struct directory_sources *sources,
                                 struct error *error)
{
    auto_buffer url;
    struct reply reply;

    *sources = (struct directory_sources){0};
    buffer_init(&url, strlen(client->search_url) + 3 * sizeof name->text + 64);
    buffer_append_string(&url, client->search_url);
    buffer_append_string(&url, strchr(client->search_url, '?') ? "&filename=" : "?filename=");
    directory_encode(&url, name->text);
    if (partial)
        buffer_append_string(&url, "&partial=1");
    if (file_name_in_folder(name))
        buffer_append_string(&url, "&folders=1");
    /* What the reference does not know it ignores. */
    buffer_printf(&url, "&limit=%d", DIRECTORY_SOURCES_MAX);
    struct directory_request request = {.url = url.data};
    enum error_code code = ask(client, &request, &reply, error);
    if (!code)
        code = directory_parse_search(reply.text, reply.length, sources, error);
    directory_exchange_drop(client->exchange);
    return code;
}

/* ---- many names ---- */

/* A directory of before (405), and what may stand in a reference's way (404, 422). */
static bool is_unknown_question(long status)
{
    return status == 404 || status == 405 || status == 422;
}

enum error_code directory_search_many(struct directory_client *client,
                                      const struct file_name *const *names, size_t count,
                                      struct directory_sources *sources, struct error *error)
{
    auto_buffer url;
    auto_buffer body;
    struct reply reply;

    memset(sources, 0, count * sizeof *sources);
    buffer_init(&url, strlen(client->search_url) + 32);
    buffer_append_string(&url, client->search_url);
    buffer_init(&body, DIRECTORY_NAMES_BYTES);
    if (directory_append_names(&body, names, count))
        buffer_append_string(&url, strchr(client->search_url, '?') ? "&folders=1" : "?folders=1");
    struct directory_request request = {
        .url = url.data, .body = body.data, .body_bytes = body.length, .is_json = true};
    enum error_code code = ask(client, &request, &reply, error);
    if (is_unknown_question(reply.status))
        code = error_set(error, ERROR_UNSUPPORTED,
                         "El directorio no admite búsquedas de varios archivos");
    if (!code) {
        struct directory_answers answers = {.names = names, .count = count, .sources = sources};
        code = directory_parse_many(reply.text, reply.length, &answers, error);
    }
    directory_exchange_drop(client->exchange);
    return code;
}

/* ---- all files, and words ---- */

/* Of a page: the longest names of all fit DIRECTORY_REPLY_MAX_BYTES. */
#define PAGE_FILES 5000

static void append_words(struct buffer *url, const struct directory_words *words)
{
    buffer_printf(url, "?limit=%zu&folders=1&q=", words->limit);
    directory_encode(url, words->words);
    if (words->ending) {
        buffer_append_string(url, "&ext=");
        directory_encode(url, words->ending);
    }
    if (words->min_bytes >= 0)
        buffer_printf(url, "&min_size=%" PRId64, words->min_bytes);
    if (words->max_bytes >= 0)
        buffer_printf(url, "&max_size=%" PRId64, words->max_bytes);
    if (words->cursor) {
        buffer_append_string(url, "&cursor=");
        directory_encode(url, words->cursor);
    }
}

enum error_code directory_search_words(struct directory_client *client,
                                       const struct directory_words *words,
                                       struct directory_hits *hits, struct error *error)
{
    auto_buffer url;
    struct reply reply;

    *hits = (struct directory_hits){0};
    buffer_init(&url, (size_t)64 * 1024);
    directory_append_beside(client->search_url, "buscar", &url);
    append_words(&url, words);
    if (url.failed)
        return error_set(error, ERROR_TOO_LARGE, "La búsqueda es demasiado larga");
    struct directory_request request = {.url = url.data};
    enum error_code code = ask(client, &request, &reply, error);
    if (reply.status == 404 || reply.status == 405)
        code =
            error_set(error, ERROR_UNSUPPORTED, "El directorio no admite búsquedas por palabras");
    if (!code)
        code = directory_parse_hits(reply.text, reply.length, hits, error);
    directory_exchange_drop(client->exchange);
    return code;
}

void directory_hits_done(struct directory_hits *hits)
{
    for (size_t i = 0; i < hits->count; i++)
        directory_sources_done(&hits->items[i].sources);
    free(hits->items);
    free(hits->cursor);
    *hits = (struct directory_hits){0};
}

static enum error_code find_active(struct directory_client *client, struct directory_peers *peers,
                                   struct error *error)
{
    auto_buffer url;
    struct reply reply;

    buffer_init(&url, (size_t)64 * 1024);
    directory_append_beside(client->search_url, "peers_activos", &url);
    struct directory_request request = {.url = url.data};
    enum error_code code = ask(client, &request, &reply, error);
    if (!code)
        code = directory_parse_peers(reply.text, reply.length, peers, error);
    return code;
}

static enum error_code take_page(struct directory_client *client, const char *cursor,
                                 struct directory_files_page *page, struct error *error)
{
    auto_buffer url;
    struct reply reply;

    buffer_init(&url, (size_t)64 * 1024);
    directory_append_beside(client->search_url, "ver_archivos", &url);
    buffer_printf(&url, "?limit=%d%s", PAGE_FILES, page->taker->folders ? "&folders=1" : "");
    if (page->taker->content) {
        char id[CONTENT_ID_DIGITS + 1];
        buffer_printf(&url, "&content=%s", content_id_format(page->taker->content, id));
    }
    if (cursor) {
        buffer_append_string(&url, "&cursor=");
        directory_encode(&url, cursor);
    }
    struct directory_request request = {.url = url.data};
    enum error_code code = ask(client, &request, &reply, error);
    if (!code)
        code = directory_parse_files(reply.text, reply.length, page, error);
    if (!code && page->files > DIRECTORY_FILES_MAX)
        code = error_set(error, ERROR_TOO_LARGE, "El directorio tiene más de %d archivos",
                         DIRECTORY_FILES_MAX);
    return code;
}

enum error_code directory_files(struct directory_client *client,
                                const struct directory_files_taker *taker, struct error *error)
{
    struct directory_peers active = {0};
    auto_free char *cursor = NULL;
    struct directory_files_page page = {.taker = taker, .peers = &active};

    enum error_code code = find_active(client, &active, error);
    if (!code) {
        do {
            code = take_page(client, cursor, &page, error);
            free(cursor);
            cursor = take_pointer(&page.cursor);
        } while (!code && cursor && !page.enough);
    }
    directory_peers_done(&active);
    directory_exchange_drop(client->exchange);
    return code;
}

void directory_sources_done(struct directory_sources *sources)
{
    for (size_t i = 0; i < sources->count; i++) {
        free(sources->items[i].peer);
        free(sources->items[i].addresses);
    }
    free(sources->items);
    *sources = (struct directory_sources){0};
}
