/* peer/network/chunk: agrees with protobuf-c about the same bytes, however they are cut into spans.
 */
#include "fuzz.h"

#include "common/memory.h"
#include "peer/network/chunk.h"
#include "proto/peer.pb-c.h"

enum { SPANS = 5 };

/* Spans over the message in memory of their own each, cut where the cuts say; some are empty. */
static void cut(const uint8_t *data, size_t size, const uint8_t cuts[SPANS], struct iovec *spans)
{
    for (size_t i = 0; i < SPANS; i++) {
        size_t length = i + 1 < SPANS && cuts[i] < size ? cuts[i] : size;
        if (i + 1 < SPANS && cuts[i] >= size)
            length = size / 2;
        spans[i] = (struct iovec){.iov_base = malloc(length ? length : 1), .iov_len = length};
        if (!spans[i].iov_base)
            abort();
        memcpy(spans[i].iov_base, data, length);
        data += length;
        size -= length;
    }
}

/* What the chunk's data is, collected a few spans at a time as a writer does. */
static char *gather(const struct iovec *spans, const struct chunk *chunk)
{
    char *data = malloc(chunk->data.bytes + 1);
    size_t done = 0;

    while (data && done < chunk->data.bytes) {
        struct iovec part[2];
        size_t covered;
        size_t count = spans_slice(spans, SPANS, chunk->data.offset + done,
                                   chunk->data.bytes - done, part, 2, &covered);
        fuzz_check(count >= 1 && count <= 2 && covered > 0 && covered <= chunk->data.bytes - done);
        for (size_t i = 0; i < count; i++) {
            memcpy(data + done, part[i].iov_base, part[i].iov_len);
            done += part[i].iov_len;
        }
    }
    fuzz_check(data && done == chunk->data.bytes);
    return data;
}

static void check_agrees(const struct iovec *spans, const struct chunk *chunk,
                         const Peer__Chunk *expected)
{
    auto_free char *data = gather(spans, chunk);

    fuzz_check(chunk->data.bytes == expected->data.len);
    fuzz_check(chunk->data.bytes == 0 ||
               memcmp(data, expected->data.data, expected->data.len) == 0);
    fuzz_check(chunk->total_bytes == expected->total_bytes);
}

/* What protobuf-c writes of it is taken, and means the same. Without unknown fields: protobuf-c
 * lets field number 0 pass, which is no field. */
static void check_canonical(const Peer__Chunk *unpacked, const uint8_t cuts[SPANS])
{
    Peer__Chunk known = PEER__CHUNK__INIT;
    const Peer__Chunk *expected = &known;
    known.data = unpacked->data;
    known.total_bytes = unpacked->total_bytes;
    size_t size = peer__chunk__get_packed_size(expected);
    auto_free uint8_t *packed = malloc(size + 1);
    struct iovec spans[SPANS];
    struct chunk chunk;

    fuzz_check(packed && peer__chunk__pack(expected, packed) == size);
    cut(packed, size, cuts, spans);
    enum error_code code = chunk_parse(spans, SPANS, &chunk, NULL);
    fuzz_check((code == ERROR_NONE) == (expected->total_bytes >= 0));
    if (code == ERROR_NONE)
        check_agrees(spans, &chunk, expected);
    for (size_t i = 0; i < SPANS; i++)
        free(spans[i].iov_base);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t cuts[SPANS] = {0};
    struct iovec spans[SPANS];
    struct chunk chunk;
    struct error error;

    if (size < SPANS)
        return 0;
    memcpy(cuts, data, SPANS);
    data += SPANS;
    size -= SPANS;
    cut(data, size, cuts, spans);
    enum error_code code = chunk_parse(spans, SPANS, &chunk, &error);
    fuzz_check(code == ERROR_NONE || (code == ERROR_CORRUPT && error.text[0] != '\0'));
    fuzz_check(code || chunk.data.offset + chunk.data.bytes <= size);

    Peer__Chunk *expected = peer__chunk__unpack(NULL, size, data);
    if (expected && !code)
        check_agrees(spans, &chunk, expected);
    if (expected) {
        check_canonical(expected, cuts);
        peer__chunk__free_unpacked(expected, NULL);
    }
    for (size_t i = 0; i < SPANS; i++)
        free(spans[i].iov_base);
    return 0;
}
