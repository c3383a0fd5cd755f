#include "peer/downloads/sources.h"

#include "common/memory.h"
#include "common/text_hash.h"

#include <stdlib.h>
#include <string.h>

void sources_complete(const struct source_finder *finder, struct directory_sources *sources)
{
    if (finder->fallback_count == 0)
        return;
    for (size_t i = 0; i < sources->count; i++) {
        struct directory_source *source = &sources->items[i];
        if (source->address_count > 0 || strcmp(source->peer, finder->own_name) == 0)
            continue;
        free(source->addresses);
        source->addresses = memory_new(finder->fallback_count, sizeof *source->addresses);
        memcpy(source->addresses, finder->fallbacks,
               finder->fallback_count * sizeof *source->addresses);
        source->address_count = finder->fallback_count;
        source->guessed = true;
    }
}

bool sources_keep_peer(struct directory_sources *sources, const char *peer)
{
    size_t kept = 0;

    for (size_t i = 0; i < sources->count; i++) {
        struct directory_source *source = &sources->items[i];
        if (strcmp(source->peer, peer) == 0) {
            struct directory_source wanted = *source;
            *source = sources->items[kept];
            sources->items[kept++] = wanted;
        }
    }
    for (size_t i = kept; i < sources->count; i++) {
        free(sources->items[i].peer);
        free(sources->items[i].addresses);
    }
    sources->count = kept;
    return kept > 0;
}

void sources_drop_partial(struct directory_sources *sources, const char *peer)
{
    size_t kept = 0;

    for (size_t i = 0; i < sources->count; i++) {
        struct directory_source *source = &sources->items[i];
        if (source->partial && (!peer || strcmp(source->peer, peer) == 0)) {
            free(source->peer);
            free(source->addresses);
        } else {
            sources->items[kept++] = *source;
        }
    }
    sources->count = kept;
}

struct place {
    uint64_t hash;
    struct directory_source source;
};

static int compare_places(const void *left, const void *right)
{
    uint64_t a = ((const struct place *)left)->hash;
    uint64_t b = ((const struct place *)right)->hash;

    return (a > b) - (a < b);
}

void sources_spread(const struct source_finder *finder, struct directory_sources *sources)
{
    if (sources->count <= SOURCES_IN_ORDER)
        return;
    auto_free struct place *places = memory_new(sources->count, sizeof *places);
    uint64_t us = text_hash(TEXT_HASH_START, finder->own_name);
    for (size_t i = 0; i < sources->count; i++) {
        places[i].source = sources->items[i];
        places[i].hash = text_hash_spread(text_hash(us, sources->items[i].peer));
    }
    qsort(places, sources->count, sizeof *places, compare_places);
    for (size_t i = 0; i < sources->count; i++)
        sources->items[i] = places[i].source;
}

void sources_order(const struct source_finder *finder, struct directory_sources *sources)
{
    for (size_t i = 0; i + 1 < sources->count; i++) {
        struct directory_source source = sources->items[i];
        if (strcmp(source.peer, finder->own_name) != 0)
            continue;
        memmove(&sources->items[i], &sources->items[i + 1],
                (sources->count - i - 1) * sizeof source);
        sources->items[sources->count - 1] = source;
        return;
    }
}

void sources_leave_out_self(const struct source_finder *finder, struct directory_sources *sources)
{
    sources_order(finder, sources);
    struct directory_source *last = sources->count > 1 ? &sources->items[sources->count - 1] : NULL;
    if (!last || strcmp(last->peer, finder->own_name) != 0)
        return;
    free(last->peer);
    free(last->addresses);
    sources->count--;
}

static size_t count_content(const struct directory_sources *sources,
                            const struct content_id *content)
{
    size_t count = 0;

    for (size_t i = 0; i < sources->count; i++)
        count +=
            sources->items[i].has_content && content_id_equal(&sources->items[i].content, content);
    return count;
}

bool sources_wanted_content(const struct directory_sources *sources, const char *peer,
                            struct content_id *content)
{
    size_t most = 0;

    for (size_t i = 0; i < sources->count; i++) {
        const struct directory_source *source = &sources->items[i];
        if (!source->has_content || (peer[0] && strcmp(peer, source->peer) != 0))
            continue;
        size_t count = count_content(sources, &source->content);
        if (count > most) {
            most = count;
            *content = source->content;
        }
    }
    return most > 0;
}

void sources_given(const char *peer, const struct address *addresses, size_t count,
                   struct directory_sources *sources)
{
    sources->items = memory_new(1, sizeof *sources->items);
    sources->count = 1;
    sources->items[0].peer = memory_copy_string(peer);
    sources->items[0].size_bytes = -1;
    sources->items[0].addresses =
        (struct address *)memory_copy(addresses, count * sizeof *addresses);
    sources->items[0].address_count = count;
}

enum error_code sources_find(const struct source_finder *finder,
                             const struct locator_search *search, struct directory_sources *sources,
                             struct error *error)
{
    *sources = (struct directory_sources){0};
    if (!finder->locator)
        return error_set(error, ERROR_UNREACHABLE, "No hay directorio");
    enum error_code code = locator_find(finder->locator, search, sources, error);
    if (code == ERROR_NONE) {
        sources_complete(finder, sources);
        sources_spread(finder, sources);
    }
    sources_drop_partial(sources, finder->own_name);
    return code;
}

enum error_code sources_find_many(const struct source_finder *finder,
                                  const struct locator_names *names,
                                  struct directory_sources *sources, struct error *error)
{
    memset(sources, 0, names->count * sizeof *sources);
    if (!finder->locator)
        return error_set(error, ERROR_UNREACHABLE, "No hay directorio");
    enum error_code code = locator_find_many(finder->locator, names, sources, error);
    for (size_t i = 0; i < names->count && code == ERROR_NONE; i++) {
        sources_complete(finder, &sources[i]);
        sources_spread(finder, &sources[i]);
        sources_order(finder, &sources[i]);
    }
    return code;
}

void sources_worked(const struct source_finder *finder, const struct address *address)
{
    if (finder->locator)
        locator_met(finder->locator, address);
}
