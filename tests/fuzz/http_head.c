/* directory/http_head, http_chunks: what was read lies in the text; however the bytes come, all at
 * once or one by one, they are the same head and the same body. */
#include "fuzz.h"

#include "common/memory.h"
#include "directory/http_chunks.h"
#include "directory/http_head.h"

static void check_inside(const char *value, const char *text, size_t size)
{
    fuzz_check(!value || (value >= text && value + strlen(value) < text + size));
}

static size_t find_end(const char *text, size_t size)
{
    size_t scanned = 0;
    size_t whole = http_head_length(text, size, &scanned);
    size_t found = 0;

    scanned = 0;
    for (size_t length = 1; length <= size && found == 0; length++)
        found = http_head_length(text, length, &scanned);
    fuzz_check(found == whole && whole <= size);
    return whole;
}

static void check_head(char *text, size_t size)
{
    struct http_head head;
    unsigned status = http_head_parse(text, size, &head);

    fuzz_check(status == 0 || status == 400 || status == 505);
    if (status)
        return;
    check_inside(head.method, text, size);
    check_inside(head.target, text, size);
    check_inside(head.content_type, text, size);
    check_inside(head.authorization, text, size);
    fuzz_check(*head.method && head.target_length > 0);
    fuzz_check(strlen(head.target) == head.target_length && !strpbrk(head.target, " \r\n\t"));
}

/* Reads step bytes at a time. Returns how many were read; the data goes to out. */
static size_t read_chunks(struct http_chunks *chunks, const char *text, size_t size, size_t step,
                          char *out, size_t *out_length)
{
    size_t at = 0;

    *out_length = 0;
    while (at < size && chunks->state < CHUNKS_DONE) {
        size_t part = step < size - at ? step : size - at;
        const char *data;
        size_t length;
        size_t used = http_chunks_read(chunks, text + at, part, &data, &length);
        fuzz_check(used > 0 && used <= part && length <= used);
        memcpy(out + *out_length, data, length);
        *out_length += length;
        at += used;
    }
    return at;
}

static void check_chunks(const char *text, size_t size)
{
    auto_free char *whole = memory_new(1, size + 1);
    auto_free char *bytes = memory_new(1, size + 1);
    struct http_chunks at_once = {0};
    struct http_chunks one_by_one = {0};
    size_t whole_length;
    size_t bytes_length;

    size_t used = read_chunks(&at_once, text, size, size, whole, &whole_length);
    fuzz_check(read_chunks(&one_by_one, text, size, 1, bytes, &bytes_length) == used);
    fuzz_check(at_once.state == one_by_one.state && whole_length == bytes_length);
    fuzz_check(memcmp(whole, bytes, whole_length) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_free char *text = memory_copy(data, size);

    check_chunks(text, size);
    size_t length = find_end(text, size);
    if (length == 0)
        return 0;
    check_chunks(text + length, size - length);
    check_head(text, length);
    return 0;
}
