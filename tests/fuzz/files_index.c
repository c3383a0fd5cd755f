/* directory/files_index: what it accepts is sorted, unique, of good names, and means the same when
 * it is written as JSON and read again. */
#include "fuzz.h"

#include "common/address.h"
#include "common/file_name.h"
#include "common/json_writer.h"
#include "directory/files_index.h"

#define CLIENT_HOST "2001:db8::7"

static const char *urls_of(const struct files_index *index, size_t item)
{
    const char *urls = files_index_urls(index, item);

    return urls ? urls : files_index_usual_urls(index);
}

static void check_urls(const char *text)
{
    auto_json *urls = NULL;

    fuzz_check(json_parse(text, strlen(text), &urls, NULL) == ERROR_NONE && json_is_array(urls));
    fuzz_check(json_count(urls) <= FILES_INDEX_URLS_MAX);
    for (const struct json *url = json_first(urls); url; url = json_next(url)) {
        struct address address;
        fuzz_check(json_string(url));
        fuzz_check(address_parse(json_string(url), false, &address, NULL) ||
                   !address_is_wildcard(&address));
    }
}

static bool same_content(struct file_content left, struct file_content right)
{
    return left.size_bytes == right.size_bytes && !left.id == !right.id &&
           (!left.id || content_id_equal(left.id, right.id));
}

static void check_items(const struct files_index *index)
{
    bool folders = false;

    for (size_t i = 0; i < files_index_count(index); i++) {
        const char *text = files_index_name(index, i);
        struct file_name name;
        int64_t size_bytes = files_index_content(index, i).size_bytes;
        fuzz_check(size_bytes >= FILE_SIZE_UNKNOWN && size_bytes <= INT64_C(1) << 53);
        fuzz_check(file_name_parse_path(text, strlen(text), &name, NULL) == ERROR_NONE);
        folders = folders || file_name_in_folder(&name);
        fuzz_check(i == 0 || strcmp(files_index_name(index, i - 1), text) < 0);
        check_urls(urls_of(index, i));
    }
    fuzz_check(!folders || files_index_has_folders(index));
    check_urls(files_index_usual_urls(index));
}

static void write_list(const struct files_index *index, struct buffer *out)
{
    struct json_writer json;

    json_writer_init(&json, out);
    json_begin_array(&json, NULL);
    for (size_t i = 0; i < files_index_count(index); i++) {
        json_begin_object(&json, NULL);
        json_write_string(&json, "filename", files_index_name(index, i));
        json_write_raw(&json, "url", urls_of(index, i));
        struct file_content content = files_index_content(index, i);
        char id[CONTENT_ID_DIGITS + 1];
        if (content.size_bytes != FILE_SIZE_UNKNOWN)
            json_write_integer(&json, "size", content.size_bytes);
        if (content.id)
            json_write_string(&json, "content", content_id_format(content.id, id));
        json_end_object(&json);
    }
    json_end_array(&json);
    fuzz_check(!out->failed);
}

static void check_again(const struct files_index *index)
{
    struct files_index *again = NULL;
    auto_buffer text;
    bool usual = files_index_count(index) > 0;

    buffer_init(&text, 64 << 20);
    write_list(index, &text);
    fuzz_check(files_index_parse(text.data, text.length, CLIENT_HOST, &again, NULL) == ERROR_NONE);
    fuzz_check(files_index_count(again) == files_index_count(index));
    for (size_t i = 0; i < files_index_count(index); i++) {
        fuzz_check(strcmp(files_index_name(index, i), files_index_name(again, i)) == 0);
        fuzz_check(strcmp(urls_of(index, i), urls_of(again, i)) == 0);
        fuzz_check(same_content(files_index_content(index, i), files_index_content(again, i)));
        usual = usual && !files_index_urls(index, i);
    }
    if (usual) /* which urls are the usual ones does not depend on the order then */
        fuzz_check(index_sum_equal(files_index_sum(index), files_index_sum(again)) ||
                   *files_index_host(index)); /* it was given as a wildcard */
    files_index_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct files_index *index = NULL;
    struct error error;

    if (files_index_parse((const char *)data, size, CLIENT_HOST, &index, &error)) {
        fuzz_check(error.code == ERROR_INVALID && error.text[0] != '\0');
        return 0;
    }
    check_items(index);
    check_again(index);
    files_index_free(index);
    return 0;
}
