#include "peer/network/directory_replies.h"

#include "common/json.h"
#include "common/memory.h"
#include "common/text.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPIRY_MAX_S (7 * 24 * 3600) /* beyond it nobody means "is alive" */

static enum error_code corrupt(struct error *error)
{
    return error_set(error, ERROR_CORRUPT, "La respuesta del directorio no se entiende");
}

static const struct json *find_seconds(const struct json *root, const char *key, int64_t *value)
{
    const struct json *item = json_find(root, key);

    return json_integer(item, value) && *value >= 1 && *value <= EXPIRY_MAX_S ? item : NULL;
}

static void take_host(const struct json *item, char host[DIRECTORY_HOST_BYTES])
{
    const char *text = json_string(item);
    struct in6_addr address;

    if (text && strlen(text) < DIRECTORY_HOST_BYTES &&
        (inet_pton(AF_INET, text, &address) == 1 || inet_pton(AF_INET6, text, &address) == 1))
        snprintf(host, DIRECTORY_HOST_BYTES, "%s", text);
}

enum error_code directory_parse_login(const char *text, size_t length,
                                      struct directory_session *session, struct error *error)
{
    auto_json *root = NULL;
    int64_t seconds;

    *session = (struct directory_session){.expiry_ms = DIRECTORY_EXPIRY_MS,
                                          .heartbeat_ms = DIRECTORY_EXPIRY_MS / 3};
    if (json_parse(text, length, &root, NULL) || !json_is_object(root))
        return corrupt(error);
    const char *status = json_string(json_find(root, "status"));
    if (!status || strcmp(status, "OK") != 0)
        return corrupt(error);
    const char *token = json_string(json_find(root, "token"));
    if (token && strlen(token) < sizeof session->token)
        snprintf(session->token, sizeof session->token, "%s", token);
    if (find_seconds(root, "expiry_s", &seconds)) {
        session->tells_expiry = true;
        session->expiry_ms = seconds * 1000;
        session->heartbeat_ms = session->expiry_ms / 3;
    }
    if (!json_boolean(json_find(root, "folders"), &session->knows_folders))
        session->knows_folders = false;
    session->says_index = json_boolean(json_find(root, "index_needed"), &session->index_needed);
    if (find_seconds(root, "heartbeat_s", &seconds) && seconds * 1000 < session->expiry_ms)
        session->heartbeat_ms = seconds * 1000;
    take_host(json_find(root, "other_address"), session->other_address);
    return ERROR_NONE;
}

static void add_addresses(const struct json *urls, struct directory_source *source)
{
    for (const struct json *item = json_is_array(urls) ? json_first(urls) : NULL;
         item && source->address_count < DIRECTORY_ADDRESSES_MAX; item = json_next(item)) {
        const char *text = json_string(item);
        struct address address;
        if (!text || address_parse(text, false, &address, NULL) || address_is_wildcard(&address))
            continue;
        source->addresses =
            memory_resize(source->addresses, source->address_count + 1, sizeof *source->addresses);
        source->addresses[source->address_count++] = address;
    }
}

/* What was told of the file; nonsense counts as nothing. */
static void add_content(const struct json *item, struct directory_source *source)
{
    const char *content = json_string(json_find(item, "content"));

    if (!json_integer(json_find(item, "size"), &source->size_bytes) || source->size_bytes < 0)
        source->size_bytes = -1;
    source->has_content = content && content_id_parse(content, &source->content);
    if (!json_boolean(json_find(item, "partial"), &source->partial))
        source->partial = false;
}

bool directory_parse_source(const struct json *item, struct directory_source *source)
{
    const char *peer = json_string(json_find(item, "peer"));

    *source = (struct directory_source){0};
    if (!peer || !*peer)
        return false;
    source->peer = memory_copy_string(peer);
    add_addresses(json_find(item, "url"), source);
    add_content(item, source);
    return true;
}

static void add_sources(const struct json *list, struct directory_sources *sources)
{
    size_t count = json_count(list);

    if (count > DIRECTORY_SOURCES_MAX)
        count = DIRECTORY_SOURCES_MAX;
    sources->items = memory_new(count, sizeof *sources->items);
    for (const struct json *item = json_first(list); item && sources->count < count;
         item = json_next(item))
        sources->count += directory_parse_source(item, &sources->items[sources->count]);
    if (sources->count == 0)
        directory_sources_done(sources);
}

enum error_code directory_parse_search(const char *text, size_t length,
                                       struct directory_sources *sources, struct error *error)
{
    auto_json *root = NULL;

    *sources = (struct directory_sources){0};
    if (json_parse(text, length, &root, NULL))
        return corrupt(error);
    const struct json *list = json_find(root, "disponible_en");
    if (!json_is_array(list))
        return corrupt(error);
    add_sources(list, sources);
    return ERROR_NONE;
}

/* ---- many names ---- */

/* Where a name stands that was asked for. */
struct asked {
    const char *name;
    size_t number;
};

static int compare_asked(const void *left, const void *right)
{
    return strcmp(((const struct asked *)left)->name, ((const struct asked *)right)->name);
}

/* The first of those with that name; count: none. */
static size_t find_asked(const struct asked *asked, size_t count, const char *name)
{
    size_t low = 0;
    size_t high = count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(asked[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void take_answer(const struct directory_answers *answers, const struct asked *asked,
                        const struct json *item)
{
    const char *name = json_string(json_find(item, "archivo"));
    const struct json *list = json_find(item, "disponible_en");

    if (!name || !json_is_array(list))
        return;
    for (size_t i = find_asked(asked, answers->count, name);
         i < answers->count && strcmp(asked[i].name, name) == 0; i++) {
        struct directory_sources *sources = &answers->sources[asked[i].number];
        if (sources->count == 0) /* a name is answered once */
            add_sources(list, sources);
    }
}

enum error_code directory_parse_many(const char *text, size_t length,
                                     const struct directory_answers *answers, struct error *error)
{
    auto_json *root = NULL;

    if (json_parse(text, length, &root, NULL))
        return corrupt(error);
    const struct json *list = json_find(root, "archivos");
    if (!json_is_array(list))
        return corrupt(error);
    auto_free struct asked *asked = memory_new(answers->count, sizeof *asked);
    for (size_t i = 0; i < answers->count; i++)
        asked[i] = (struct asked){.name = answers->names[i]->text, .number = i};
    qsort(asked, answers->count, sizeof *asked, compare_asked);
    for (const struct json *item = json_first(list); item; item = json_next(item))
        take_answer(answers, asked, item);
    return ERROR_NONE;
}

/* ---- words ---- */

/* False: it is no hit, and *hit is empty. */
static bool parse_hit(const struct json *item, struct directory_hit *hit)
{
    const char *name = json_string(json_find(item, "archivo"));
    const char *content = json_string(json_find(item, "content"));
    const struct json *list = json_find(item, "disponible_en");

    *hit = (struct directory_hit){0};
    if (!name || !json_is_array(list) ||
        file_name_parse_path(name, strlen(name), &hit->name, NULL) != ERROR_NONE)
        return false;
    if (!json_integer(json_find(item, "size"), &hit->size_bytes) || hit->size_bytes < 0)
        hit->size_bytes = -1;
    hit->has_content = content && content_id_parse(content, &hit->content);
    hit->sources.items = memory_new(DIRECTORY_HIT_SOURCES, sizeof *hit->sources.items);
    for (const struct json *one = json_first(list);
         one && hit->sources.count < DIRECTORY_HIT_SOURCES; one = json_next(one))
        hit->sources.count += directory_parse_source(one, &hit->sources.items[hit->sources.count]);
    if (!json_integer(json_find(item, "peers"), &hit->peers) ||
        hit->peers < (int64_t)hit->sources.count)
        hit->peers = (int64_t)hit->sources.count;
    if (!json_boolean(json_find(item, "truncated"), &hit->truncated))
        hit->truncated = false;
    return true;
}

enum error_code directory_parse_hits(const char *text, size_t length, struct directory_hits *hits,
                                     struct error *error)
{
    auto_json *root = NULL;

    *hits = (struct directory_hits){0};
    if (json_parse(text, length, &root, NULL))
        return corrupt(error);
    const struct json *list = json_find(root, "archivos");
    if (!json_is_array(list))
        return corrupt(error);
    hits->items = memory_new(DIRECTORY_WORDS_PAGE, sizeof *hits->items);
    for (const struct json *item = json_first(list); item && hits->count < DIRECTORY_WORDS_PAGE;
         item = json_next(item))
        hits->count += parse_hit(item, &hits->items[hits->count]);
    const char *cursor = json_string(json_find(root, "cursor"));
    if (cursor && *cursor)
        hits->cursor = memory_copy_string(cursor);
    return ERROR_NONE;
}

/* ---- peers and files ---- */

static int compare_names(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

enum error_code directory_parse_peers(const char *text, size_t length,
                                      struct directory_peers *peers, struct error *error)
{
    auto_json *root = NULL;

    *peers = (struct directory_peers){0};
    if (json_parse(text, length, &root, NULL))
        return corrupt(error);
    const struct json *list = json_find(root, "peers");
    if (!json_is_array(list))
        return corrupt(error);
    peers->names = memory_new(json_count(list) + 1, sizeof *peers->names);
    for (const struct json *item = json_first(list); item; item = json_next(item))
        if (json_string(item))
            peers->names[peers->count++] = memory_copy_string(json_string(item));
    qsort(peers->names, peers->count, sizeof *peers->names, compare_names);
    return ERROR_NONE;
}

bool directory_peers_has(const struct directory_peers *peers, const char *name)
{
    return peers->count > 0 &&
           bsearch(&name, peers->names, peers->count, sizeof *peers->names, compare_names);
}

void directory_peers_done(struct directory_peers *peers)
{
    for (size_t i = 0; i < peers->count; i++)
        free(peers->names[i]);
    free(peers->names);
    *peers = (struct directory_peers){0};
}

/* An entry of a peer that is there. False: the taker has had enough. */
static bool take_file(const struct directory_files_taker *taker, const struct json *item,
                      const struct file_name *name)
{
    struct directory_source source;

    if (!taker->content)
        return taker->take(taker->context, json_string(json_find(item, "peer")), name);
    bool goes_on = true;
    if (directory_parse_source(item, &source) && source.has_content && !source.partial &&
        content_id_equal(&source.content, taker->content))
        goes_on = taker->take_holder(taker->context, name, &source);
    free(source.peer);
    free(source.addresses);
    return goes_on;
}

enum error_code directory_parse_files(const char *text, size_t length,
                                      struct directory_files_page *page, struct error *error)
{
    auto_json *root = NULL;

    page->cursor = NULL;
    if (json_parse(text, length, &root, NULL))
        return corrupt(error);
    const struct json *list = json_find(root, "archivos");
    if (!json_is_array(list))
        return corrupt(error);
    for (const struct json *item = json_first(list); item && !page->enough;
         item = json_next(item)) {
        const char *peer = json_string(json_find(item, "peer"));
        const char *name = json_string(json_find(item, "filename"));
        struct file_name checked;
        page->files++;
        if (peer && name && directory_peers_has(page->peers, peer) &&
            !file_name_parse_path(name, strlen(name), &checked, NULL) &&
            (page->taker->folders || !file_name_in_folder(&checked)))
            page->enough = !take_file(page->taker, item, &checked);
    }
    const char *cursor = json_string(json_find(root, "cursor"));
    if (cursor && json_first(list)) /* an empty page is the last, whatever it says */
        page->cursor = memory_copy_string(cursor);
    return ERROR_NONE;
}

const char *directory_parse_detail(const char *text, size_t length, char *out, size_t size)
{
    auto_json *root = NULL;
    const char *detail = NULL;

    if (!json_parse(text, length, &root, NULL))
        detail = json_string(json_find(root, "detail"));
    return text_clean(detail ? detail : "", out, size);
}
