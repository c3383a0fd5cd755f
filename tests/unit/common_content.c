/* Content ids against values that Python's hashlib computed of the same bytes
 * (tests/e2e/reference.py has the tree); libtorrent 2.0 made the same hashes of pieces of them. */
#include "manifest_of.h"

/* Byte i is (7 * (i % 251) + 3) % 251. */
static uint8_t *pattern(size_t length)
{
    uint8_t *bytes = malloc(length ? length : 1);

    assert_non_null(bytes);
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)((7 * (i % 251) + 3) % 251);
    return bytes;
}

static const struct {
    size_t size;
    size_t pieces;
    const char *id;
} known[] = {
    {0, 0, "f2c25580b57c3f84c56b631ee4024801c69d1befef0ba0dc9e72623de647f31a"},
    {1, 1, "7c099beb559f063a02b836bd090bd350d9a6ce0897c013b78cde1b273fe7f598"},
    {16383, 1, "3f9c5026ada55fae83f7d0f116e0a50768be45d71003e6d81d0ce16ab4992f57"},
    {16384, 1, "c3d6d437db430d86df6f5b5413bb4d9d9f6ca724ae6bdf7c9dc6f1627ef2e5be"},
    {16385, 1, "a56e51e3e0ba1277fd473036199f805a8c9f9e8ef5ab0f87d6e9e3d2e32b6f5b"},
    {49152, 1, "65aba80fe4ce36da82c06290785294d93438f9bb66aade315fbf2e8a1d00d4d4"},
    {49153, 1, "b0ddf84cbf5dc87a4caaa900da280a446332c91dca7048e2200aa4fbd2a7f6b1"},
    {1048575, 1, "adcc47437395a9e5755af66896edabbba67bef46cba636f64d3a75c01392b35e"},
    {1048576, 1, "c2266a9e5a10e67ddbb2e9903f66d229725f5d3c62ed722970cc80a1b5da01b3"},
    {1048577, 2, "d1b26727b280768875d089764d2a5b2816f973f0550c3c7ecb086af70bcb51eb"},
    {1064961, 2, "e441a7cad14c46f02e40e02c2d80cbaa8e29b0e663f33e06b74ca78999c7d27e"},
    {3670016, 4, "74a13b9b8b2f0f6eb1de681aa7705c20470d088b7aed795a09d1320ae12f6a75"},
    {2097152, 2, "154d44e96846ea6f6e523353433ec33447ac1bd934661182a8ecf323c34d8bc8"},
};

static void contents_have_the_known_ids(void **state)
{
    char text[CONTENT_ID_DIGITS + 1];

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(known); i++) {
        uint8_t *bytes = pattern(known[i].size);
        auto_manifest manifest = manifest_of(bytes, known[i].size);
        check_row(i, manifest.piece_count == known[i].pieces);
        check_row(i, strcmp(content_id_format(&manifest.id, text), known[i].id) == 0);
        check_row(i, manifest_check(&manifest, NULL) == ERROR_NONE);
        free(bytes);
    }
}

/* As the transport has them: of any length, any number in a call. */
static void pieces_in_parts_of_any_size(void **state)
{
    static const size_t sizes[] = {1,     16383,  16384,           16385,      32768,
                                   50000, 262144, PIECE_BYTES - 1, PIECE_BYTES};
    struct piece_hasher *hasher = piece_hasher_new();
    uint8_t *bytes = pattern(PIECE_BYTES);
    uint8_t expected[HASH_BYTES], hash[HASH_BYTES];
    uint32_t random = 1;

    (void)state;
    for (size_t row = 0; row < 20 * ARRAY_LENGTH(sizes); row++) {
        size_t size = sizes[row % ARRAY_LENGTH(sizes)];
        int64_t file_bytes = (int64_t)(row % 2 ? size : 3 * PIECE_BYTES);
        for (size_t at = 0; at < size;) {
            struct iovec parts[5];
            size_t count = 0;
            for (; count < ARRAY_LENGTH(parts) && at < size; count++) {
                random = random * 1664525 + 1013904223;
                size_t step = (random >> 16) % (row % 3 ? 40000 : 3000);
                if (step > size - at)
                    step = size - at;
                parts[count] = (struct iovec){.iov_base = bytes + at, .iov_len = step};
                at += step;
            }
            piece_hasher_update(hasher, parts, count);
        }
        piece_hasher_finish(hasher, file_bytes, hash);
        content_hash_piece(file_bytes, bytes, size, expected);
        check_row(row, memcmp(hash, expected, HASH_BYTES) == 0);
    }
    piece_hasher_free(hasher);
    free(bytes);
}

static void a_piece_half_way_is_forgotten(void **state)
{
    struct piece_hasher *piece = piece_hasher_new();
    uint8_t first[HASH_BYTES], second[HASH_BYTES];
    uint8_t *bytes = pattern(PIECE_BYTES);
    struct iovec junk = {.iov_base = bytes + 1, .iov_len = 20 * BLOCK_BYTES + 9};
    struct iovec whole = {.iov_base = bytes, .iov_len = PIECE_BYTES};

    (void)state;
    piece_hasher_update(piece, &junk, 1);
    piece_hasher_reset(piece);
    piece_hasher_update(piece, &whole, 1);
    piece_hasher_finish(piece, PIECE_BYTES, first);
    content_hash_piece(PIECE_BYTES, bytes, PIECE_BYTES, second);
    free(bytes);
    assert_memory_equal(first, second, HASH_BYTES);
    piece_hasher_free(piece);
}

static void what_does_not_belong_together_is_seen(void **state)
{
    uint8_t *bytes = pattern(3 * PIECE_BYTES);
    auto_manifest manifest = manifest_of(bytes, 3 * PIECE_BYTES);

    (void)state;
    free(bytes);
    assert_int_equal(manifest_check(&manifest, NULL), ERROR_NONE);
    manifest.hashes[1][7] ^= 1;
    assert_int_equal(manifest_check(&manifest, NULL), ERROR_CORRUPT);
    manifest.hashes[1][7] ^= 1;
    manifest.size_bytes--; /* as many pieces, another size */
    assert_int_equal(manifest_check(&manifest, NULL), ERROR_CORRUPT);
    manifest.size_bytes++;
    manifest.piece_count--;
    assert_int_equal(manifest_check(&manifest, NULL), ERROR_CORRUPT);
    manifest.piece_count++;
    assert_int_equal(manifest_check(&manifest, NULL), ERROR_NONE);
}

static void sizes_have_limits(void **state)
{
    struct manifest manifest;

    (void)state;
    assert_int_equal(manifest_init(&manifest, -1, NULL), ERROR_INVALID);
    assert_int_equal(manifest_init(&manifest, CONTENT_MAX_BYTES + 1, NULL), ERROR_TOO_LARGE);
    assert_int_equal(manifest_init(&manifest, INT64_MAX, NULL), ERROR_TOO_LARGE);
    assert_null(manifest.hashes);
    assert_int_equal(content_piece_count(CONTENT_MAX_BYTES), MANIFEST_PIECES_MAX);
    assert_int_equal(content_piece_count(0), 0);
    assert_int_equal(content_piece_bytes(1, 0), 1);
    assert_int_equal(content_piece_bytes(PIECE_BYTES, 0), PIECE_BYTES);
    assert_int_equal(content_piece_bytes(PIECE_BYTES + 1, 1), 1);
}

static void text_of_an_id(void **state)
{
    static const char *bad[] = {
        "",
        "00",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0",
        "0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef",
        "g123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        " 123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    };
    static const char good[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    char text[CONTENT_ID_DIGITS + 1];
    struct content_id id, other;

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++)
        check_row(i, !content_id_parse(bad[i], &id));
    assert_true(content_id_parse(good, &id));
    assert_int_equal(id.bytes[1], 0x23);
    assert_string_equal(content_id_format(&id, text), good);
    assert_true(content_id_from_bytes(id.bytes, 32, &other));
    assert_true(content_id_equal(&id, &other));
    assert_false(content_id_from_bytes(id.bytes, 31, &other));
    assert_false(content_id_from_bytes(NULL, 0, &other));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contents_have_the_known_ids),
        cmocka_unit_test(pieces_in_parts_of_any_size),
        cmocka_unit_test(a_piece_half_way_is_forgotten),
        cmocka_unit_test(what_does_not_belong_together_is_seen),
        cmocka_unit_test(sizes_have_limits),
        cmocka_unit_test(text_of_an_id),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
