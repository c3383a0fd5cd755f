/* peer/locate/answers_file: either it is none of ours, or what is taken stays within its bounds and
 * is the same after it was written and read again. */
#include "fuzz.h"

#include "peer/locate/answers_file.h"
#include "peer/locate/located.h"

#define NOW_MS INT64_C(1767225600000)

static void check_table(const struct answers_table *table)
{
    size_t sources = 0;

    fuzz_check(table->count <= ANSWERS_MAX && table->peer_count <= ANSWERS_PEERS_MAX);
    for (size_t i = 0; i < table->count; i++) {
        const struct answer *answer = &table->items[i];
        struct file_name name;
        fuzz_check(file_name_parse_path(answer->name, strlen(answer->name), &name, NULL) ==
                   ERROR_NONE);
        fuzz_check(answer->seen_ms >= 0 && answer->seen_ms <= NOW_MS);
        fuzz_check(answer->sources.count >= 1 && answer->sources.count <= ANSWER_SOURCES_MAX);
        for (size_t s = 0; s < answer->sources.count; s++) {
            const struct directory_source *source = &answer->sources.items[s];
            fuzz_check(located_peer_is_good(source->peer, strlen(source->peer)));
            fuzz_check(source->address_count >= 1 &&
                       source->address_count <= LOCATED_ADDRESSES_MAX);
        }
        sources += answer->sources.count;
    }
    fuzz_check(sources == table->source_count && sources <= ANSWERS_SOURCES_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct answers_table table;
    static struct answers_table again;
    struct buffer text;
    struct error error;

    if (answers_parse((const char *)data, size, NOW_MS, &table, &error)) {
        fuzz_check(error.code == ERROR_CORRUPT && table.count == 0 && table.peer_count == 0);
        return 0;
    }
    check_table(&table);
    buffer_init(&text, ANSWERS_FILE_MAX_BYTES);
    answers_format(&table, &text);
    fuzz_check(!text.failed);
    fuzz_check(answers_parse(text.data, text.length, NOW_MS, &again, &error) == ERROR_NONE);
    fuzz_check(again.count == table.count && again.source_count == table.source_count);
    fuzz_check(again.peer_count == table.peer_count);
    buffer_done(&text);
    answers_table_done(&table);
    answers_table_done(&again);
    return 0;
}
