#include "peer/locate/answers_file.h"

#include "common/json.h"
#include "common/json_writer.h"
#include "common/memory.h"
#include "peer/locate/located.h"
#include "peer/network/directory_replies.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define VERSION 1

static void drop(struct answers_table *table, size_t number)
{
    struct answer *answer = &table->items[number];

    table->source_count -= answer->sources.count;
    free(answer->name);
    directory_sources_done(&answer->sources);
    *answer = table->items[--table->count];
    table->hashes[number] = table->hashes[table->count];
    table->items[table->count] = (struct answer){0};
}

void answers_table_done(struct answers_table *table)
{
    while (table->count > 0)
        drop(table, table->count - 1);
    table->peer_count = 0;
}

/* FNV-1a. */
static uint32_t hash_of(const char *text)
{
    uint32_t hash = 2166136261U;

    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 16777619U;
    return hash;
}

static size_t find(const struct answers_table *table, const struct file_name *name)
{
    uint32_t hash = hash_of(name->text);
    size_t number = 0;

    while (number < table->count &&
           (table->hashes[number] != hash || strcmp(table->items[number].name, name->text) != 0))
        number++;
    return number;
}

static size_t find_oldest(const struct answers_table *table)
{
    int64_t seen_ms = INT64_MAX;
    size_t oldest = 0;

    for (size_t i = 0; i < table->count; i++) {
        if (table->items[i].seen_ms < seen_ms) {
            seen_ms = table->items[i].seen_ms;
            oldest = i;
        }
    }
    return oldest;
}

/* A copy with the first addresses. False: not one to remember. */
static bool copy_source(const struct directory_source *from, struct directory_source *to)
{
    size_t count =
        from->address_count < LOCATED_ADDRESSES_MAX ? from->address_count : LOCATED_ADDRESSES_MAX;

    if (count == 0 || from->partial || !located_peer_is_good(from->peer, strlen(from->peer)))
        return false;
    *to = *from;
    to->peer = memory_copy_string(from->peer);
    to->addresses = (struct address *)memory_copy(from->addresses, count * sizeof *from->addresses);
    to->address_count = count;
    return true;
}

static void copy_sources(const struct directory_sources *from, struct directory_sources *to)
{
    size_t max = from->count < ANSWER_SOURCES_MAX ? from->count : ANSWER_SOURCES_MAX;

    *to = (struct directory_sources){.items = memory_new(max, sizeof *to->items)};
    for (size_t i = 0; i < from->count && to->count < max; i++)
        to->count += copy_source(&from->items[i], &to->items[to->count]);
    if (to->count < max)
        to->items = memory_resize(to->items, to->count ? to->count : 1, sizeof *to->items);
}

bool answers_table_remember(struct answers_table *table, const struct file_name *name,
                            const struct directory_sources *sources, int64_t seen_ms)
{
    struct answer answer = {.seen_ms = seen_ms};

    copy_sources(sources, &answer.sources);
    if (answer.sources.count == 0) {
        directory_sources_done(&answer.sources);
        return false;
    }
    size_t number = find(table, name);
    if (number < table->count)
        drop(table, number);
    while (table->count == ANSWERS_MAX ||
           table->source_count + answer.sources.count > ANSWERS_SOURCES_MAX)
        drop(table, find_oldest(table));
    answer.name = memory_copy_string(name->text);
    table->hashes[table->count] = hash_of(name->text);
    table->items[table->count++] = answer;
    table->source_count += answer.sources.count;
    return true;
}

const struct answer *answers_table_find(const struct answers_table *table,
                                        const struct file_name *name, int64_t now_ms)
{
    size_t number = find(table, name);

    if (number == table->count || now_ms - table->items[number].seen_ms > ANSWERS_KEEP_MS)
        return NULL;
    return &table->items[number];
}

void answers_table_met(struct answers_table *table, const struct address *address, int64_t seen_ms)
{
    struct answers_peer peer = {.address = *address, .seen_ms = seen_ms};
    size_t place = 0;

    while (place < table->peer_count &&
           (table->peers[place].address.port != address->port ||
            strcasecmp(table->peers[place].address.host, address->host) != 0))
        place++;
    if (place == table->peer_count && table->peer_count < ANSWERS_PEERS_MAX)
        table->peer_count++;
    if (place == ANSWERS_PEERS_MAX)
        place--; /* the one that was seen longest ago */
    memmove(&table->peers[1], &table->peers[0], place * sizeof *table->peers);
    table->peers[0] = peer;
}

/* ---- writing ---- */

static void format_source(struct json_writer *json, const struct directory_source *source)
{
    char text[ADDRESS_TEXT_BYTES];
    char content[CONTENT_ID_DIGITS + 1];

    json_begin_object(json, NULL);
    json_write_string(json, "peer", source->peer);
    json_begin_array(json, "url");
    for (size_t i = 0; i < source->address_count; i++)
        json_write_string(json, NULL, address_format(&source->addresses[i], text));
    json_end_array(json);
    if (source->size_bytes >= 0)
        json_write_integer(json, "size", source->size_bytes);
    if (source->has_content)
        json_write_string(json, "content", content_id_format(&source->content, content));
    json_end_object(json);
}

void answers_format(const struct answers_table *table, struct buffer *out)
{
    char text[ADDRESS_TEXT_BYTES];
    struct json_writer json;

    json_writer_init(&json, out);
    json_begin_object(&json, NULL);
    json_write_integer(&json, "version", VERSION);
    json_begin_array(&json, "answers");
    for (size_t i = 0; i < table->count; i++) {
        const struct answer *answer = &table->items[i];
        json_begin_object(&json, NULL);
        json_write_string(&json, "name", answer->name);
        json_write_integer(&json, "seen_ms", answer->seen_ms);
        json_begin_array(&json, "sources");
        for (size_t s = 0; s < answer->sources.count; s++)
            format_source(&json, &answer->sources.items[s]);
        json_end_array(&json);
        json_end_object(&json);
    }
    json_end_array(&json);
    json_begin_array(&json, "peers");
    for (size_t i = 0; i < table->peer_count; i++) {
        json_begin_object(&json, NULL);
        json_write_string(&json, "url", address_format(&table->peers[i].address, text));
        json_write_integer(&json, "seen_ms", table->peers[i].seen_ms);
        json_end_object(&json);
    }
    json_end_array(&json);
    json_end_object(&json);
}

/* ---- reading ---- */

/* The time of an entry; one of the future (a clock that was put back) counts as now. */
static bool read_time(const struct json *item, int64_t now_ms, int64_t *seen_ms)
{
    if (!json_integer(json_find(item, "seen_ms"), seen_ms) || *seen_ms < 0)
        return false;
    if (*seen_ms > now_ms)
        *seen_ms = now_ms;
    return now_ms - *seen_ms <= ANSWERS_KEEP_MS;
}

static void read_answer(const struct json *item, int64_t now_ms, struct answers_table *table)
{
    const char *text = json_string(json_find(item, "name"));
    const struct json *list = json_find(item, "sources");
    struct directory_source items[ANSWER_SOURCES_MAX];
    struct directory_sources sources = {.items = items};
    struct file_name name;
    int64_t seen_ms;

    if (!text || file_name_parse_path(text, strlen(text), &name, NULL) || !json_is_array(list) ||
        !read_time(item, now_ms, &seen_ms))
        return;
    for (const struct json *source = json_first(list); source && sources.count < ANSWER_SOURCES_MAX;
         source = json_next(source))
        sources.count += directory_parse_source(source, &items[sources.count]);
    answers_table_remember(table, &name, &sources, seen_ms);
    for (size_t i = 0; i < sources.count; i++) {
        free(items[i].peer);
        free(items[i].addresses);
    }
}

static void read_peer(const struct json *item, int64_t now_ms, struct answers_table *table)
{
    const char *text = json_string(json_find(item, "url"));
    struct answers_peer peer;

    if (table->peer_count == ANSWERS_PEERS_MAX || !text ||
        !read_time(item, now_ms, &peer.seen_ms) ||
        address_parse(text, false, &peer.address, NULL) || address_is_wildcard(&peer.address))
        return;
    table->peers[table->peer_count++] = peer;
}

enum error_code answers_parse(const char *text, size_t length, int64_t now_ms,
                              struct answers_table *table, struct error *error)
{
    auto_json *root = NULL;
    int64_t version;

    if (json_parse(text, length, &root, error))
        return error_set(error, ERROR_CORRUPT, "it is not JSON");
    const struct json *answers = json_find(root, "answers");
    const struct json *peers = json_find(root, "peers");
    if (!json_integer(json_find(root, "version"), &version) || version != VERSION ||
        !json_is_array(answers) || !json_is_array(peers))
        return error_set(error, ERROR_CORRUPT, "it is not ours");
    for (const struct json *item = json_first(answers); item; item = json_next(item))
        read_answer(item, now_ms, table);
    for (const struct json *item = json_first(peers); item; item = json_next(item))
        read_peer(item, now_ms, table);
    return ERROR_NONE;
}
