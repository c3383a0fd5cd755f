#include "common/index_sum.h"

#include "common/sha256.h"

#include <string.h>
#include <sys/uio.h>

enum { MARK_SIZE = 1, MARK_CONTENT = 2, MARK_PARTIAL = 3, MARK_URLS = 4, SIZE_BYTES = 8 };

_Static_assert(INDEX_SUM_BYTES == SHA256_BYTES && INDEX_SUM_BYTES == HASH_BYTES,
               "sums and ids are hashes");

/* What follows the name but the urls: 0x01 size 0x02 id 0x03 0x04 at most. */
struct marks {
    uint8_t bytes[1 + SIZE_BYTES + 1 + HASH_BYTES + 1 + 1];
    size_t length;
};

static void mark(struct marks *marks, uint8_t which, const void *value, size_t length)
{
    marks->bytes[marks->length++] = which;
    if (length > 0)
        memcpy(marks->bytes + marks->length, value, length);
    marks->length += length;
}

static void hash_file(const struct index_sum_file *file, uint8_t hash[SHA256_BYTES])
{
    struct marks marks = {.length = 0};
    uint8_t size[SIZE_BYTES];
    char *name;

    for (size_t i = 0; i < SIZE_BYTES; i++)
        size[i] = (uint8_t)((uint64_t)file->size_bytes >> (8 * (SIZE_BYTES - 1 - i)));
    if (file->size_bytes >= 0)
        mark(&marks, MARK_SIZE, size, sizeof size);
    if (file->id)
        mark(&marks, MARK_CONTENT, file->id->bytes, sizeof file->id->bytes);
    if (file->partial)
        mark(&marks, MARK_PARTIAL, NULL, 0);
    if (file->urls)
        mark(&marks, MARK_URLS, NULL, 0);
    /* struct iovec has no const; nothing writes there. */
    memcpy(&name, &file->name, sizeof name);
    struct iovec parts[3] = {{.iov_base = name, .iov_len = strlen(name) + 1},
                             {.iov_base = marks.bytes, .iov_len = marks.length}};
    if (file->urls) {
        memcpy(&parts[2].iov_base, &file->urls->text, sizeof file->urls->text);
        parts[2].iov_len = file->urls->length;
    }
    sha256_hash(parts, file->urls ? 3 : 2, hash);
}

static void add(struct index_sum *sum, const uint8_t hash[SHA256_BYTES])
{
    unsigned carry = 0;

    for (size_t i = INDEX_SUM_BYTES; i-- > 0;) {
        carry += (unsigned)sum->bytes[i] + hash[i];
        sum->bytes[i] = (uint8_t)carry;
        carry >>= 8;
    }
}

void index_sum_add(struct index_sum *sum, const struct index_sum_file *file)
{
    uint8_t hash[SHA256_BYTES];

    hash_file(file, hash);
    add(sum, hash);
}

/* Adds the two's complement. */
void index_sum_subtract(struct index_sum *sum, const struct index_sum_file *file)
{
    static const uint8_t one[SHA256_BYTES] = {[SHA256_BYTES - 1] = 1};
    uint8_t hash[SHA256_BYTES];

    hash_file(file, hash);
    for (size_t i = 0; i < sizeof hash; i++)
        hash[i] = (uint8_t)~hash[i];
    add(sum, hash);
    add(sum, one);
}

void index_sum_add_usual(struct index_sum *sum, const struct index_sum_urls *urls)
{
    uint8_t urls_mark = MARK_URLS;
    uint8_t hash[SHA256_BYTES];
    struct iovec parts[2] = {{.iov_base = &urls_mark, .iov_len = 1}, {.iov_len = urls->length}};

    memcpy(&parts[1].iov_base, &urls->text, sizeof urls->text);
    sha256_hash(parts, urls->length > 0 ? 2 : 1, hash);
    add(sum, hash);
}

bool index_sum_equal(const struct index_sum *left, const struct index_sum *right)
{
    return memcmp(left->bytes, right->bytes, sizeof left->bytes) == 0;
}

static struct content_id as_id(const struct index_sum *sum)
{
    struct content_id id;

    memcpy(id.bytes, sum->bytes, sizeof id.bytes);
    return id;
}

const char *index_sum_format(const struct index_sum *sum, char out[INDEX_SUM_DIGITS + 1])
{
    const struct content_id id = as_id(sum);

    return content_id_format(&id, out);
}

bool index_sum_parse(const char *text, size_t length, struct index_sum *sum)
{
    struct content_id id;

    if (strlen(text) != length || !content_id_parse(text, &id))
        return false;
    memcpy(sum->bytes, id.bytes, sizeof sum->bytes);
    return true;
}
