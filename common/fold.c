#include "common/fold.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum {
    RULES = 1, /* ours; one more whenever what is folded to changes */
    PARTS_MAX = 32,
    TILDE = 0x303,
    N_WITH_TILDE = 0xF1,
};

struct folding {
    char *end;    /* of what is written */
    bool after_n; /* the last letter is an n, which may still get its tilde */
};

static bool combines(utf8proc_int32_t character)
{
    int category = utf8proc_category(character);

    return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_ME;
}

static void put(struct folding *folding, utf8proc_int32_t character)
{
    if (character == TILDE && folding->after_n) {
        folding->end--; /* the n */
        character = N_WITH_TILDE;
    } else if (character >= 0x80 && combines(character)) {
        return;
    }
    folding->end += utf8proc_encode_char(character, (utf8proc_uint8_t *)folding->end);
    folding->after_n = character == 'n';
}

static void put_folded(struct folding *folding, utf8proc_int32_t character)
{
    utf8proc_int32_t parts[PARTS_MAX];
    int boundary = 0;
    utf8proc_ssize_t count = utf8proc_decompose_char(
        character, parts, PARTS_MAX, UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_CASEFOLD,
        &boundary);

    for (utf8proc_ssize_t i = 0; i < count && i < PARTS_MAX; i++)
        put(folding, parts[i]);
}

size_t fold_text(const char *text, size_t length, char *out)
{
    struct folding folding = {.end = out};
    const char *end = text + length;

    while (text < end) {
        utf8proc_int32_t character = (unsigned char)*text;
        if (character < 0x80) {
            bool upper = character >= 'A' && character <= 'Z';
            *folding.end++ = (char)(upper ? character + 'a' - 'A' : character);
            folding.after_n = (character | 0x20) == 'n';
            text++;
            continue;
        }
        utf8proc_ssize_t used = utf8proc_iterate((const utf8proc_uint8_t *)text,
                                                 (utf8proc_ssize_t)(end - text), &character);
        if (used <= 0)
            break; /* no UTF-8 */
        put_folded(&folding, character);
        text += used;
    }
    *folding.end = '\0';
    return (size_t)(folding.end - out);
}

long fold_version(void)
{
    const char *version = utf8proc_unicode_version();
    char *rest;
    long major = strtol(version, &rest, 10);
    long minor = *rest == '.' ? strtol(rest + 1, NULL, 10) : 0;

    return (major * 100 + minor) * 1000 + RULES;
}

size_t fold_space(const char *text, size_t length)
{
    utf8proc_int32_t character = 0;
    utf8proc_ssize_t used =
        utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)length, &character);

    if (used <= 0)
        return 0;
    utf8proc_category_t category = utf8proc_category(character);
    bool space = (category >= UTF8PROC_CATEGORY_ZS && category <= UTF8PROC_CATEGORY_ZP) ||
                 (character >= '\t' && character <= '\r') ||
                 (character >= 0x1c && character <= 0x1f) || character == 0x85;
    return space ? (size_t)used : 0;
}
