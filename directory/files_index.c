#include "directory/files_index.h"

#include "common/address.h"
#include "common/file_name.h"
#include "common/json_writer.h"
#include "common/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Names, urls and ids of every list that can pass the caps on bodies and values. */
enum { TEXT_LIMIT_BYTES = 1 << 30, NO_URLS = -1, NO_CONTENT = -1, NO_SENT = -1 };

struct entry {
    uint32_t name;
    int32_t urls;    /* offset in texts, or NO_URLS: the usual ones */
    int32_t content; /* offset in texts, or NO_CONTENT */
    int32_t sent; /* offset in texts of the urls as they were given, or NO_SENT: the usual ones */
    uint32_t sent_bytes;
    uint32_t order;
    int64_t size_bytes; /* or FILE_SIZE_UNKNOWN */
    bool partial;
};

struct files_index {
    struct entry *entries;
    size_t count;
    struct buffer texts; /* names and urls, each ended by NUL, and the bytes of content ids */
    char *usual_urls;
    struct buffer usual_sent; /* as struct index_sum_urls */
    char *host;               /* NULL: no wildcard was replaced */
    bool folders;
    struct index_sum sum;
};

/* One file's urls while they are read. */
struct urls {
    struct buffer text; /* a JSON list, wildcards replaced */
    struct buffer sent; /* as struct index_sum_urls */
    const char *client_host;
    bool wildcard; /* in any of all files */
};

static enum error_code wrong_shape(struct error *error)
{
    return error_set(error, ERROR_INVALID, "files_index: wrong shape");
}

/* Writes one url, a wildcard host replaced. */
static enum error_code write_url(struct json_writer *json, const struct json *item,
                                 struct urls *urls, struct error *error)
{
    const char *url = json_string(item);
    struct address address;
    char text[ADDRESS_TEXT_BYTES];

    if (!url || strlen(url) > FILES_INDEX_URL_MAX_BYTES)
        return wrong_shape(error);
    buffer_append(&urls->sent, url, strlen(url) + 1);
    if (address_parse(url, false, &address, NULL) == ERROR_NONE && address_is_wildcard(&address)) {
        size_t length = strnlen(urls->client_host, sizeof address.host - 1);
        memcpy(address.host, urls->client_host, length);
        address.host[length] = '\0';
        urls->wildcard = true;
        url = address_format(&address, text);
    }
    json_write_string(json, NULL, url);
    return ERROR_NONE;
}

static enum error_code read_urls(const struct json *list, struct urls *urls, struct error *error)
{
    struct json_writer json;
    size_t count = 0;

    if (list && !json_is_array(list))
        return wrong_shape(error);
    buffer_clear(&urls->text);
    buffer_clear(&urls->sent);
    json_writer_init(&json, &urls->text);
    json_begin_array(&json, NULL);
    for (const struct json *item = json_first(list); item; item = json_next(item)) {
        if (++count > FILES_INDEX_URLS_MAX || write_url(&json, item, urls, error))
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

static bool is_usual_as_sent(const struct files_index *index, const struct urls *urls)
{
    return index->usual_sent.length == urls->sent.length &&
           (urls->sent.length == 0 ||
            memcmp(index->usual_sent.data, urls->sent.data, urls->sent.length) == 0);
}

static int32_t add_sent(struct files_index *index, const struct urls *urls)
{
    size_t offset = index->texts.length;

    buffer_append(&index->texts, urls->sent.data, urls->sent.length);
    return (int32_t)offset;
}

static enum error_code add_entry(struct files_index *index, const struct json *item,
                                 struct urls *urls, struct error *error)
{
    const char *text = json_string(json_find(item, "filename"));
    struct file_name name;
    struct content_id id;
    struct file_content content;

    if (!text || file_name_parse_path(text, strlen(text), &name, NULL) ||
        read_urls(json_find(item, "url"), urls, error) || read_content(item, &id, &content, error))
        return wrong_shape(error);
    if (!index->usual_urls) {
        index->usual_urls = memory_copy_string(urls->text.data);
        buffer_append(&index->usual_sent, urls->sent.data, urls->sent.length);
    }
    index->folders = index->folders || file_name_in_folder(&name);
    bool usual = strcmp(urls->text.data, index->usual_urls) == 0;
    bool usual_as_sent = is_usual_as_sent(index, urls);
    index->entries[index->count] = (struct entry){
        .name = add_text(index, name.text),
        .urls = usual ? NO_URLS : (int32_t)add_text(index, urls->text.data),
        .content = add_content(index, content.id),
        .sent = usual_as_sent ? NO_SENT : add_sent(index, urls),
        .sent_bytes = usual_as_sent ? 0 : (uint32_t)urls->sent.length,
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

static void make_sum(struct files_index *index)
{
    const struct index_sum_urls usual = {.text = index->usual_sent.data,
                                         .length = index->usual_sent.length};

    for (size_t i = 0; i < index->count; i++) {
        const struct entry *entry = &index->entries[i];
        struct file_content content = files_index_content(index, i);
        struct index_sum_urls sent = {.length = entry->sent_bytes};
        struct index_sum_file file = {.name = files_index_name(index, i),
                                      .size_bytes = content.size_bytes,
                                      .id = content.id,
                                      .partial = content.partial};
        if (entry->sent != NO_SENT) {
            sent.text = index->texts.data + entry->sent;
            file.urls = &sent;
        }
        index_sum_add(&index->sum, &file);
    }
    index_sum_add_usual(&index->sum, &usual);
}

static enum error_code add_entries(struct files_index *index, const struct json *list,
                                   const char *client_host, struct error *error)
{
    struct urls urls = {.client_host = client_host};
    enum error_code code = ERROR_NONE;

    buffer_init(&urls.text, TEXT_LIMIT_BYTES);
    buffer_init(&urls.sent, TEXT_LIMIT_BYTES);
    for (const struct json *item = json_first(list); item && !code; item = json_next(item))
        code = add_entry(index, item, &urls, error);
    buffer_done(&urls.text);
    buffer_done(&urls.sent);
    if (urls.wildcard)
        index->host = memory_copy_string(client_host);
    if (!code && index->texts.failed)
        code = error_set(error, ERROR_TOO_LARGE, "files_index: too large");
    return code;
}

enum error_code files_index_from_json(const struct json *list, const char *client_host,
                                      struct files_index **index, struct error *error)
{
    if (!json_is_array(list))
        return wrong_shape(error);
    struct files_index *made = memory_new(1, sizeof *made);
    buffer_init(&made->texts, TEXT_LIMIT_BYTES);
    buffer_init(&made->usual_sent, TEXT_LIMIT_BYTES);
    made->entries = memory_new(json_count(list), sizeof *made->entries);
    enum error_code code = add_entries(made, list, client_host, error);
    if (code) {
        files_index_free(made);
        return code;
    }
    if (!made->usual_urls)
        made->usual_urls = memory_copy_string("[]");
    sort_unique(made);
    make_sum(made);
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
    buffer_done(&index->usual_sent);
    free(index->usual_urls);
    free(index->host);
    free(index);
}

size_t files_index_memory_bytes(const struct files_index *index)
{
    return sizeof *index + index->count * sizeof *index->entries + index->texts.capacity;
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

const char *files_index_host(const struct files_index *index)
{
    return index->host ? index->host : "";
}

const struct index_sum *files_index_sum(const struct files_index *index)
{
    return &index->sum;
}
