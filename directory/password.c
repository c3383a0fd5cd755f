#include "directory/password.h"

#include <sodium.h>
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

bool password_matches(const char *hash, const char *password, size_t length)
{
    return crypto_pwhash_str_verify(hash, password, length) == 0;
}

bool password_hash_is_good(const char *hash)
{
    static const char prefix[] = crypto_pwhash_STRPREFIX "v=19$m=";
    unsigned long long kibibytes = 0;

    if (strlen(hash) >= PASSWORD_HASH_BYTES || strncmp(hash, prefix, sizeof prefix - 1) != 0)
        return false;
    for (const char *digit = hash + sizeof prefix - 1; *digit >= '0' && *digit <= '9'; digit++)
        kibibytes = kibibytes * 10 + (unsigned)(*digit - '0');
    /* It reads the whole string; 1 says "other parameters than these", which is fine. */
    return kibibytes <= memory_max_bytes / 1024 &&
           crypto_pwhash_str_needs_rehash(hash, passes, memory_bytes) >= 0;
}
