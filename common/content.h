/*
 * What a file holds, by hash: pieces, content ids and manifests. Pure.
 *
 * A file is cut in pieces of PIECE_BYTES; the last one may be shorter and an empty file has none.
 * A piece's hash is the root of a tree of SHA-256 over its blocks of BLOCK_BYTES, as in the piece
 * layers of BitTorrent v2 (https://www.bittorrent.org/beps/bep_0052.html): the leaves are the
 * hashes of the blocks, the last of which may be shorter, and a node is the hash of its two
 * children one after the other. Leaves beyond the end of the file are 32 zero bytes: as many as a
 * whole piece has in a file of several pieces, up to the next power of two in a file of one (there
 * the hash is BEP 52's "pieces root" of the file). Blocks, for they can be hashed side by side,
 * which takes half of the time. The content id is
 *
 *     SHA-256("p2p-content-2\n" | size, 8 bytes big-endian | all piece hashes in order)
 *
 * so that it can be checked from the size and the hashes alone, and each piece by itself.
 *
 * Any thread; a hasher belongs to one thread at a time.
 */
#pragma once

#include "common/compiler.h"
#include "common/content_id.h"
#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define PIECE_BYTES ((size_t)1 << 20)
#define BLOCK_BYTES ((size_t)16 << 10)

/* 1 TiB in pieces: a manifest takes at most 32 MiB of memory, for us and for who sends us one.
 * Larger files are shared without an id. */
#define MANIFEST_PIECES_MAX ((size_t)1 << 20)
#define CONTENT_MAX_BYTES   ((int64_t)(MANIFEST_PIECES_MAX * PIECE_BYTES))

struct manifest {
    int64_t size_bytes;
    size_t piece_count;            /* content_piece_count(size_bytes) */
    uint8_t (*hashes)[HASH_BYTES]; /* owned by the manifest; NULL when there are no pieces */
    struct content_id id;
};

/* Pieces of a file, and bytes of its piece number `index`, which must exist. */
size_t content_piece_count(int64_t size_bytes);
size_t content_piece_bytes(int64_t size_bytes, size_t index);

/* The hash of one whole piece, in memory, of a file of that size. */
void content_hash_piece(int64_t file_bytes, const void *data, size_t length,
                        uint8_t hash[HASH_BYTES]);

/* Room for the hashes of a file of that size, all zero, and no id yet. ERROR_TOO_LARGE over
 * CONTENT_MAX_BYTES, ERROR_INVALID below 0, ERROR_BUSY: no memory. *manifest is owned by the
 * caller (manifest_done), and empty after an error. */
MUST_CHECK enum error_code manifest_init(struct manifest *manifest, int64_t size_bytes,
                                         struct error *error);
void manifest_done(struct manifest *manifest);
#define auto_manifest CLEANUP(manifest_done) struct manifest

/* Computes the id from size and hashes: after all hashes were filled in. */
void manifest_seal(struct manifest *manifest);

/* Whether the id is that of the size and the hashes. ERROR_CORRUPT when it is not. */
MUST_CHECK enum error_code manifest_check(const struct manifest *manifest, struct error *error);

/* Hashes one piece after the other, each from parts as they come; fastest with SHA256_LANES blocks
 * or more in a call, and parts that are whole blocks. Half a MiB, used as it is needed. */
struct piece_hasher;
struct piece_hasher *piece_hasher_new(void); /* owned by the caller; never NULL */
void piece_hasher_free(struct piece_hasher *hasher);
/* No more than PIECE_BYTES between two finishes. */
void piece_hasher_update(struct piece_hasher *hasher, const struct iovec *parts, size_t count);
/* The hash of what came since the last finish, the reset or the start, which was not nothing. */
void piece_hasher_finish(struct piece_hasher *hasher, int64_t file_bytes, uint8_t hash[HASH_BYTES]);
void piece_hasher_reset(struct piece_hasher *hasher); /* forgets a piece half-way */
