/*
 * What must not be guessed: random keys and tokens, keyed hashes, comparing and wiping. With
 * directory/password (hashes that are slow on purpose) the only module that knows libsodium.
 *
 * Any thread, after secrets_init.
 */
#pragma once

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SECRETS_DIGEST_BYTES 32

/* Before anything else here and in directory/password. More than once is fine. */
MUST_CHECK enum error_code secrets_init(struct error *error);

/* Overwrites, whatever the compiler thinks of it. */
void secrets_wipe(void *data, size_t length);
/* In a time that does not tell where they differ. */
bool secrets_equal(const void *left, const void *right, size_t length);

/* size - 1 random hexadecimal digits (an even number of them) and a NUL. */
void secrets_make_token(char *out, size_t size);

/* For tables whose keys others choose: who does not know the key cannot make collisions
 * (SipHash-2-4). */
struct secrets_slot_key {
    unsigned char bytes[16];
};
void secrets_make_slot_key(struct secrets_slot_key *key);
uint64_t secrets_slot(const struct secrets_slot_key *key, const char *text, size_t length);
/* So wide that no two texts ever have the same. */
void secrets_wide_slot(const struct secrets_slot_key *key, const char *text, size_t length,
                       uint64_t out[2]);

/* The same for ever, since it is stored: a short mark of something long, no secret. */
uint64_t secrets_mark(const char *text, size_t length);

struct secrets_key {
    unsigned char bytes[32];
};
void secrets_make_key(struct secrets_key *key);

/* BLAKE2b of what comes in, piece by piece. Without a key it is a plain digest, the same for ever:
 * some are stored. */
struct secrets_digest {
    _Alignas(64) unsigned char state[384];
};
void secrets_digest_init(struct secrets_digest *digest, const struct secrets_key *key);
void secrets_digest_add(struct secrets_digest *digest, const void *data, size_t length);
void secrets_digest_finish(struct secrets_digest *digest, unsigned char out[SECRETS_DIGEST_BYTES]);
