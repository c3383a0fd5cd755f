/*
 * SHA-256 of several messages side by side in the processor's vector registers. Used by sha256.c
 * only. Where Intel's library for it (libipsec-mb, x86 only) is found at build time,
 * multi_hash_ipsec.c is built, else multi_hash_none.c.
 */
#pragma once

#include "common/sha256.h"

struct multi_hash;

/* Owned by the caller. NULL: there is none for this machine. */
struct multi_hash *multi_hash_new(void);
void multi_hash_free(struct multi_hash *multi); /* NULL is fine */
/* At most SHA256_LANES messages. */
void multi_hash_run(struct multi_hash *multi, const struct sha256_message *messages, size_t count);
