#include "common/sha256.h"

#include "common/memory.h"
#include "common/multi_hash.h"

#include <assert.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>

/* With fewer messages one after the other is faster: the lanes that are empty cost as much. */
#define MULTI_MIN 8

struct sha256_lanes {
    EVP_MD_CTX *context;
    struct multi_hash *multi; /* made when first needed; NULL, too, where there is none */
    bool has_tried;
};

/* What OpenSSL may fail at here is memory, which our own allocations do not survive either. */
static void must(int result)
{
    if (result != 1)
        abort();
}

static EVP_MD_CTX *new_context(void)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();

    must(context != NULL);
    must(EVP_DigestInit_ex(context, EVP_sha256(), NULL));
    return context;
}

void sha256_hash(const struct iovec *parts, size_t count, uint8_t hash[SHA256_BYTES])
{
    EVP_MD_CTX *context = new_context();

    for (size_t i = 0; i < count; i++)
        must(EVP_DigestUpdate(context, parts[i].iov_base, parts[i].iov_len));
    must(EVP_DigestFinal_ex(context, hash, NULL));
    EVP_MD_CTX_free(context);
}

struct sha256_lanes *sha256_lanes_new(void)
{
    struct sha256_lanes *lanes = memory_new(1, sizeof *lanes);

    lanes->context = new_context();
    return lanes;
}

void sha256_lanes_free(struct sha256_lanes *lanes)
{
    if (!lanes)
        return;
    EVP_MD_CTX_free(lanes->context);
    multi_hash_free(lanes->multi);
    free(lanes);
}

static void hash_one(struct sha256_lanes *lanes, const struct sha256_message *message)
{
    must(EVP_DigestUpdate(lanes->context, message->data, message->length));
    must(EVP_DigestFinal_ex(lanes->context, message->hash, NULL));
    must(EVP_DigestInit_ex(lanes->context, NULL, NULL));
}

static struct multi_hash *get_multi(struct sha256_lanes *lanes)
{
    if (!lanes->has_tried)
        lanes->multi = multi_hash_new();
    lanes->has_tried = true;
    return lanes->multi;
}

void sha256_lanes_hash(struct sha256_lanes *lanes, const struct sha256_message *messages,
                       size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert(messages[i].length > 0 && messages[i].length <= SHA256_MESSAGE_MAX);
    for (size_t done = 0, here; done < count; done += here) {
        here = count - done < SHA256_LANES ? count - done : SHA256_LANES;
        if (here >= MULTI_MIN && get_multi(lanes)) {
            multi_hash_run(lanes->multi, messages + done, here);
            continue;
        }
        for (size_t i = 0; i < here; i++)
            hash_one(lanes, &messages[done + i]);
    }
}
