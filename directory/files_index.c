#include "directory/files_index.h"

#include "common/address.h"
#include "common/file_name.h"
#include "common/json_writer.h"
#include "common/memory.h"
#include "directory/secrets.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Names, urls and ids of every list that can pass the caps on bodies and values. */
enum { TEXT_LIMIT_BYTES = 1 << 30, NO_URLS = -1, NO_CONTENT = -1 };

struct entry {
    uint32_t name;
    int32_t urls;    /* offset in texts, or NO_URLS: the usual ones */
    int32_t content; /* offset in texts, or NO_CONTENT */
    uint32_t order;
    int64_t size_bytes; /* or FILE_SIZE_UNKNOWN */
    bool partial;
};

struct files_index {
    struct entry *entries;
    size_t count;
    struct buffer texts; /* names and urls, each ended by NUL, and the bytes of content ids */
    char *usual_urls;
    bool folders;
    unsigned char digest[FILES_INDEX_DIGEST_BYTES];
};

static enum error_code wrong_shape(struct error *error)
{
    return error_set(error, ERROR_INVALID, "files_index: wrong shape");
}

/* Writes one url, a wildcard host replaced. */
static enum error_code write_url(struct json_writer *json, const struct json *item,
                                 const char *client_host, struct error *error)
{
    const char *url = json_string(item);
    struct address address;
    char text[ADDRESS_TEXT_BYTES];

    if (!url || strlen(url) > FILES_INDEX_URL_MAX_BYTES)
        return wrong_shape(error);
    if (address_parse(url, false, &address, NULL) == ERROR_NONE && address_is_wildcard(&address)) {
        size_t length = strnlen(client_host, sizeof address.host - 1);
        memcpy(address.host, client_host, length);
        address.host[length] = '\0';
        url = address_format(&address, text);
    }
    json_write_string(json, NULL, url);
    return ERROR_NONE;
}

/* The list of a file's urls as JSON text in out. */
static enum error_code write_urls(struct buffer *out, const struct json *urls,
                                  const char *client_host, struct error *error)
{
    struct json_writer json;
    size_t count = 0;

    if (urls && !json_is_array(urls))
        return wrong_shape(error);
    buffer_clear(out);
    json_writer_init(&json, out);
    json_begin_array(&json, NULL);
    for (const struct json *item = json_first(urls); item; item = json_next(item)) {
        if (++count > FILES_INDEX_URLS_MAX || write_url(&json, item, client_host, error))
            return wrong_shape(error);
    }
    json_end_array(&json);
    return ERROR_NONE;
}

static uint32_t add_text(struct files_index *index, const char *text)
{
    size_t offset = index->texts.length;

    buffer_append(&index->texts, text, strlen(text) + 1);
    return (uint32_t)offset;
}

/* NULL also for null. */
static const struct json *find_known(const struct json *item, const char *key)
{
    const struct json *value = json_find(item, key);

    return json_is_null(value) ? NULL : value;
}

/* What is not given is unknown; *id is written when *known becomes its address. */
static enum error_code read_content(const struct json *item, struct content_id *id,
                                    struct file_content *known, struct error *error)
{
    const struct json *size = find_known(item, "size");
    const struct json *content = find_known(item, "content");

    *known = (struct file_content){.size_bytes = FILE_SIZE_UNKNOWN};
    if (size && (!json_integer(size, &known->size_bytes) || known->size_bytes < 0))
        return wrong_shape(error);
    if (content) {
        if (!json_string(content) || !content_id_parse(json_string(content), id))
            return wrong_shape(error);
        known->id = id;
    }
    const struct json *partial = find_known(item, "partial");
    if (partial && !json_boolean(partial, &known->partial))
        return wrong_shape(error);
    if (known->partial && (!size || !content))
        return wrong_shape(error);
    return ERROR_NONE;
}

static int32_t add_content(struct files_index *index, const struct content_id *id)
{
    size_t offset = index->texts.length;

    if (!id)
        return NO_CONTENT;
    buffer_append(&index->texts, id->bytes, sizeof id->bytes);
    return (int32_t)offset;
}

static enum error_code add_entry(struct files_index *index, const struct json *item,
                                 const char *client_host, struct buffer *urls, struct error *error)
{
    const char *text = json_string(json_find(item, "filename"));
    struct file_name name;
    struct content_id id;
    struct file_content content;

    if (!text || file_name_parse_path(text, strlen(text), &name, NULL) ||
        write_urls(urls, json_find(item, "url"), client_host, error) ||
        read_content(item, &id, &content, error))
        return wrong_shape(error);
    if (!index->usual_urls)
        index->usual_urls = memory_copy_string(urls->data);
    index->folders = index->folders || file_name_in_folder(&name);
    bool usual = strcmp(urls->data, index->usual_urls) == 0;
    index->entries[index->count] = (struct entry){
        .name = add_text(index, name.text),
        .urls = usual ? NO_URLS : (int32_t)add_text(index, urls->data),
        .content = add_content(index, content.id),
        .order = (uint32_t)index->count,
        .size_bytes = content.size_bytes,
        .partial = content.partial,
    };
    index->count++;
    return ERROR_NONE;
}

static int compare_entries(const void *left, const void *right, void *texts)
{
    const struct entry *a = left;
    const struct entry *b = right;
    int order = strcmp((const char *)texts + a->name, (const char *)texts + b->name);

    return order ? order : (a->order < b->order ? -1 : 1);
}

static void sort_unique(struct files_index *index)
{
    size_t kept = 0;

    if (index->count == 0)
        return;
    qsort_r(index->entries, index->count, sizeof *index->entries, compare_entries,
            index->texts.data);
    for (size_t i = 0; i < index->count; i++) {
        bool repeated = i + 1 < index->count &&
                        strcmp(files_index_name(index, i), files_index_name(index, i + 1)) == 0;
        if (!repeated)
            index->entries[kept++] = index->entries[i];
    }
    index->count = kept;
}

/* Nothing for what is unknown, so that a list without sizes and ids has the digest that it had
 * before there were any. No name begins with a control character. */
static void digest_content(struct secrets_digest *digest, const struct file_content *content)
{
    unsigned char size[1 + 8] = {1};

    if (content->size_bytes != FILE_SIZE_UNKNOWN) {
        for (size_t i = 0; i < 8; i++)
            size[1 + i] = (unsigned char)((uint64_t)content->size_bytes >> (8 * (7 - i)));
        secrets_digest_add(digest, size, sizeof size);
    }
    if (content->id) {
        secrets_digest_add(digest, "\2", 1);
        secrets_digest_add(digest, content->id->bytes, sizeof content->id->bytes);
    }
    if (content->partial)
        secrets_digest_add(digest, "\3", 1);
}

_Static_assert(FILES_INDEX_DIGEST_BYTES == SECRETS_DIGEST_BYTES, "what make_digest gives");

static void make_digest(struct files_index *index)
{
    struct secrets_digest digest;

    secrets_digest_init(&digest, NULL);
    for (size_t i = 0; i < index->count; i++) {
        const char *name = files_index_name(index, i);
        const char *urls = files_index_urls(index, i);
        struct file_content content = files_index_content(index, i);
        secrets_digest_add(&digest, name, strlen(name) + 1);
        if (urls)
            secrets_digest_add(&digest, urls, strlen(urls));
        secrets_digest_add(&digest, "", 1);
        digest_content(&digest, &content);
    }
    secrets_digest_add(&digest, index->usual_urls, strlen(index->usual_urls));
    secrets_digest_finish(&digest, index->digest);
}

enum error_code files_index_from_json(const struct json *list, const char *client_host,
                                      struct files_index **index, struct error *error)
{
    auto_buffer urls;
    enum error_code code = ERROR_NONE;

    buffer_init(&urls, TEXT_LIMIT_BYTES);
    if (!json_is_array(list))
        return wrong_shape(error);
    struct files_index *made = memory_new(1, sizeof *made);
    buffer_init(&made->texts, TEXT_LIMIT_BYTES);
    made->entries = memory_new(json_count(list), sizeof *made->entries);
    for (const struct json *item = json_first(list); item && !code; item = json_next(item))
        code = add_entry(made, item, client_host, &urls, error);
    if (!code && made->texts.failed)
        code = error_set(error, ERROR_TOO_LARGE, "files_index: too large");
    if (code) {
        files_index_free(made);
        return code;
    }
    if (!made->usual_urls)
        made->usual_urls = memory_copy_string("[]");
    sort_unique(made);
    make_digest(made);
    *index = made;
    return ERROR_NONE;
}

enum error_code files_index_check_size(const char *text, size_t length, struct error *error)
{
    size_t values = 0;

    if (length <= FILES_INDEX_VALUES_MAX)
        return ERROR_NONE;
    for (size_t i = 0; i < length; i++)
        values += text[i] == ',' || text[i] == '[' || text[i] == '{';
    if (values > FILES_INDEX_VALUES_MAX)
        return error_set(error, ERROR_TOO_LARGE, "files_index: more than %d values",
                         FILES_INDEX_VALUES_MAX);
    return ERROR_NONE;
}

enum error_code files_index_parse(const char *text, size_t length, const char *client_host,
                                  struct files_index **index, struct error *error)
{
    auto_json *root = NULL;
    enum error_code code = files_index_check_size(text, length, error);

    if (!code)
        code = json_parse(text, length, &root, error);
    return code ? code : files_index_from_json(root, client_host, index, error);
}

void files_index_free(struct files_index *index)
{
    if (!index)
        return;
    free(index->entries);
    buffer_done(&index->texts);
    free(index->usual_urls);
    free(index);
}

size_t files_index_count(const struct files_index *index)
{
    return index->count;
}

const char *files_index_name(const struct files_index *index, size_t item)
{
    return index->texts.data + index->entries[item].name;
}

const char *files_index_urls(const struct files_index *index, size_t item)
{
    int32_t urls = index->entries[item].urls;

    return urls == NO_URLS ? NULL : index->texts.data + urls;
}

struct file_content files_index_content(const struct files_index *index, size_t item)
{
    const struct entry *entry = &index->entries[item];
    struct file_content content = {.size_bytes = entry->size_bytes, .partial = entry->partial};

    if (entry->content != NO_CONTENT)
        content.id = (const struct content_id *)(const void *)(index->texts.data + entry->content);
    return content;
}

bool files_index_has_folders(const struct files_index *index)
{
    return index->folders;
}

const char *files_index_usual_urls(const struct files_index *index)
{
    return index->usual_urls;
}

const unsigned char *files_index_digest(const struct files_index *index)
{
    return index->digest;
}
