#include "common/text.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Decodes one character; returns its bytes, 0 when the bytes at text are not well-formed. */
static size_t decode(const unsigned char *text, size_t length, uint32_t *character)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t bytes = 1;

    if (text[0] < 0x80) {
        *character = text[0];
        return 1;
    }
    if ((text[0] & 0xe0) == 0xc0) {
        bytes = 2;
        *character = text[0] & 0x1f;
    } else if ((text[0] & 0xf0) == 0xe0) {
        bytes = 3;
        *character = text[0] & 0x0f;
    } else if ((text[0] & 0xf8) == 0xf0) {
        bytes = 4;
        *character = text[0] & 0x07;
    } else {
        return 0;
    }
    if (bytes > length)
        return 0;
    for (size_t i = 1; i < bytes; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        *character = *character << 6 | (text[i] & 0x3f);
    }
    if (*character < smallest[bytes] || *character > 0x10ffff ||
        (*character >= 0xd800 && *character <= 0xdfff))
        return 0;
    return bytes;
}

bool text_is_utf8(const char *text, size_t length)
{
    const unsigned char *bytes = (const unsigned char *)text;
    uint32_t character;

    for (size_t i = 0; i < length;) {
        size_t step = decode(bytes + i, length - i, &character);
        if (step == 0)
            return false;
        i += step;
    }
    return true;
}

static bool is_control(uint32_t character)
{
    return character < 0x20 || (character >= 0x7f && character <= 0x9f);
}

bool text_has_control(const char *text, size_t length)
{
    const unsigned char *bytes = (const unsigned char *)text;
    uint32_t character = 0;

    for (size_t i = 0; i < length;) {
        size_t step = decode(bytes + i, length - i, &character);
        if (step == 0)
            return false;
        if (is_control(character))
            return true;
        i += step;
    }
    return false;
}

void text_cut(char *text, size_t length)
{
    size_t end = strnlen(text, length);

    /* Back over continuation bytes to the last start byte, then see whether it is whole. */
    size_t start = end;
    while (start > 0 && ((unsigned char)text[start - 1] & 0xc0) == 0x80)
        start--;
    if (start > 0) {
        uint32_t character;
        if (decode((const unsigned char *)text + start - 1, end - (start - 1), &character) == 0)
            end = start - 1;
    }
    text[end] = '\0';
}

static bool is_harmful(uint32_t character)
{
    return is_control(character) || (character >= 0x2028 && character <= 0x202e) ||
           (character >= 0x2066 && character <= 0x2069);
}

const char *text_clean(const char *text, char *out, size_t size)
{
    const unsigned char *in = (const unsigned char *)text;
    size_t left = strlen(text);
    size_t used = 0;

    while (left > 0) {
        uint32_t character;
        size_t step = decode(in, left, &character);
        bool bad = step == 0 || is_harmful(character);
        size_t wanted = bad ? 1 : step;
        if (used + wanted >= size)
            break;
        if (bad)
            out[used] = '?';
        else
            memcpy(out + used, in, step);
        used += wanted;
        in += step ? step : 1;
        left -= step ? step : 1;
    }
    out[used] = '\0';
    return out;
}

bool text_to_integer(const char *text, long long min, long long max, long long *value)
{
    char *end;

    if (!(text[0] == '-' || (text[0] >= '0' && text[0] <= '9')))
        return false;
    errno = 0;
    *value = strtoll(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && *value >= min && *value <= max;
}

static size_t columns_of(uint32_t character)
{
    if ((character >= 0x300 && character <= 0x36f) || character == 0x200b || character == 0x200d ||
        (character >= 0xfe00 && character <= 0xfe0f))
        return 0;
    if ((character >= 0x1100 && character <= 0x115f) ||
        (character >= 0x2e80 && character <= 0xa4cf) ||
        (character >= 0xac00 && character <= 0xd7a3) ||
        (character >= 0xf900 && character <= 0xfaff) ||
        (character >= 0xff00 && character <= 0xff60) ||
        (character >= 0x1f300 && character <= 0x1faff) ||
        (character >= 0x20000 && character <= 0x3fffd))
        return 2;
    return 1;
}

size_t text_columns(const char *text)
{
    const unsigned char *in = (const unsigned char *)text;
    size_t left = strlen(text);
    size_t columns = 0;

    while (left > 0) {
        uint32_t character = '?';
        size_t step = decode(in, left, &character);
        if (step == 0)
            step = 1;
        columns += columns_of(character);
        in += step;
        left -= step;
    }
    return columns;
}
