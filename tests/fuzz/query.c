/* directory/query: decoding what was encoded gives the same bytes; what is accepted stays in place.
 */
#include "fuzz.h"

#include "common/buffer.h"
#include "common/memory.h"
#include "directory/query.h"

static void encode(struct buffer *out, const char *data, size_t length, bool all)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)data[i];
        if (byte == ' ' && !all)
            buffer_append_char(out, '+');
        else if (all || !((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z'))
            buffer_printf(out, all ? "%%%02X" : "%%%02x", byte);
        else
            buffer_append_char(out, data[i]);
    }
}

/* Any bytes, encoded either way, come back. */
static void check_identity(const char *data, size_t size)
{
    for (int all = 0; all <= 1; all++) {
        struct query_field field = {.name = "filename"};
        auto_buffer text;
        buffer_init(&text, 1 << 24);
        buffer_append_string(&text, "a=b&filename=");
        encode(&text, data, size, all);
        buffer_append_string(&text, "&&c");
        fuzz_check(query_parse(text.data, text.length, &field, 1, NULL) == ERROR_NONE);
        fuzz_check(field.value && field.length == size);
        fuzz_check(memcmp(field.value, data, size) == 0 && field.value[size] == '\0');
    }
}

/* What came out of a query, written anew, comes out again. */
static void check_again(const struct query_field *fields, size_t count)
{
    struct query_field again[3] = {{.name = "username"}, {.name = "password"}, {.name = "fi"}};
    auto_buffer text;

    buffer_init(&text, 1 << 24);
    for (size_t i = 0; i < count; i++) {
        if (!fields[i].value)
            continue;
        buffer_printf(&text, "&%s=", fields[i].name);
        encode(&text, fields[i].value, fields[i].length, false);
    }
    if (text.length == 0)
        return;
    fuzz_check(query_parse(text.data, text.length, again, count, NULL) == ERROR_NONE);
    for (size_t i = 0; i < count; i++) {
        fuzz_check(!fields[i].value == !again[i].value && fields[i].length == again[i].length);
        fuzz_check(!fields[i].value ||
                   memcmp(fields[i].value, again[i].value, fields[i].length) == 0);
    }
}

static void check_path(const uint8_t *data, size_t size)
{
    auto_free char *path = memory_copy(data, size);
    size_t length = size;

    if (!query_decode_path(path, &length)) {
        fuzz_check(memchr(data, '%', size));
        return;
    }
    fuzz_check(length <= size && path[length] == '\0');
    fuzz_check(memchr(data, '%', size) || (length == size && memcmp(path, data, size) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_free char *text = memory_copy(data, size);
    struct query_field fields[3] = {{.name = "username"}, {.name = "password"}, {.name = "fi"}};
    struct error error;

    check_identity((const char *)data, size);
    check_path(data, size);
    if (query_parse(text, size, fields, ARRAY_LENGTH(fields), &error)) {
        fuzz_check(error.code == ERROR_INVALID && memchr(data, '%', size));
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LENGTH(fields); i++) {
        const char *value = fields[i].value;
        fuzz_check(!value || (value >= text && value + fields[i].length <= text + size));
        fuzz_check(!value || value[fields[i].length] == '\0');
    }
    check_again(fields, ARRAY_LENGTH(fields));
    return 0;
}
