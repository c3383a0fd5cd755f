/* common/words and what it is asked with: any question is refused, or finds what it says. */
#include "fuzz.h"

#include "common/buffer.h"
#include "common/memory.h"
#include "common/words.h"
#include "directory/hits.h"
#include "directory/trigrams.h"

static int take_token(void *context, const char *token, size_t length)
{
    fuzz_check(token && length > 0);
    ++*(size_t *)context;
    return 0;
}

/* What has all that is wanted is found, unless it has what is not. */
static void check_match(const struct words *words)
{
    auto_buffer name;

    buffer_init(&name, 1 << 16);
    buffer_append_char(&name, '/');
    for (size_t i = 0; i < words->wanted_count; i++) {
        buffer_append_string(&name, words->wanted[i]);
        buffer_append_char(&name, '/');
    }
    bool excluded = false;
    for (size_t i = 0; i < words->excluded_count; i++)
        excluded = excluded || strstr(name.data, words->excluded[i]);
    fuzz_check(words_match(words, name.data, name.length) == !excluded);
}

static void check_tokens(const struct words *words)
{
    auto_buffer query;
    auto_buffer document;
    struct name_sample *sample = name_sample_new();
    struct trigrams_choice choice;
    size_t tokens = 0;

    buffer_init(&query, 4096);
    buffer_init(&document, 1 << 16);
    for (size_t i = 0; i < words->wanted_count; i++)
        name_sample_add(sample, words->wanted[i], strlen(words->wanted[i]));
    trigrams_choose(words->wanted, words->long_count, sample, 1000, &choice);
    trigrams_write_query(&query, 1, TRIGRAMS_LARGE_BLOCK, &choice);
    name_sample_free(sample);
    fuzz_check(!query.failed && (choice.count > 0) == (words->long_count > 0));
    for (size_t i = 0; i < words->wanted_count; i++) {
        buffer_clear(&document);
        trigrams_write_document(&document, words->wanted[i], (int64_t)i);
        trigrams_tokenizer.tokenize(&tokens, false, document.data, document.length, take_token);
        fuzz_check(tokens >= 3 + (i < words->long_count ? 2 : 0));
        tokens = 0;
    }
}

static void check_cursor(const char *text)
{
    char again[HIT_CURSOR_BYTES];
    struct hit_place place;

    if (hit_parse_cursor(text, &place, NULL) == ERROR_NONE)
        fuzz_check(hit_parse_cursor(hit_format_cursor(&place, again), &place, NULL) == ERROR_NONE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_free char *text = memory_copy(data, size);
    struct words words;
    struct error error;

    check_cursor(text);
    if (words_parse(text, size, &words, &error)) {
        fuzz_check(error.code == ERROR_INVALID && error.text[0] != '\0');
        return 0;
    }
    check_match(&words);
    check_tokens(&words);
    if (words_parse_ending(text, size, &words, &error) == ERROR_NONE)
        fuzz_check(words.ending[0] == '.' && words.ending_bytes == strlen(words.ending));
    return 0;
}
