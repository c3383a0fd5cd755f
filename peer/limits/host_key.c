#include "peer/limits/host_key.h"

#include <arpa/inet.h>
#include <string.h>

#define HOST_BYTES 256
#define PREFIX     8                              /* bytes of a /64 */
#define NAME_MARK  0xfe                           /* fe00::/9 is no address that anybody has */
#define FNV_OFFSET UINT64_C(14695981039346656037) /* FNV-1a, 64 bits */
#define FNV_PRIME  UINT64_C(1099511628211)

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff}; /* ::ffff:a.b.c.d */

/* The host without brackets and port. */
static void copy_host(const char *address, char host[HOST_BYTES])
{
    const char *end = strrchr(address, ':');
    const char *bracket = strrchr(address, ']');
    size_t length = strlen(address);

    if (address[0] == '[' && bracket) {
        length = (size_t)(bracket - address - 1);
        address++;
    } else if (end && strchr(address, ':') == end) { /* more than one: an IPv6 host alone */
        length = (size_t)(end - address);
    }
    if (length >= HOST_BYTES)
        length = HOST_BYTES - 1;
    memcpy(host, address, length);
    host[length] = '\0';
}

static struct host_key key_of_name(const char *name)
{
    struct host_key key = {.bytes = {NAME_MARK}};
    uint64_t hash = FNV_OFFSET;

    for (const char *c = name; *c; c++)
        hash = (hash ^ (uint8_t)*c) * FNV_PRIME;
    memcpy(key.bytes + PREFIX, &hash, sizeof hash);
    return key;
}

struct host_key host_key_of(const char *address)
{
    struct host_key key = {.bytes = {0}};
    char host[HOST_BYTES];

    copy_host(address, host);
    if (inet_pton(AF_INET, host, key.bytes + sizeof mapped) == 1) {
        memcpy(key.bytes, mapped, sizeof mapped);
        return key;
    }
    if (inet_pton(AF_INET6, host, key.bytes) != 1)
        return key_of_name(host);
    if (memcmp(key.bytes, mapped, sizeof mapped) != 0)
        memset(key.bytes + PREFIX, 0, sizeof key.bytes - PREFIX);
    return key;
}

bool host_key_equal(const struct host_key *a, const struct host_key *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

unsigned host_key_hash(const struct host_key *key)
{
    unsigned hash = 0;

    for (size_t i = 0; i < sizeof key->bytes; i++)
        hash = hash * 31 + key->bytes[i];
    return hash;
}
