#include "peer/locate/located.h"

#include "common/memory.h"
#include "common/text.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NOTE_ORIGINS_MAX 3

bool located_peer_is_good(const char *peer, size_t length)
{
    return length > 0 && length <= LOCATED_PEER_BYTES && !memchr(peer, '\0', length) &&
           text_is_utf8(peer, length) && !text_has_control(peer, length);
}

static bool is_loopback(const char *host)
{
    struct in6_addr six;
    struct in_addr four;

    if (inet_pton(AF_INET, host, &four) == 1)
        return ntohl(four.s_addr) >> 24 == 127;
    if (inet_pton(AF_INET6, host, &six) == 1)
        return IN6_IS_ADDR_LOOPBACK(&six) || (IN6_IS_ADDR_V4MAPPED(&six) && six.s6_addr[12] == 127);
    return strcasecmp(host, "localhost") == 0;
}

bool located_address_is_good(const struct address *address, const struct address *from)
{
    if (address->port == 0 || address_is_wildcard(address))
        return false;
    return !is_loopback(address->host) || is_loopback(from->host);
}

static bool address_equal(const struct address *left, const struct address *right)
{
    return left->port == right->port && strcasecmp(left->host, right->host) == 0;
}

static bool contents_differ(const struct directory_source *left,
                            const struct directory_source *right)
{
    return left->has_content && right->has_content &&
           !content_id_equal(&left->content, &right->content);
}

/* Of the same content, as far as is known. */
static bool is_there(const struct directory_sources *sources, const struct directory_source *source,
                     const struct address *address)
{
    for (size_t i = 0; i < sources->count; i++)
        for (size_t a = 0; a < sources->items[i].address_count; a++)
            if (address_equal(&sources->items[i].addresses[a], address) &&
                !contents_differ(&sources->items[i], source))
                return true;
    return false;
}

static bool brings_something(const struct directory_sources *sources,
                             const struct directory_source *source)
{
    for (size_t i = 0; i < source->address_count; i++)
        if (!is_there(sources, source, &source->addresses[i]))
            return true;
    return false;
}

static void free_source(struct directory_source *source)
{
    free(source->peer);
    free(source->addresses);
}

void located_merge(struct directory_sources *into, struct directory_sources *from)
{
    size_t room = into->count + from->count;

    if (from->count > 0)
        into->items = memory_resize(into->items, room, sizeof *into->items);
    for (size_t i = 0; i < from->count; i++) {
        if (into->count < LOCATED_SOURCES_MAX && brings_something(into, &from->items[i]))
            into->items[into->count++] = from->items[i];
        else
            free_source(&from->items[i]);
    }
    free(from->items);
    *from = (struct directory_sources){0};
}

void located_drop_peer(struct directory_sources *sources, const char *peer)
{
    size_t kept = 0;

    for (size_t i = 0; i < sources->count; i++) {
        if (strcmp(sources->items[i].peer, peer) == 0)
            free_source(&sources->items[i]);
        else
            sources->items[kept++] = sources->items[i];
    }
    sources->count = kept;
}

const char *located_age(int64_t age_ms, char out[LOCATED_AGE_BYTES])
{
    int64_t seconds = age_ms > 0 ? age_ms / 1000 : 0;

    if (seconds < 60)
        snprintf(out, LOCATED_AGE_BYTES, "hace %" PRId64 " s", seconds);
    else if (seconds < 3600)
        snprintf(out, LOCATED_AGE_BYTES, "hace %" PRId64 " min", seconds / 60);
    else if (seconds < (int64_t)48 * 3600)
        snprintf(out, LOCATED_AGE_BYTES, "hace %" PRId64 " h", seconds / 3600);
    else
        snprintf(out, LOCATED_AGE_BYTES, "hace %" PRId64 " días", seconds / (24 * 3600));
    return out;
}

/* Of the sources before this one, does any come from the same place? */
static bool is_told(const struct directory_sources *sources, size_t number)
{
    const struct directory_source *source = &sources->items[number];

    for (size_t i = 0; i < number; i++)
        if (sources->items[i].origin == source->origin &&
            (source->origin != SOURCE_LOCATED ||
             address_equal(&sources->items[i].via, &source->via)))
            return true;
    return false;
}

const char *located_note(const struct directory_sources *sources, char out[LOCATED_NOTE_BYTES])
{
    char via[ADDRESS_TEXT_BYTES];
    char age[LOCATED_AGE_BYTES];
    size_t length = 0;
    unsigned count = 0;

    out[0] = '\0';
    for (size_t i = 0; i < sources->count && count < NOTE_ORIGINS_MAX; i++) {
        const struct directory_source *source = &sources->items[i];
        if (source->origin == SOURCE_TOLD || is_told(sources, i))
            continue;
        address_format(&source->via, via);
        int added = snprintf(out + length, LOCATED_NOTE_BYTES - length, "%s; según %s %s",
                             count++ ? "" : "El directorio no responde",
                             source->origin == SOURCE_LOCATED ? via : "lo recordado",
                             located_age(source->age_ms, age));
        length += (size_t)added;
        if (length >= LOCATED_NOTE_BYTES) {
            text_cut(out, LOCATED_NOTE_BYTES - 1);
            break;
        }
    }
    return out;
}
