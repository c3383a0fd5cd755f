/*
 * Password hashes: Argon2id with 19 MiB and 2 passes (OWASP Password Storage Cheat Sheet), some
 * tens of milliseconds each, so never on an HTTP thread. Pure but for the random salt. Any thread,
 * after secrets_init.
 */
#pragma once

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>

#define PASSWORD_MAX_BYTES  1024
#define PASSWORD_HASH_BYTES 128 /* libsodium's crypto_pwhash_STRBYTES */

/* ERROR_INVALID for an empty or too long password, ERROR_IO when there is no memory for it. */
MUST_CHECK enum error_code password_hash(const char *password, size_t length,
                                         char hash[PASSWORD_HASH_BYTES], struct error *error);
bool password_matches(const char *hash, const char *password, size_t length);
bool password_hash_is_good(const char *hash);
