/* peer/network/directory_replies: what a directory answers to a search; every address can be used.
 */
#include "fuzz.h"

#include "common/text.h"
#include "peer/network/directory_replies.h"

static void check_source(const struct directory_source *source)
{
    fuzz_check(source->peer && source->peer[0]);
    fuzz_check(text_is_utf8(source->peer, strlen(source->peer)));
    fuzz_check(source->address_count <= DIRECTORY_ADDRESSES_MAX);
    fuzz_check(source->size_bytes >= -1 && source->size_bytes <= INT64_C(1) << 53);
    for (size_t i = 0; i < source->address_count; i++) {
        char text[ADDRESS_TEXT_BYTES];
        struct address again;
        fuzz_check(source->addresses[i].port > 0 && !address_is_wildcard(&source->addresses[i]));
        address_format(&source->addresses[i], text);
        fuzz_check(address_parse(text, false, &again, NULL) == ERROR_NONE);
        fuzz_check(strcmp(again.host, source->addresses[i].host) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct directory_sources sources;
    struct error error;

    if (directory_parse_search((const char *)data, size, &sources, &error)) {
        fuzz_check(error.code == ERROR_CORRUPT && sources.count == 0);
        return 0;
    }
    fuzz_check(sources.count <= DIRECTORY_SOURCES_MAX);
    for (size_t i = 0; i < sources.count; i++)
        check_source(&sources.items[i]);
    directory_sources_done(&sources);
    return 0;
}
