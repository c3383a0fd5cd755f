/* peer/network/directory_replies: what a directory answers to a search, or to one for many names;
 * every address can be used. */
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

static void check_sources(struct directory_sources *sources)
{
    fuzz_check(sources->count <= DIRECTORY_SOURCES_MAX);
    for (size_t i = 0; i < sources->count; i++)
        check_source(&sources->items[i]);
    directory_sources_done(sources);
}

static void check_many(const uint8_t *data, size_t size)
{
    static const struct file_name names[] = {{"a.txt"}, {"F"}, {"a.txt"}};
    const struct file_name *items[] = {&names[0], &names[1], &names[2]};
    struct directory_sources sources[3] = {{0}};
    struct directory_answers answers = {.names = items, .count = 3, .sources = sources};
    struct error error;

    if (directory_parse_many((const char *)data, size, &answers, &error))
        fuzz_check(error.code == ERROR_CORRUPT);
    fuzz_check(sources[0].count == sources[2].count);
    for (size_t i = 0; i < 3; i++)
        check_sources(&sources[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct directory_sources sources;
    struct error error;

    check_many(data, size);
    if (directory_parse_search((const char *)data, size, &sources, &error)) {
        fuzz_check(error.code == ERROR_CORRUPT && sources.count == 0);
        return 0;
    }
    check_sources(&sources);
    return 0;
}
