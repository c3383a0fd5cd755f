#include "directory/hits.h"

#include "common/memory.h"
#include "common/text.h"
#include "directory/replies.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Ten lists of addresses, each as long as a peer may give it. */
enum { LIST_LIMIT_BYTES = 4 << 20 };

/* ---- keys ---- */

static struct hit_key key_of(const struct file_content *content)
{
    struct hit_key key = {.size_bytes = content->size_bytes, .has_id = content->id != NULL};

    if (content->id)
        key.id = *content->id;
    return key;
}

/* Contents that are known by their ids go last. */
static int compare_keys(const struct hit_key *left, const struct hit_key *right)
{
    int order = memcmp(left->id.bytes, right->id.bytes, sizeof left->id.bytes);

    if (left->has_id != right->has_id)
        return left->has_id - right->has_id;
    if (order)
        return order;
    return (left->size_bytes > right->size_bytes) - (left->size_bytes < right->size_bytes);
}

static int compare_contents(const void *left, const void *right)
{
    const struct hit_content *a = left;
    const struct hit_content *b = right;

    return compare_keys(&a->key, &b->key);
}

/* ---- cursors ---- */

const char *hit_format_cursor(const struct hit_place *place, char out[HIT_CURSOR_BYTES])
{
    char size[24] = "";
    char id[CONTENT_ID_DIGITS + 1] = "";
    char peer[24] = "";

    if (place->key.size_bytes != FILE_SIZE_UNKNOWN)
        snprintf(size, sizeof size, "%" PRId64, place->key.size_bytes);
    if (place->key.has_id)
        content_id_format(&place->key.id, id);
    if (place->peer_id)
        snprintf(peer, sizeof peer, ":%" PRId64, place->peer_id);
    if (place->is_inside)
        snprintf(out, HIT_CURSOR_BYTES, "%" PRId64 ".%s.%s%s", place->name_id, size, id, peer);
    else
        snprintf(out, HIT_CURSOR_BYTES, "%" PRId64 "%s", place->name_id, peer);
    return out;
}

static bool parse_key(char *size, struct hit_key *key)
{
    char *id = strchr(size, '.');
    long long number = FILE_SIZE_UNKNOWN;

    if (!id)
        return false;
    *id++ = '\0';
    if (*size && !text_to_integer(size, 0, INT64_MAX, &number))
        return false;
    key->size_bytes = number;
    key->has_id = *id != '\0';
    return !key->has_id || content_id_parse(id, &key->id);
}

enum error_code hit_parse_cursor(const char *cursor, struct hit_place *place, struct error *error)
{
    char text[HIT_CURSOR_BYTES] = "";
    long long id;
    long long peer_id = 0;
    size_t length = strlen(cursor);

    *place = (struct hit_place){0};
    if (length < sizeof text)
        memcpy(text, cursor, length);
    char *peer = strchr(text, ':');
    if (peer)
        *peer++ = '\0';
    char *size = strchr(text, '.');
    if (size)
        *size++ = '\0';
    if (!text_to_integer(text, 0, INT64_MAX, &id) || (size && !parse_key(size, &place->key)) ||
        (peer && !text_to_integer(peer, 1, INT64_MAX, &peer_id)))
        return error_set(error, ERROR_INVALID, TEXT_BAD_CURSOR);
    place->name_id = id;
    place->is_inside = size != NULL;
    place->peer_id = peer_id;
    return ERROR_NONE;
}

/* ---- hits ---- */

void hits_done(struct hits *hits)
{
    for (size_t i = 0; i < hits->capacity; i++)
        buffer_done(&hits->contents[i].list);
    free(hits->contents);
}

void hits_clear(struct hits *hits)
{
    hits->count = 0;
    hits->rows = hits->list_bytes = 0;
    hits->truncated = false;
}

static void begin_content(struct hits *hits, struct hit_content *content, const struct hit_key *key)
{
    content->key = *key;
    content->peers = 0;
    buffer_clear(&content->list);
    json_writer_init(&content->json, &content->list);
    json_begin_array(&content->json, NULL);
    hits->count++;
}

/* NULL: there are too many. */
static struct hit_content *find_content(struct hits *hits, const struct hit_key *key)
{
    for (size_t i = 0; i < hits->count; i++)
        if (compare_keys(&hits->contents[i].key, key) == 0)
            return &hits->contents[i];
    if (hits->count == HITS_CONTENTS_MAX)
        return NULL;
    if (hits->count == hits->capacity) {
        size_t more = hits->capacity ? hits->capacity * 2 : 4;
        hits->contents = memory_resize(hits->contents, more, sizeof *hits->contents);
        for (; hits->capacity < more; hits->capacity++)
            buffer_init(&hits->contents[hits->capacity].list, LIST_LIMIT_BYTES);
    }
    begin_content(hits, &hits->contents[hits->count], key);
    return &hits->contents[hits->count - 1];
}

size_t hits_weight(const char *urls)
{
    return 1 + (urls ? strlen(urls) / HITS_ROW_BYTES : 0);
}

bool hits_go_on(struct hits *hits, size_t weight)
{
    hits->truncated = hits->truncated || hits->rows >= HITS_ROWS_MAX;
    if (hits->count > 0)
        hits->rows += weight;
    return !hits->truncated;
}

bool hits_add(struct hits *hits, const char *peer, const char *urls,
              const struct file_content *content)
{
    struct hit_key key = key_of(content);
    struct hit_content *found = find_content(hits, &key);

    if (!found) {
        hits->truncated = true;
        return false;
    }
    bool is_told =
        found->peers == 0 || (found->peers < HITS_PEERS_MAX && hits->list_bytes < HITS_LISTS_BYTES);
    found->peers++;
    if (is_told) {
        size_t before = found->list.length;
        found->json.out = &found->list; /* the array may have moved */
        reply_hit_add(&found->json, peer, urls, content->partial);
        hits->list_bytes += found->list.length - before;
    }
    return true;
}

void hits_sort(struct hits *hits)
{
    if (hits->count > 1)
        qsort(hits->contents, hits->count, sizeof *hits->contents, compare_contents);
    for (size_t i = 0; i < hits->count; i++)
        buffer_append_char(&hits->contents[i].list, ']');
}

size_t hits_find_after(const struct hits *hits, const struct hit_key *key)
{
    size_t item = 0;

    while (key && item < hits->count && compare_keys(&hits->contents[item].key, key) <= 0)
        item++;
    return item;
}

void hits_write(const struct hits *hits, size_t item, const char *name, struct json_writer *json)
{
    const struct hit_content *content = &hits->contents[item];
    struct reply_hit hit = {
        .name = name,
        .content = {.size_bytes = content->key.size_bytes,
                    .id = content->key.has_id ? &content->key.id : NULL},
        .peers = content->peers,
        .list = content->list.data,
        .truncated = hits->truncated,
    };

    reply_hit(json, &hit);
}
