#include "common/words.h"

#include "common/text.h"

#include <string.h>

enum { LONG = 3 }; /* characters */

struct parsing {
    struct words *words;
    char *end; /* of texts */
};

static bool is_long(const char *text)
{
    size_t characters = 0;

    for (; *text && characters < LONG; text++)
        characters += (*text & 0xc0) != 0x80;
    /* The last one that was counted is there whole. */
    return characters == LONG;
}

static void add_wanted(struct words *words, const char *text)
{
    size_t place = words->wanted_count++;

    for (size_t i = 0; i < place; i++) {
        if (strcmp(words->wanted[i], text) == 0) {
            words->wanted_count--;
            return;
        }
    }
    if (is_long(text)) {
        words->wanted[place] = words->wanted[words->long_count];
        place = words->long_count++;
    }
    words->wanted[place] = text;
}

static enum error_code add_word(struct parsing *parsing, const char *text, size_t length,
                                struct error *error)
{
    struct words *words = parsing->words;
    bool excluded = length > 1 && *text == '-';
    const char *folded = parsing->end;

    if (words->wanted_count + words->excluded_count == WORDS_MAX)
        return error_set(error, ERROR_INVALID, "q tiene más de %d palabras", WORDS_MAX);
    size_t bytes = fold_text(text + excluded, length - excluded, parsing->end);
    if (bytes == 0) /* only what combines with letters: it stands in every name */
        return ERROR_NONE;
    parsing->end += bytes + 1;
    if (excluded)
        words->excluded[words->excluded_count++] = folded;
    else
        add_wanted(words, folded);
    return ERROR_NONE;
}

enum error_code words_parse(const char *text, size_t length, struct words *words,
                            struct error *error)
{
    struct parsing parsing = {.words = words, .end = words->texts};
    const char *end = text + length;
    enum error_code code = ERROR_NONE;

    words->wanted_count = words->long_count = words->excluded_count = 0;
    words->ending = NULL;
    words->ending_bytes = 0;
    if (length > WORDS_QUERY_MAX_BYTES)
        return error_set(error, ERROR_INVALID, "q es demasiado larga (más de %d bytes)",
                         WORDS_QUERY_MAX_BYTES);
    if (!text_is_utf8(text, length) || memchr(text, '\0', length))
        return error_set(error, ERROR_INVALID, "q no es texto UTF-8 válido");
    while (text < end && !code) {
        size_t space = 0;
        const char *word = text;
        while (text < end && (space = fold_space(text, (size_t)(end - text))) == 0)
            text++; /* no byte but a character's first begins white space */
        if (text > word)
            code = add_word(&parsing, word, (size_t)(text - word), error);
        text += space;
    }
    if (!code && words->wanted_count + words->excluded_count == 0)
        return error_set(error, ERROR_INVALID, "q no contiene ninguna palabra");
    return code;
}

enum error_code words_parse_ending(const char *text, size_t length, struct words *words,
                                   struct error *error)
{
    char *folded = words->texts + sizeof words->texts - FOLD_GROWTH * WORDS_ENDING_MAX - 2;
    bool dotted = length > 0 && *text == '.';

    if (length > WORDS_ENDING_MAX || length == dotted || !text_is_utf8(text, length) ||
        text_has_control(text, length) || memchr(text, '/', length))
        return error_set(error, ERROR_INVALID, "ext no es una extensión válida");
    folded[0] = '.';
    words->ending_bytes = 1 + fold_text(text + dotted, length - dotted, folded + 1);
    words->ending = folded;
    add_wanted(words, folded);
    return ERROR_NONE;
}

bool words_match(const struct words *words, const char *folded, size_t length)
{
    if (words->ending_bytes > length ||
        (words->ending &&
         memcmp(folded + length - words->ending_bytes, words->ending, words->ending_bytes) != 0))
        return false;
    for (size_t i = 0; i < words->wanted_count; i++)
        if (!strstr(folded, words->wanted[i]))
            return false;
    for (size_t i = 0; i < words->excluded_count; i++)
        if (strstr(folded, words->excluded[i]))
            return false;
    return true;
}
