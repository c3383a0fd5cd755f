#include "common/content.h"

#include "common/memory.h"

#include <assert.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define CONTENT_TAG "p2p-content-1\n"

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

/* What OpenSSL may fail at here is memory, which our own allocations do not survive either. */
static void must(int result)
{
    if (result != 1)
        abort();
}

void content_hash_piece(const void *data, size_t length, uint8_t hash[HASH_BYTES])
{
    must(EVP_Digest(data, length, hash, NULL, EVP_sha256(), NULL));
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
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    uint8_t size[8];

    for (size_t i = 0; i < sizeof size; i++)
        size[i] = (uint8_t)((uint64_t)manifest->size_bytes >> (8 * (sizeof size - 1 - i)));
    must(context != NULL);
    must(EVP_DigestInit_ex(context, EVP_sha256(), NULL));
    must(EVP_DigestUpdate(context, CONTENT_TAG, sizeof CONTENT_TAG - 1));
    must(EVP_DigestUpdate(context, size, sizeof size));
    must(EVP_DigestUpdate(context, manifest->hashes, manifest->piece_count * HASH_BYTES));
    must(EVP_DigestFinal_ex(context, id->bytes, NULL));
    EVP_MD_CTX_free(context);
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

enum error_code manifest_copy(const struct manifest *from, struct manifest *to, struct error *error)
{
    enum error_code code = manifest_init(to, from->size_bytes, error);

    if (code)
        return code;
    if (from->piece_count > 0)
        memcpy(to->hashes, from->hashes, from->piece_count * sizeof *from->hashes);
    to->id = from->id;
    return ERROR_NONE;
}

struct piece_hasher {
    EVP_MD_CTX *context;
};

struct piece_hasher *piece_hasher_new(void)
{
    struct piece_hasher *hasher = memory_new(1, sizeof *hasher);

    hasher->context = EVP_MD_CTX_new();
    must(hasher->context != NULL);
    must(EVP_DigestInit_ex(hasher->context, EVP_sha256(), NULL));
    return hasher;
}

void piece_hasher_free(struct piece_hasher *hasher)
{
    if (!hasher)
        return;
    EVP_MD_CTX_free(hasher->context);
    free(hasher);
}

void piece_hasher_update(struct piece_hasher *hasher, const void *data, size_t length)
{
    must(EVP_DigestUpdate(hasher->context, data, length));
}

void piece_hasher_reset(struct piece_hasher *hasher)
{
    must(EVP_DigestInit_ex(hasher->context, NULL, NULL));
}

void piece_hasher_finish(struct piece_hasher *hasher, uint8_t hash[HASH_BYTES])
{
    must(EVP_DigestFinal_ex(hasher->context, hash, NULL));
    piece_hasher_reset(hasher);
}

struct content_hasher {
    struct piece_hasher *piece;
    size_t in_piece; /* bytes of the piece that is not whole yet */
    int64_t size_bytes;
    uint8_t (*hashes)[HASH_BYTES];
    size_t count, capacity;
};

struct content_hasher *content_hasher_new(void)
{
    struct content_hasher *hasher = memory_new(1, sizeof *hasher);

    hasher->piece = piece_hasher_new();
    return hasher;
}

void content_hasher_free(struct content_hasher *hasher)
{
    if (!hasher)
        return;
    piece_hasher_free(hasher->piece);
    free(hasher->hashes);
    free(hasher);
}

static void end_piece(struct content_hasher *hasher)
{
    if (hasher->count == hasher->capacity) {
        hasher->capacity = hasher->capacity ? 2 * hasher->capacity : 4;
        hasher->hashes = memory_resize(hasher->hashes, hasher->capacity, sizeof *hasher->hashes);
    }
    piece_hasher_finish(hasher->piece, hasher->hashes[hasher->count++]);
    hasher->in_piece = 0;
}

enum error_code content_hasher_update(struct content_hasher *hasher, const void *data,
                                      size_t length, struct error *error)
{
    const uint8_t *bytes = data;

    if ((uint64_t)length > (uint64_t)(CONTENT_MAX_BYTES - hasher->size_bytes))
        return error_set(error, ERROR_TOO_LARGE, "El archivo es demasiado grande");
    hasher->size_bytes += (int64_t)length;
    while (length > 0) {
        size_t room = PIECE_BYTES - hasher->in_piece;
        size_t part = length < room ? length : room;
        piece_hasher_update(hasher->piece, bytes, part);
        hasher->in_piece += part;
        bytes += part;
        length -= part;
        if (hasher->in_piece == PIECE_BYTES)
            end_piece(hasher);
    }
    return ERROR_NONE;
}

void content_hasher_finish(struct content_hasher *hasher, struct manifest *manifest)
{
    if (hasher->in_piece > 0)
        end_piece(hasher);
    *manifest = (struct manifest){.size_bytes = hasher->size_bytes,
                                  .piece_count = hasher->count,
                                  .hashes = take_pointer(&hasher->hashes)};
    manifest_seal(manifest);
    hasher->size_bytes = 0;
    hasher->count = hasher->capacity = 0;
}
