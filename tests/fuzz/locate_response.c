/* peer/locate/ask: what another peer answers to Locate. What is taken of it is bounded and can be
 * used. The first byte says whether the peer that was asked is at a loopback address. */
#include "fuzz.h"

#include "peer/locate/ask.h"
#include "peer/locate/located.h"

static void check_source(const struct directory_source *source, const struct address *asked)
{
    fuzz_check(located_peer_is_good(source->peer, strlen(source->peer)));
    fuzz_check(source->address_count >= 1 && source->address_count <= LOCATED_ADDRESSES_MAX);
    fuzz_check(source->size_bytes >= -1 && source->age_ms >= 0);
    fuzz_check(source->origin == SOURCE_LOCATED && source->via.port == asked->port);
    for (size_t i = 0; i < source->address_count; i++)
        fuzz_check(located_address_is_good(&source->addresses[i], asked));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct directory_sources sources;
    struct directory_sources all = {0};
    char note[LOCATED_NOTE_BYTES];
    struct address asked = {.host = "172.28.0.4", .port = 8002};

    if (size == 0)
        return 0;
    if (data[0] & 1)
        snprintf(asked.host, sizeof asked.host, "127.0.0.1");
    Peer__LocateResponse *response = peer__locate_response__unpack(NULL, size - 1, data + 1);
    if (!response)
        return 0;
    ask_take_response(response, &asked, &sources);
    peer__locate_response__free_unpacked(response, NULL);
    fuzz_check(sources.count <= LOCATED_SOURCES_MAX);
    for (size_t i = 0; i < sources.count; i++)
        check_source(&sources.items[i], &asked);
    bool some = sources.count > 0;
    located_merge(&all, &sources);
    fuzz_check(sources.count == 0 && (all.count > 0) == some);
    located_note(&all, note);
    fuzz_check((note[0] != '\0') == some && strlen(note) < sizeof note);
    directory_sources_done(&all);
    return 0;
}
