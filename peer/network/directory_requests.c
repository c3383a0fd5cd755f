#include "peer/network/directory_requests.h"

#include "common/json_writer.h"
#include "peer/network/list_changes.h"

#include <string.h>

/* A name has at most 511 bytes, twice as many escaped; an address has at most 264. */
#define ENTRY_MAX_BYTES 2048

static bool is_unreserved(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

void directory_encode(struct buffer *out, const char *text)
{
    static const char digits[] = "0123456789ABCDEF";
    const unsigned char *c = (const unsigned char *)text;

    while (*c) {
        const unsigned char *run = c;
        while (is_unreserved(*c))
            c++;
        buffer_append(out, run, (size_t)(c - run));
        if (*c) {
            const char code[] = {'%', digits[*c >> 4], digits[*c & 15]};
            buffer_append(out, code, sizeof code);
            c++;
        }
    }
}

void directory_append_user(struct buffer *out, const struct directory_login *login)
{
    buffer_append_string(out, "username=");
    directory_encode(out, login->username);
    buffer_append_string(out, "&password=");
    directory_encode(out, login->password);
}

void directory_append_etag(struct buffer *out, const struct index_sum *etag)
{
    char text[INDEX_SUM_DIGITS + 1];

    buffer_printf(out, "&index_etag=%s", index_sum_format(etag, text));
}

bool directory_is_bearer(const char *token)
{
    const unsigned char *c = (const unsigned char *)token;

    while (is_unreserved(*c) || *c == '+' || *c == '/')
        c++;
    return c > (const unsigned char *)token &&
           strspn((const char *)c, "=") == strlen((const char *)c);
}

/* Who is told names only would take a part for a whole file. */
static bool is_told(const struct directory_login *login, const struct share_file *file)
{
    return !(login->names_only && file->partial) && (login->folders || !strchr(file->name, '/'));
}

void directory_sum_file(const struct share_file *file, struct index_sum_file *told)
{
    *told = (struct index_sum_file){.name = file->name,
                                    .size_bytes = file->size_bytes,
                                    .id = file->has_content ? &file->content : NULL,
                                    .partial = file->partial};
}

static void add_file(const struct directory_login *login, const struct share_file *file,
                     struct index_sum *sum)
{
    struct index_sum_file told;

    directory_sum_file(file, &told);
    if (login->names_only)
        told = (struct index_sum_file){.name = file->name, .size_bytes = -1};
    index_sum_add(sum, &told);
}

void directory_sum_index(const struct directory_login *login, struct index_sum *sum)
{
    struct index_sum_urls usual = {.text = login->advertise};

    *sum = (struct index_sum){0};
    for (size_t i = 0; i < login->files->count; i++) {
        if (!is_told(login, &login->files->files[i]))
            continue;
        usual.length = strlen(login->advertise) + 1; /* a list without files has no urls */
        add_file(login, &login->files->files[i], sum);
    }
    index_sum_add_usual(sum, &usual);
}

static void write_content(struct json_writer *json, const struct share_file *file)
{
    char text[CONTENT_ID_DIGITS + 1];

    json_write_integer(json, "size", file->size_bytes);
    if (file->has_content)
        json_write_string(json, "content", content_id_format(&file->content, text));
    if (file->partial)
        json_write_boolean(json, "partial", true);
}

/* {"filename":NAME,"url":[ADDRESS],"size":BYTES,"content":ID,"partial":true}, encoded; what is told
 * as a change has the usual url. */
static void format_entry(struct buffer *entry, const struct directory_login *login,
                         const struct share_file *file)
{
    auto_buffer raw;
    struct json_writer json;

    buffer_init(&raw, ENTRY_MAX_BYTES);
    json_writer_init(&json, &raw);
    json_begin_object(&json, NULL);
    json_write_string(&json, "filename", file->name);
    if (!login->changes) {
        json_begin_array(&json, "url");
        json_write_string(&json, NULL, login->advertise);
        json_end_array(&json);
    }
    if (!login->names_only)
        write_content(&json, file);
    json_end_object(&json);
    buffer_clear(entry);
    directory_encode(entry, raw.data);
}

size_t directory_append_index(struct buffer *out, const struct directory_login *login, size_t first,
                              size_t max_bytes)
{
    static const char comma[] = "%2C";
    static const char end[] = "%5D";
    const struct share_list *files = login->files;
    auto_buffer entry;
    size_t next = first;
    bool any = false;

    buffer_init(&entry, (size_t)3 * ENTRY_MAX_BYTES);
    buffer_append_string(out, "&files_index=%5B");
    for (; next < files->count && !out->failed; next++) {
        if (!is_told(login, &files->files[next]))
            continue;
        format_entry(&entry, login, &files->files[next]);
        size_t added = entry.length + strlen(comma) + strlen(end);
        if (any && out->length + added > max_bytes)
            break;
        if (any)
            buffer_append_string(out, comma);
        any = true;
        buffer_append(out, entry.data, entry.length);
    }
    buffer_append_string(out, end);
    return next;
}

void directory_append_changes(struct buffer *out, const struct directory_login *login)
{
    const struct list_changes *changes = login->changes;
    char base[INDEX_SUM_DIGITS + 1];
    auto_buffer entry;

    buffer_init(&entry, (size_t)3 * ENTRY_MAX_BYTES);
    buffer_printf(out, "&index_base=%s&files_added=%%5B", index_sum_format(login->base, base));
    for (size_t i = 0; i < changes->added_count; i++) {
        format_entry(&entry, login, changes->added[i]);
        buffer_append_string(out, i > 0 ? "%2C" : "");
        buffer_append(out, entry.data, entry.length);
    }
    buffer_append_string(out, "%5D&files_removed=%5B");
    for (size_t i = 0; i < changes->removed_count; i++) {
        auto_buffer raw;
        struct json_writer json;
        buffer_init(&raw, ENTRY_MAX_BYTES);
        json_writer_init(&json, &raw);
        json_write_string(&json, NULL, changes->removed[i]->name);
        buffer_append_string(out, i > 0 ? "%2C" : "");
        directory_encode(out, raw.data);
    }
    buffer_append_string(out, "%5D");
}

bool directory_append_names(struct buffer *out, const struct file_name *const *names, size_t count)
{
    struct json_writer json;
    bool any_in_folder = false;

    json_writer_init(&json, out);
    json_begin_object(&json, NULL);
    json_begin_array(&json, "filenames");
    for (size_t i = 0; i < count; i++) {
        json_write_string(&json, NULL, names[i]->text);
        any_in_folder |= file_name_in_folder(names[i]);
    }
    json_end_array(&json);
    json_end_object(&json);
    return any_in_folder;
}
