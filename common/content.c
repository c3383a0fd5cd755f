#include "common/content.h"

#include "common/memory.h"
#include "common/sha256.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define CONTENT_TAG "p2p-content-2\n"

#define PIECE_BLOCKS (PIECE_BYTES / BLOCK_BYTES)

size_t content_piece_count(int64_t size_bytes)
{
    return (size_t)(((uint64_t)size_bytes + PIECE_BYTES - 1) / PIECE_BYTES);
}

size_t content_piece_bytes(int64_t size_bytes, size_t index)
{
    int64_t left = size_bytes - (int64_t)(index * PIECE_BYTES);

    assert(left > 0);
    return left < (int64_t)PIECE_BYTES ? (size_t)left : PIECE_BYTES;
}

enum error_code manifest_init(struct manifest *manifest, int64_t size_bytes, struct error *error)
{
    *manifest = (struct manifest){0};
    if (size_bytes < 0)
        return error_set(error, ERROR_INVALID, "Tamaño imposible");
    if (size_bytes > CONTENT_MAX_BYTES)
        return error_set(error, ERROR_TOO_LARGE, "El archivo es demasiado grande");
    size_t count = content_piece_count(size_bytes);
    if (count > 0 && !(manifest->hashes = calloc(count, sizeof *manifest->hashes)))
        return error_set(error, ERROR_BUSY, "No hay memoria para las sumas del archivo");
    manifest->size_bytes = size_bytes;
    manifest->piece_count = count;
    return ERROR_NONE;
}

void manifest_done(struct manifest *manifest)
{
    free(manifest->hashes);
    *manifest = (struct manifest){0};
}

static void compute_id(const struct manifest *manifest, struct content_id *id)
{
    char tag[] = CONTENT_TAG;
    uint8_t size[8];
    struct iovec parts[] = {
        {.iov_base = tag, .iov_len = sizeof tag - 1},
        {.iov_base = size, .iov_len = sizeof size},
        {.iov_base = manifest->hashes, .iov_len = manifest->piece_count * HASH_BYTES}};

    for (size_t i = 0; i < sizeof size; i++)
        size[i] = (uint8_t)((uint64_t)manifest->size_bytes >> (8 * (sizeof size - 1 - i)));
    sha256_hash(parts, ARRAY_LENGTH(parts), id->bytes);
}

void manifest_seal(struct manifest *manifest)
{
    compute_id(manifest, &manifest->id);
}

enum error_code manifest_check(const struct manifest *manifest, struct error *error)
{
    struct content_id id;

    if (manifest->size_bytes >= 0 &&
        manifest->piece_count == content_piece_count(manifest->size_bytes)) {
        compute_id(manifest, &id);
        if (content_id_equal(&id, &manifest->id))
            return ERROR_NONE;
    }
    return error_set(error, ERROR_CORRUPT, "Las sumas del archivo no corresponden a su contenido");
}

struct piece_hasher {
    struct sha256_lanes *lanes;
    /* The tree's lowest level and, while the piece is finished, by turns the next one. */
    uint8_t nodes[2][PIECE_BLOCKS][HASH_BYTES];
    size_t block_count; /* of the piece, so far; the last ones are still in the batch */
    struct sha256_message batch[SHA256_LANES];
    size_t batched;
    bool has_borrowed;              /* the batch has blocks where the caller has them */
    size_t in_block;                /* bytes of a block that is not whole yet, in blocks[batched] */
    uint8_t (*blocks)[BLOCK_BYTES]; /* of the batch, that came in several parts; or NULL */
};

struct piece_hasher *piece_hasher_new(void)
{
    struct piece_hasher *hasher = memory_new(1, sizeof *hasher);

    hasher->lanes = sha256_lanes_new();
    return hasher;
}

void piece_hasher_free(struct piece_hasher *hasher)
{
    if (!hasher)
        return;
    sha256_lanes_free(hasher->lanes);
    free(hasher->blocks);
    free(hasher);
}

static void run_batch(struct piece_hasher *hasher)
{
    sha256_lanes_hash(hasher->lanes, hasher->batch, hasher->batched);
    hasher->batched = 0;
    hasher->has_borrowed = false;
}

static void add_block(struct piece_hasher *hasher, const void *data, size_t length)
{
    assert(hasher->block_count < PIECE_BLOCKS);
    hasher->batch[hasher->batched++] = (struct sha256_message){
        .data = data, .length = length, .hash = hasher->nodes[0][hasher->block_count++]};
    if (hasher->batched == SHA256_LANES)
        run_batch(hasher);
}

/* Returns how many bytes it took. */
static size_t take_part(struct piece_hasher *hasher, const uint8_t *data, size_t length)
{
    size_t room = BLOCK_BYTES - hasher->in_block;

    if (room == BLOCK_BYTES && length >= BLOCK_BYTES) {
        hasher->has_borrowed = true;
        add_block(hasher, data, BLOCK_BYTES);
        return BLOCK_BYTES;
    }
    if (!hasher->blocks)
        hasher->blocks = memory_resize(NULL, SHA256_LANES, BLOCK_BYTES);
    uint8_t *block = hasher->blocks[hasher->batched];
    if (length > room)
        length = room;
    memcpy(block + hasher->in_block, data, length);
    hasher->in_block += length;
    if (hasher->in_block == BLOCK_BYTES) {
        hasher->in_block = 0;
        add_block(hasher, block, BLOCK_BYTES);
    }
    return length;
}

void piece_hasher_update(struct piece_hasher *hasher, const struct iovec *parts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t done = 0; done < parts[i].iov_len;)
            done += take_part(hasher, (uint8_t *)parts[i].iov_base + done, parts[i].iov_len - done);
    if (!hasher->has_borrowed)
        return;
    size_t batched = hasher->batched;
    run_batch(hasher);
    if (hasher->in_block > 0 && batched > 0)
        memcpy(hasher->blocks[0], hasher->blocks[batched], hasher->in_block);
}

void piece_hasher_reset(struct piece_hasher *hasher)
{
    hasher->block_count = hasher->batched = hasher->in_block = 0;
}

/* The leaves that the tree has: a power of two. */
static size_t tree_width(int64_t file_bytes, size_t block_count)
{
    size_t width = 1;

    if (file_bytes > (int64_t)PIECE_BYTES)
        return PIECE_BLOCKS;
    while (width < block_count)
        width *= 2;
    return width;
}

void piece_hasher_finish(struct piece_hasher *hasher, int64_t file_bytes, uint8_t hash[HASH_BYTES])
{
    struct sha256_message pairs[PIECE_BLOCKS / 2];
    unsigned level = 0;

    if (hasher->in_block > 0)
        add_block(hasher, hasher->blocks[hasher->batched], hasher->in_block);
    run_batch(hasher);
    assert(hasher->block_count > 0);
    size_t width = tree_width(file_bytes, hasher->block_count);
    for (size_t i = hasher->block_count; i < width; i++)
        memset(hasher->nodes[0][i], 0, HASH_BYTES);
    for (; width > 1; width /= 2, level = !level) {
        for (size_t i = 0; i < width / 2; i++)
            pairs[i] = (struct sha256_message){.data = hasher->nodes[level][2 * i],
                                               .length = (size_t)2 * HASH_BYTES,
                                               .hash = hasher->nodes[!level][i]};
        sha256_lanes_hash(hasher->lanes, pairs, width / 2);
    }
    memcpy(hash, hasher->nodes[level][0], HASH_BYTES);
    piece_hasher_reset(hasher);
}

void content_hash_piece(int64_t file_bytes, const void *data, size_t length,
                        uint8_t hash[HASH_BYTES])
{
    struct piece_hasher *hasher = piece_hasher_new();
    const uint8_t *block = data;

    for (size_t here; length > 0; block += here, length -= here) {
        here = length < BLOCK_BYTES ? length : BLOCK_BYTES;
        add_block(hasher, block, here);
    }
    piece_hasher_finish(hasher, file_bytes, hash);
    piece_hasher_free(hasher);
}
