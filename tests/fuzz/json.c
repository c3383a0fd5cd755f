/* common/json: what it accepts is written by json_writer so that it reads back as the same. */
#include "fuzz.h"

#include "common/json.h"
#include "common/json_writer.h"
#include "common/text.h"

static void write_value(struct json_writer *json, const char *key, const struct json *item)
{
    int64_t number;
    bool yes;

    if (json_is_object(item) || json_is_array(item)) {
        bool object = json_is_object(item);
        object ? json_begin_object(json, key) : json_begin_array(json, key);
        for (const struct json *inner = json_first(item); inner; inner = json_next(inner))
            write_value(json, object ? json_key(inner) : NULL, inner);
        object ? json_end_object(json) : json_end_array(json);
    } else if (json_string(item)) {
        fuzz_check(text_is_utf8(json_string(item), strlen(json_string(item))));
        json_write_string(json, key, json_string(item));
    } else if (json_integer(item, &number)) {
        json_write_integer(json, key, number);
    } else if (json_boolean(item, &yes)) {
        json_write_boolean(json, key, yes);
    } else { /* null, or a number that is no integer: the reader gives no value of it */
        json_write_null(json, key);
    }
}

static void write_document(const struct json *root, struct buffer *out)
{
    struct json_writer json;

    json_writer_init(&json, out);
    write_value(&json, NULL, root);
    fuzz_check(!out->failed);
}

static unsigned depth_of(const struct json *item)
{
    unsigned deepest = 0;

    if (!json_is_object(item) && !json_is_array(item))
        return 0;
    for (const struct json *inner = json_first(item); inner; inner = json_next(inner)) {
        unsigned depth = depth_of(inner);
        if (depth > deepest)
            deepest = depth;
    }
    return deepest + 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json *root = NULL;
    struct json *again = NULL;
    struct error error;
    auto_buffer first;
    auto_buffer second;

    buffer_init(&first, 64 << 20);
    buffer_init(&second, 64 << 20);
    if (json_parse((const char *)data, size, &root, &error)) {
        fuzz_check(error.code == ERROR_INVALID && error.text[0] != '\0' && root == NULL);
        return 0;
    }
    fuzz_check(depth_of(root) <= JSON_MAX_DEPTH);
    write_document(root, &first);
    fuzz_check(json_parse(first.data, first.length, &again, &error) == ERROR_NONE);
    write_document(again, &second);
    fuzz_check(first.length == second.length && memcmp(first.data, second.data, first.length) == 0);
    json_free(root);
    json_free(again);
    return 0;
}
