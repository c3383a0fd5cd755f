#include "directory/password.h"

#include "directory/secrets.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

_Static_assert(PASSWORD_HASH_BYTES == crypto_pwhash_STRBYTES, "the size that libsodium writes");

static const size_t memory_bytes = 19 << 20;
static const unsigned long long passes = 2;
/* What a hash of others' making may ask for: a typing error must not take all of the memory. */
static const size_t memory_max_bytes = 1 << 30;

enum error_code password_hash(const char *password, size_t length, char hash[PASSWORD_HASH_BYTES],
                              struct error *error)
{
    if (length == 0 || length > PASSWORD_MAX_BYTES)
        return error_set(error, ERROR_INVALID, "a password has 1 to %d bytes", PASSWORD_MAX_BYTES);
    if (crypto_pwhash_str_alg(hash, password, length, passes, memory_bytes,
                              crypto_pwhash_ALG_ARGON2ID13) != 0)
        return error_set(error, ERROR_IO, "no memory for hashing a password");
    return ERROR_NONE;
}

/* ---- generated ones ---- */

#define FAST_PREFIX "$p2p-random$"

enum {
    SALT_BYTES = 16,
    FAST_BYTES = 32,
    PREFIX_LENGTH = sizeof FAST_PREFIX - 1,
    SALT_LENGTH = 22, /* as base64 without padding */
    FAST_LENGTH = 43,
    VARIANT = sodium_base64_VARIANT_ORIGINAL_NO_PADDING,
};

_Static_assert(SALT_BYTES >= crypto_generichash_KEYBYTES_MIN, "the salt is the key");

static void hash_fast(const unsigned char salt[SALT_BYTES], const char *password, size_t length,
                      unsigned char out[FAST_BYTES])
{
    crypto_generichash(out, FAST_BYTES, (const unsigned char *)password, length, salt, SALT_BYTES);
}

void password_generate(char password[PASSWORD_RANDOM_BYTES], char hash[PASSWORD_HASH_BYTES])
{
    unsigned char salt[SALT_BYTES];
    unsigned char fast[FAST_BYTES];
    char salt_text[SALT_LENGTH + 1];
    char fast_text[FAST_LENGTH + 1];

    secrets_make_token(password, PASSWORD_RANDOM_BYTES);
    randombytes_buf(salt, sizeof salt);
    hash_fast(salt, password, PASSWORD_RANDOM_BYTES - 1, fast);
    sodium_bin2base64(salt_text, sizeof salt_text, salt, sizeof salt, VARIANT);
    sodium_bin2base64(fast_text, sizeof fast_text, fast, sizeof fast, VARIANT);
    snprintf(hash, PASSWORD_HASH_BYTES, FAST_PREFIX "%s$%s", salt_text, fast_text);
}

bool password_hash_is_fast(const char *hash)
{
    return strncmp(hash, FAST_PREFIX, PREFIX_LENGTH) == 0;
}

static bool decode(const char *text, size_t length, unsigned char *out, size_t size)
{
    size_t used = 0;

    return sodium_base642bin(out, size, text, length, NULL, &used, NULL, VARIANT) == 0 &&
           used == size;
}

static bool parse_fast(const char *hash, unsigned char salt[SALT_BYTES],
                       unsigned char fast[FAST_BYTES])
{
    return strlen(hash) == PREFIX_LENGTH + SALT_LENGTH + 1 + FAST_LENGTH &&
           hash[PREFIX_LENGTH + SALT_LENGTH] == '$' &&
           decode(hash + PREFIX_LENGTH, SALT_LENGTH, salt, SALT_BYTES) &&
           decode(hash + PREFIX_LENGTH + SALT_LENGTH + 1, FAST_LENGTH, fast, FAST_BYTES);
}

static bool matches_fast(const char *hash, const char *password, size_t length)
{
    unsigned char salt[SALT_BYTES];
    unsigned char expected[FAST_BYTES];
    unsigned char fast[FAST_BYTES];

    if (!parse_fast(hash, salt, expected))
        return false;
    hash_fast(salt, password, length, fast);
    return sodium_memcmp(fast, expected, sizeof fast) == 0;
}

bool password_matches(const char *hash, const char *password, size_t length)
{
    if (password_hash_is_fast(hash))
        return matches_fast(hash, password, length);
    return crypto_pwhash_str_verify(hash, password, length) == 0;
}

/* The value of a digit and one more, so that all others have 0. */
static const unsigned char base64_digits[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,
    ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
    ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
    ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
    ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
    ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63, ['/'] = 64,
};

/* unused: the bits of the last digit that are zero. libsodium's decoder takes the same time for all
 * texts, and so ten times as long: too long for a million lines at start. */
static bool is_base64(const char *text, size_t length, unsigned unused)
{
    bool good = true;

    for (size_t i = 0; i < length; i++)
        good &= base64_digits[(unsigned char)text[i]] != 0;
    unsigned last = base64_digits[(unsigned char)text[length - 1]];
    return good && ((last - 1) & ((1U << unused) - 1)) == 0;
}

static bool fast_is_good(const char *hash)
{
    return strlen(hash) == PREFIX_LENGTH + SALT_LENGTH + 1 + FAST_LENGTH &&
           is_base64(hash + PREFIX_LENGTH, SALT_LENGTH, 6 * SALT_LENGTH - 8 * SALT_BYTES) &&
           hash[PREFIX_LENGTH + SALT_LENGTH] == '$' &&
           is_base64(hash + PREFIX_LENGTH + SALT_LENGTH + 1, FAST_LENGTH,
                     6 * FAST_LENGTH - 8 * FAST_BYTES);
}

bool password_hash_is_good(const char *hash)
{
    static const char prefix[] = crypto_pwhash_STRPREFIX "v=19$m=";
    unsigned long long kibibytes = 0;

    if (password_hash_is_fast(hash))
        return fast_is_good(hash);
    if (strlen(hash) >= PASSWORD_HASH_BYTES || strncmp(hash, prefix, sizeof prefix - 1) != 0)
        return false;
    for (const char *digit = hash + sizeof prefix - 1; *digit >= '0' && *digit <= '9'; digit++)
        kibibytes = kibibytes * 10 + (unsigned)(*digit - '0');
    /* It reads the whole string; 1 says "other parameters than these", which is fine. */
    return kibibytes <= memory_max_bytes / 1024 &&
           crypto_pwhash_str_needs_rehash(hash, passes, memory_bytes) >= 0;
}
