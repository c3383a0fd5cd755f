/*
 * Password hashes. Those that people choose: Argon2id with 19 MiB and 2 passes (OWASP Password
 * Storage Cheat Sheet), some tens of milliseconds each, so never on an HTTP thread. Those that we
 * generate, of 128 random bits: nobody can try them all, however fast each try is, so they are
 * hashed fast (BLAKE2b with a salt). Pure but for the randomness. Any thread, after secrets_init.
 *
 *   $argon2id$v=19$m=19456,t=2,p=1$SALT$HASH
 *   $p2p-random$SALT$HASH      16 and 32 bytes, in base64 without padding
 */
#pragma once

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>

#define PASSWORD_MAX_BYTES    1024
#define PASSWORD_HASH_BYTES   128 /* libsodium's crypto_pwhash_STRBYTES */
#define PASSWORD_RANDOM_BYTES 33  /* 128 bits in hexadecimal and a NUL */

/* ERROR_INVALID for an empty or too long password, ERROR_IO when there is no memory for it. */
MUST_CHECK enum error_code password_hash(const char *password, size_t length,
                                         char hash[PASSWORD_HASH_BYTES], struct error *error);
bool password_matches(const char *hash, const char *password, size_t length);
bool password_hash_is_good(const char *hash);

/* A new password, and its hash. */
void password_generate(char password[PASSWORD_RANDOM_BYTES], char hash[PASSWORD_HASH_BYTES]);
/* Whether the hash is of a generated password, so that password_matches is fast. */
bool password_hash_is_fast(const char *hash);
