#include "directory/secrets.h"

#include <assert.h>
#include <sodium.h>

enum { TOKEN_RANDOM_MAX_BYTES = 64 };

_Static_assert(sizeof((struct secrets_slot_key *)NULL)->bytes == crypto_shorthash_KEYBYTES &&
                   sizeof(uint64_t) == crypto_shorthash_BYTES &&
                   sizeof(uint64_t[2]) == crypto_shorthash_siphashx24_BYTES &&
                   crypto_shorthash_KEYBYTES == crypto_shorthash_siphashx24_KEYBYTES,
               "what libsodium takes and gives");
_Static_assert(sizeof((struct secrets_key *)NULL)->bytes == crypto_generichash_KEYBYTES,
               "what libsodium takes");
_Static_assert(sizeof(struct secrets_digest) >= sizeof(crypto_generichash_state) &&
                   _Alignof(struct secrets_digest) >= _Alignof(crypto_generichash_state),
               "libsodium's state lives in ours");

enum error_code secrets_init(struct error *error)
{
    return sodium_init() < 0 ? error_set(error, ERROR_IO, "libsodium does not start") : ERROR_NONE;
}

void secrets_wipe(void *data, size_t length)
{
    sodium_memzero(data, length);
}

bool secrets_equal(const void *left, const void *right, size_t length)
{
    return sodium_memcmp(left, right, length) == 0;
}

void secrets_make_token(char *out, size_t size)
{
    unsigned char random[TOKEN_RANDOM_MAX_BYTES];
    size_t length = (size - 1) / 2;

    assert(size % 2 == 1 && length <= sizeof random);
    randombytes_buf(random, length);
    sodium_bin2hex(out, size, random, length);
}

void secrets_make_slot_key(struct secrets_slot_key *key)
{
    crypto_shorthash_keygen(key->bytes);
}

uint64_t secrets_slot(const struct secrets_slot_key *key, const char *text, size_t length)
{
    uint64_t hash;

    crypto_shorthash((unsigned char *)&hash, (const unsigned char *)text, length, key->bytes);
    return hash;
}

void secrets_wide_slot(const struct secrets_slot_key *key, const char *text, size_t length,
                       uint64_t out[2])
{
    crypto_shorthash_siphashx24((unsigned char *)out, (const unsigned char *)text, length,
                                key->bytes);
}

uint64_t secrets_mark(const char *text, size_t length)
{
    static const struct secrets_slot_key key;

    return secrets_slot(&key, text, length);
}

void secrets_make_key(struct secrets_key *key)
{
    randombytes_buf(key->bytes, sizeof key->bytes);
}

static crypto_generichash_state *state_of(struct secrets_digest *digest)
{
    return (crypto_generichash_state *)(void *)digest;
}

void secrets_digest_init(struct secrets_digest *digest, const struct secrets_key *key)
{
    crypto_generichash_init(state_of(digest), key ? key->bytes : NULL, key ? sizeof key->bytes : 0,
                            SECRETS_DIGEST_BYTES);
}

void secrets_digest_add(struct secrets_digest *digest, const void *data, size_t length)
{
    crypto_generichash_update(state_of(digest), data, length);
}

void secrets_digest_finish(struct secrets_digest *digest, unsigned char out[SECRETS_DIGEST_BYTES])
{
    crypto_generichash_final(state_of(digest), out, SECRETS_DIGEST_BYTES);
}
