/* The manifest of bytes in memory; its owner is the caller. */
#pragma once

#include "unit.h"

#include "common/content.h"

static inline struct manifest manifest_of(const uint8_t *bytes, size_t length)
{
    struct manifest manifest;

    assert_int_equal(manifest_init(&manifest, (int64_t)length, NULL), ERROR_NONE);
    for (size_t i = 0; i < manifest.piece_count; i++)
        content_hash_piece(manifest.size_bytes, bytes + i * PIECE_BYTES,
                           content_piece_bytes(manifest.size_bytes, i), manifest.hashes[i]);
    manifest_seal(&manifest);
    return manifest;
}
