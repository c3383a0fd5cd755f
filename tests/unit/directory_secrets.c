/* The hashes against their authors' vectors: digests are stored, and must never change. */
#include "unit.h"

#include "directory/secrets.h"

static int start(void **state)
{
    (void)state;
    return secrets_init(NULL) || secrets_init(NULL); /* twice is fine */
}

static void digests_are_blake2b(void **state)
{
    static const struct {
        const char *text;
        bool keyed; /* with the bytes 0 to 31 */
        unsigned char expected[4];
    } rows[] = {
        {"", false, {0x0e, 0x57, 0x51, 0xc0}},
        {"abc", false, {0xbd, 0xdd, 0x81, 0x3c}},
        {"abc", true, {0xd6, 0x3a, 0x32, 0xd3}},
    };
    struct secrets_key key;

    (void)state;
    for (size_t i = 0; i < sizeof key.bytes; i++)
        key.bytes[i] = (unsigned char)i;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        size_t length = strlen(rows[i].text);
        for (size_t cut = 0; cut <= length; cut++) { /* pieces make no difference */
            struct secrets_digest digest;
            unsigned char out[SECRETS_DIGEST_BYTES];
            secrets_digest_init(&digest, rows[i].keyed ? &key : NULL);
            secrets_digest_add(&digest, rows[i].text, cut);
            secrets_digest_add(&digest, rows[i].text + cut, length - cut);
            secrets_digest_finish(&digest, out);
            check_row(i, memcmp(out, rows[i].expected, sizeof rows[i].expected) == 0);
        }
    }
}

static void slots_are_siphash(void **state)
{
    struct secrets_slot_key key;
    char text[15];

    (void)state;
    for (size_t i = 0; i < sizeof key.bytes; i++)
        key.bytes[i] = (unsigned char)i;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)i;
    /* The example of the paper's appendix. */
    assert_int_equal(secrets_slot(&key, text, sizeof text), 0xa129ca6149be45e5);
}

static void keys_and_tokens_are_random(void **state)
{
    struct secrets_slot_key slot_keys[2] = {0};
    struct secrets_key keys[2] = {0};
    char tokens[2][33];

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        secrets_make_slot_key(&slot_keys[i]);
        secrets_make_key(&keys[i]);
        secrets_make_token(tokens[i], sizeof tokens[i]);
        assert_int_equal(strlen(tokens[i]), 32);
        assert_int_equal(strspn(tokens[i], "0123456789abcdef"), 32);
    }
    assert_memory_not_equal(&slot_keys[0], &slot_keys[1], sizeof slot_keys[0]);
    assert_memory_not_equal(&keys[0], &keys[1], sizeof keys[0]);
    assert_string_not_equal(tokens[0], tokens[1]);
}

static void comparing_and_wiping(void **state)
{
    char left[] = "secret";
    const char zeros[sizeof left] = "";

    (void)state;
    assert_true(secrets_equal(left, "secret", sizeof left));
    assert_false(secrets_equal(left, "secreT", sizeof left));
    assert_true(secrets_equal(left, "secreT", sizeof left - 2));
    secrets_wipe(left, sizeof left);
    assert_memory_equal(left, zeros, sizeof left);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests_are_blake2b),
        cmocka_unit_test(slots_are_siphash),
        cmocka_unit_test(keys_and_tokens_are_random),
        cmocka_unit_test(comparing_and_wiping),
    };

    return cmocka_run_group_tests(tests, start, NULL);
}
