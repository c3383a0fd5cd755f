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

static void free_spans(struct iovec *spans)
{
    for (size_t i = 0; i < SPANS; i++)
        free(spans[i].iov_base);
}

/* The bytes of a part, collected a few spans at a time as a writer does, are those expected. */
static void check_part(const struct iovec *spans, const struct chunk_part *part,
                       const ProtobufCBinaryData *expected)
{
    size_t done = 0;

    fuzz_check(part->bytes == expected->len);
    while (done < part->bytes) {
        struct iovec some[2];
        size_t covered;
        size_t count =
            spans_slice(spans, SPANS, part->offset + done, part->bytes - done, some, 2, &covered);
        fuzz_check(count >= 1 && count <= 2 && covered > 0 && covered <= part->bytes - done);
        for (size_t i = 0; i < count; i++) {
            fuzz_check(memcmp(some[i].iov_base, expected->data + done, some[i].iov_len) == 0);
            done += some[i].iov_len;
        }
    }
}

/* Expected is what protobuf-c made of the same bytes, NULL: nothing. */
static enum error_code check_chunk(const struct iovec *spans, size_t size,
                                   const Peer__Chunk *expected)
{
    struct chunk chunk;
    struct error error;
    enum error_code code = chunk_parse(spans, SPANS, &chunk, &error);

    if (code) {
        fuzz_check(code == ERROR_CORRUPT && error.text[0] != '\0');
        return code;
    }
    fuzz_check(chunk.data.offset + chunk.data.bytes <= size && chunk.total_bytes >= 0 &&
               chunk.offset >= 0 && chunk.queue_position >= 0 && chunk.length >= 0);
    if (expected) {
        check_part(spans, &chunk.data, &expected->data);
        fuzz_check(chunk.total_bytes == expected->total_bytes);
        fuzz_check(chunk.offset == expected->offset);
        fuzz_check(chunk.queue_position == expected->queue_position);
        fuzz_check(chunk.length == expected->length);
        check_part(spans, &chunk.pieces, &expected->pieces);
    }
    return code;
}

static enum error_code check_upload_chunk(const struct iovec *spans, size_t size,
                                          const Peer__UploadChunk *expected)
{
    struct upload_chunk chunk;
    struct error error;
    enum error_code code = upload_chunk_parse(spans, SPANS, &chunk, &error);

    if (code) {
        fuzz_check(code == ERROR_INVALID && error.text[0] != '\0');
        return code;
    }
    fuzz_check(chunk.filename.offset + chunk.filename.bytes <= size);
    fuzz_check(chunk.data.offset + chunk.data.bytes <= size);
    if (expected) {
        check_part(spans, &chunk.filename, &expected->filename);
        check_part(spans, &chunk.data, &expected->data);
    }
    return code;
}

/* What protobuf-c writes is taken, and means the same. Without unknown fields: protobuf-c lets
 * field number 0 pass, which is no field. */
static void check_canonical(const Peer__Chunk *unpacked, const uint8_t cuts[SPANS])
{
    Peer__Chunk known = PEER__CHUNK__INIT;
    struct iovec spans[SPANS];

    known.data = unpacked->data;
    known.total_bytes = unpacked->total_bytes;
    known.offset = unpacked->offset;
    known.queue_position = unpacked->queue_position;
    known.length = unpacked->length;
    known.pieces = unpacked->pieces;
    size_t size = peer__chunk__get_packed_size(&known);
    auto_free uint8_t *packed = malloc(size + 1);
    fuzz_check(packed && peer__chunk__pack(&known, packed) == size);
    cut(packed, size, cuts, spans);
    enum error_code code = check_chunk(spans, size, &known);
    fuzz_check((code == ERROR_NONE) == (known.total_bytes >= 0 && known.offset >= 0 &&
                                        known.queue_position >= 0 && known.length >= 0));
    free_spans(spans);
}

static void check_canonical_upload(const Peer__UploadChunk *unpacked, const uint8_t cuts[SPANS])
{
    Peer__UploadChunk known = PEER__UPLOAD_CHUNK__INIT;
    struct iovec spans[SPANS];

    known.filename = unpacked->filename;
    known.data = unpacked->data;
    size_t size = peer__upload_chunk__get_packed_size(&known);
    auto_free uint8_t *packed = malloc(size + 1);
    fuzz_check(packed && peer__upload_chunk__pack(&known, packed) == size);
    cut(packed, size, cuts, spans);
    fuzz_check(check_upload_chunk(spans, size, &known) == ERROR_NONE);
    free_spans(spans);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct iovec spans[SPANS];

    if (size < SPANS)
        return 0;
    const uint8_t *cuts = data;
    data += SPANS;
    size -= SPANS;
    cut(data, size, cuts, spans);
    Peer__Chunk *chunk = peer__chunk__unpack(NULL, size, data);
    Peer__UploadChunk *upload = peer__upload_chunk__unpack(NULL, size, data);
    (void)check_chunk(spans, size, chunk);
    (void)check_upload_chunk(spans, size, upload);
    if (chunk)
        check_canonical(chunk, cuts);
    if (upload)
        check_canonical_upload(upload, cuts);
    peer__chunk__free_unpacked(chunk, NULL);
    peer__upload_chunk__free_unpacked(upload, NULL);
    free_spans(spans);
    return 0;
}
