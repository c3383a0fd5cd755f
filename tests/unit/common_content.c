/* Content ids against values that Python's hashlib computed of the same bytes. */
#include "unit.h"

#include "common/content.h"

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
    {0, 0, "a2b9f0d6594982a95aadbe37fdfa8b741875e65837384e7094f1193e2dbd4ded"},
    {1, 1, "23e7925455daff1db988c452c43e1358e23791dce66fc84ad100d7ccc5485581"},
    {1048575, 1, "a8b92a59f73c750e870d6bee927a4fd47266953c0d65405e96075bbada20d53b"},
    {1048576, 1, "0a4bbe2bebd915f98423a5e6e7e3c5e197875edcd678dc54d33ed4dee9f15712"},
    {1048577, 2, "b5b25612b7fbc8bb2e8dad3822cad7b463cba32e8c8ba930817af252e880d705"},
    {3670016, 4, "0b3fd030637ec63bd6313b9915a1b02c9e8176ea69d1cfb0bb0fa830dbc6802f"},
};

static void hash_stream(const uint8_t *bytes, size_t size, size_t step, struct manifest *manifest)
{
    struct content_hasher *hasher = content_hasher_new();

    for (size_t at = 0; at < size; at += step)
        assert_int_equal(
            content_hasher_update(hasher, bytes + at, size - at < step ? size - at : step, NULL),
            ERROR_NONE);
    content_hasher_finish(hasher, manifest);
    content_hasher_free(hasher);
}

static void streams_have_the_known_ids(void **state)
{
    static const size_t steps[] = {4096, 65537, PIECE_BYTES, 5000000};
    char text[CONTENT_ID_DIGITS + 1];

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(known); i++)
        for (size_t j = 0; j < ARRAY_LENGTH(steps); j++) {
            uint8_t *bytes = pattern(known[i].size);
            auto_manifest manifest;
            hash_stream(bytes, known[i].size, steps[j], &manifest);
            check_row(i, strcmp(content_id_format(&manifest.id, text), known[i].id) == 0);
            check_row(i, manifest.size_bytes == (int64_t)known[i].size);
            check_row(i, manifest.piece_count == known[i].pieces);
            check_row(i, manifest_check(&manifest, NULL) == ERROR_NONE);
            free(bytes);
        }
}

static void pieces_have_the_known_ids(void **state)
{
    char text[CONTENT_ID_DIGITS + 1];

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(known); i++) {
        uint8_t *bytes = pattern(known[i].size);
        auto_manifest manifest;
        assert_int_equal(manifest_init(&manifest, (int64_t)known[i].size, NULL), ERROR_NONE);
        check_row(i, manifest.piece_count == known[i].pieces);
        for (size_t piece = manifest.piece_count; piece-- > 0;)
            content_hash_piece(bytes + piece * PIECE_BYTES,
                               content_piece_bytes(manifest.size_bytes, piece),
                               manifest.hashes[piece]);
        manifest_seal(&manifest);
        check_row(i, strcmp(content_id_format(&manifest.id, text), known[i].id) == 0);
        free(bytes);
    }
}

static void a_hasher_can_be_used_again(void **state)
{
    struct content_hasher *hasher = content_hasher_new();
    struct piece_hasher *piece = piece_hasher_new();
    uint8_t first[HASH_BYTES], second[HASH_BYTES];

    (void)state;
    for (int round = 0; round < 2; round++) {
        auto_manifest manifest;
        char text[CONTENT_ID_DIGITS + 1];
        uint8_t *byte = pattern(1);
        assert_int_equal(content_hasher_update(hasher, byte, 1, NULL), ERROR_NONE);
        content_hasher_finish(hasher, &manifest);
        assert_string_equal(content_id_format(&manifest.id, text), known[1].id);
        free(byte);
    }
    piece_hasher_update(piece, "junk", 4);
    piece_hasher_reset(piece);
    piece_hasher_update(piece, "a", 1);
    piece_hasher_update(piece, "bc", 2);
    piece_hasher_finish(piece, first);
    content_hash_piece("abc", 3, second);
    assert_memory_equal(first, second, HASH_BYTES);
    content_hasher_free(hasher);
    piece_hasher_free(piece);
}

static void what_does_not_belong_together_is_seen(void **state)
{
    uint8_t *bytes = pattern(3 * PIECE_BYTES);
    auto_manifest manifest;
    auto_manifest copy;

    (void)state;
    hash_stream(bytes, 3 * PIECE_BYTES, PIECE_BYTES, &manifest);
    free(bytes);
    assert_int_equal(manifest_copy(&manifest, &copy, NULL), ERROR_NONE);
    assert_int_equal(manifest_check(&copy, NULL), ERROR_NONE);
    assert_true(content_id_equal(&manifest.id, &copy.id));
    copy.hashes[1][7] ^= 1;
    assert_int_equal(manifest_check(&copy, NULL), ERROR_CORRUPT);
    copy.hashes[1][7] ^= 1;
    copy.size_bytes--; /* as many pieces, another size */
    assert_int_equal(manifest_check(&copy, NULL), ERROR_CORRUPT);
    copy.size_bytes++;
    copy.piece_count--;
    assert_int_equal(manifest_check(&copy, NULL), ERROR_CORRUPT);
    copy.piece_count++;
    assert_int_equal(manifest_check(&copy, NULL), ERROR_NONE);
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
        cmocka_unit_test(streams_have_the_known_ids),
        cmocka_unit_test(pieces_have_the_known_ids),
        cmocka_unit_test(a_hasher_can_be_used_again),
        cmocka_unit_test(what_does_not_belong_together_is_seen),
        cmocka_unit_test(sizes_have_limits),
        cmocka_unit_test(text_of_an_id),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
