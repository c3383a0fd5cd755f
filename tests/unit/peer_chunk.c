/* The chunk messages: against protobuf-c's own packing, cut at every place, and by hand. */
#include "peer/network/chunk.h"
#include "proto/peer.pb-c.h"
#include "unit.h"

#define MESSAGE_MAX 512

/* Splits the bytes into spans of at most step bytes, with an empty one before each. */
static size_t split(const uint8_t *bytes, size_t length, size_t step, struct iovec *spans)
{
    size_t count = 0;

    for (size_t at = 0; at < length; at += step) {
        spans[count++] = (struct iovec){.iov_base = (void *)(uintptr_t)bytes, .iov_len = 0};
        spans[count++] = (struct iovec){.iov_base = (void *)(uintptr_t)(bytes + at),
                                        .iov_len = length - at < step ? length - at : step};
    }
    return count;
}

/* Puts the part together from pieces of at most `capacity` spans. */
static size_t join(const struct iovec *spans, size_t count, const struct chunk_part *part,
                   size_t capacity, char *out)
{
    struct iovec pieces[8];
    size_t done = 0;

    assert_true(capacity <= ARRAY_LENGTH(pieces));
    while (done < part->bytes) {
        size_t covered;
        size_t got = spans_slice(spans, count, part->offset + done, part->bytes - done, pieces,
                                 capacity, &covered);

        assert_in_range(got, 1, capacity);
        for (size_t i = 0; i < got; i++) {
            memcpy(out + done, pieces[i].iov_base, pieces[i].iov_len);
            done += pieces[i].iov_len;
            covered -= pieces[i].iov_len;
        }
        assert_int_equal(covered, 0);
    }
    return done;
}

static void assert_part(const struct iovec *spans, size_t count, const struct chunk_part *part,
                        const char *expected, size_t length)
{
    for (size_t capacity = 1; capacity <= 8; capacity += 7) {
        char copy[MESSAGE_MAX];

        assert_int_equal(join(spans, count, part, capacity, copy), length);
        assert_memory_equal(copy, expected, length);
    }
}

static void reads_what_protobuf_packs(void **state)
{
    uint8_t packed[MESSAGE_MAX];
    struct iovec spans[2 * MESSAGE_MAX];
    char data[200];
    Peer__Chunk out = PEER__CHUNK__INIT;
    size_t length;

    (void)state;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 7);
    out.data = (ProtobufCBinaryData){.data = (uint8_t *)data, .len = sizeof data};
    out.total_bytes = INT64_MAX;
    out.offset = (int64_t)1 << 40;
    out.queue_position = 77;
    out.length = 78;
    length = peer__chunk__pack(&out, packed);
    for (size_t step = 1; step <= length; step++) {
        struct chunk in;
        size_t count = split(packed, length, step, spans);

        assert_int_equal(chunk_parse(spans, count, &in, NULL), ERROR_NONE);
        assert_part(spans, count, &in.data, data, sizeof data);
        assert_true(in.total_bytes == INT64_MAX);
        assert_true(in.offset == (int64_t)1 << 40);
        assert_int_equal(in.queue_position, 77);
        assert_int_equal(in.length, 78);
    }
}

static void reads_upload_chunks(void **state)
{
    uint8_t packed[MESSAGE_MAX];
    struct iovec spans[2 * MESSAGE_MAX];
    char name[] = "año nuevo.txt";
    char data[] = "some bytes";
    Peer__UploadChunk out = PEER__UPLOAD_CHUNK__INIT;
    size_t length;

    (void)state;
    out.filename = (ProtobufCBinaryData){.data = (uint8_t *)name, .len = sizeof name - 1};
    out.data = (ProtobufCBinaryData){.data = (uint8_t *)data, .len = sizeof data};
    length = peer__upload_chunk__pack(&out, packed);
    for (size_t step = 1; step <= length; step++) {
        struct upload_chunk in;
        size_t count = split(packed, length, step, spans);

        assert_int_equal(upload_chunk_parse(spans, count, &in, NULL), ERROR_NONE);
        assert_part(spans, count, &in.filename, name, sizeof name - 1);
        assert_part(spans, count, &in.data, data, sizeof data);
    }
}

#define BYTES(text) text, sizeof(text) - 1

static void follows_protobuf_rules(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
        bool good;
        const char *data;
        long long total;
    } rows[] = {
        {BYTES(""), true, "", 0},
        {BYTES("\x0a\x00"), true, "", 0},
        {BYTES("\x0a\x01x"), true, "x", 0},
        {BYTES("\x0a\x01x\x0a\x02yz"), true, "yz", 0}, /* the last wins */
        {BYTES("\x10\x05\x0a\x01x"), true, "x", 5},    /* any order */
        {BYTES("\x10\x05\x10\x06"), true, "", 6},
        {BYTES("\x1a\x03"
               "abc\x0a\x01x"),
         true, "x", 0},                                 /* unknown field 3, bytes */
        {BYTES("\x18\xff\x01\x0a\x01x"), true, "x", 0}, /* unknown varint */
        {BYTES("\x19"
               "12345678\x0a\x01x"),
         true, "x", 0}, /* unknown fixed64 */
        {BYTES("\x1d"
               "1234\x0a\x01x"),
         true, "x", 0},                    /* unknown fixed32 */
        {BYTES("\x08\x05"), true, "", 0},  /* data of another type: unknown */
        {BYTES("\x12\x01x"), true, "", 0}, /* total of another type: unknown */
        {BYTES("\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), false, "", -1},
        {BYTES("\x8a\x80\x80\x80\x00\x01x"), true, "x", 0}, /* a long form of the tag */
        {BYTES("\x0a"), false, "", 0},
        {BYTES("\x0a\x02x"), false, "", 0},
        {BYTES("\x0a\x80"), false, "", 0},
        {BYTES("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), false, "", 0},
        {BYTES("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), false, "", 0},
        {BYTES("\x10"), false, "", 0},
        {BYTES("\x19"
               "1234567"),
         false, "", 0},
        {BYTES("\x1d"
               "123"),
         false, "", 0},
        {BYTES("\x00\x00"), false, "", 0}, /* field 0 */
        {BYTES("\x02\x00"), false, "", 0},
        {BYTES("\x0b\x0c"), false, "", 0}, /* a group */
        {BYTES("\x0c"), false, "", 0},
        {BYTES("\x0e"), false, "", 0},                     /* no such wire type */
        {BYTES("\xf8\xff\xff\xff\x10\x00"), false, "", 0}, /* field number over 2^29 */
    };
    struct iovec spans[2 * MESSAGE_MAX];

    (void)state;
    for (size_t row = 0; row < ARRAY_LENGTH(rows); row++)
        for (size_t step = 1; step <= 12; step++) {
            struct chunk in;
            size_t count = split((const uint8_t *)rows[row].bytes, rows[row].length, step, spans);
            enum error_code code = chunk_parse(spans, count, &in, NULL);

            check_row(row, code == (rows[row].good ? ERROR_NONE : ERROR_CORRUPT));
            if (code)
                continue;
            assert_part(spans, count, &in.data, rows[row].data, strlen(rows[row].data));
            check_row(row, in.total_bytes == rows[row].total);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_protobuf_packs),
        cmocka_unit_test(reads_upload_chunks),
        cmocka_unit_test(follows_protobuf_rules),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
