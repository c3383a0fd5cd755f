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

enum { ASCII_BYTES = sizeof(uint64_t) };

/* Of so many bytes; most of what we read is nothing else. */
static bool is_ascii(const unsigned char *bytes)
{
    uint64_t word;

    memcpy(&word, bytes, sizeof word);
    return (word & UINT64_C(0x8080808080808080)) == 0;
}

bool text_is_utf8(const char *text, size_t length)
{
    const unsigned char *bytes = (const unsigned char *)text;
    uint32_t character;

    for (size_t i = 0; i < length;) {
        if (length - i >= ASCII_BYTES && is_ascii(bytes + i)) {
            i += ASCII_BYTES;
            continue;
        }
        size_t step = decode(bytes + i, length - i, &character);
        if (step == 0)
            return false;
        i += step;
    }
    return true;
}

/* Whether they are all ASCII, and none is a control character. */
static bool is_printable(const unsigned char *bytes)
{
    const uint64_t each = UINT64_C(0x0101010101010101);
    uint64_t word;

    memcpy(&word, bytes, sizeof word);
    return ((word | (word - each * 0x20) | (word + each)) & each * 0x80) == 0;
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
        if (length - i >= ASCII_BYTES && is_printable(bytes + i)) {
            i += ASCII_BYTES;
            continue;
        }
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

/* Whether one of the pairs of first and last character, in rising order, holds the character. */
static bool in_ranges(const uint32_t (*ranges)[2], size_t count, uint32_t character)
{
    for (size_t i = 0; i < count && character >= ranges[i][0]; i++)
        if (character <= ranges[i][1])
            return true;
    return false;
}

static size_t columns_of(uint32_t character)
{
    static const uint32_t none[][2] = {
        {0x300, 0x36f},   {0x1ab0, 0x1aff}, {0x1dc0, 0x1dff}, {0x200b, 0x200d},
        {0x20d0, 0x20f0}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f},
    };
    /* The scattered ones below U+2E80 are the signs that terminals show as emoji. */
    static const uint32_t wide[][2] = {
        {0x1100, 0x115f},   {0x231a, 0x231b},   {0x23e9, 0x23ec}, {0x23f0, 0x23f0},
        {0x23f3, 0x23f3},   {0x25fd, 0x25fe},   {0x2614, 0x2615}, {0x2648, 0x2653},
        {0x267f, 0x267f},   {0x2693, 0x2693},   {0x26a1, 0x26a1}, {0x26aa, 0x26ab},
        {0x26bd, 0x26be},   {0x26c4, 0x26c5},   {0x26ce, 0x26ce}, {0x26d4, 0x26d4},
        {0x26ea, 0x26ea},   {0x26f2, 0x26f3},   {0x26f5, 0x26f5}, {0x26fa, 0x26fa},
        {0x26fd, 0x26fd},   {0x2705, 0x2705},   {0x270a, 0x270b}, {0x2728, 0x2728},
        {0x274c, 0x274c},   {0x274e, 0x274e},   {0x2753, 0x2755}, {0x2757, 0x2757},
        {0x2795, 0x2797},   {0x27b0, 0x27b0},   {0x27bf, 0x27bf}, {0x2b1b, 0x2b1c},
        {0x2b50, 0x2b50},   {0x2b55, 0x2b55},   {0x2e80, 0x303e}, {0x3041, 0xa4cf},
        {0xac00, 0xd7a3},   {0xf900, 0xfaff},   {0xff01, 0xff60}, {0xffe0, 0xffe6},
        {0x1f300, 0x1faff}, {0x20000, 0x3fffd},
    };

    if (character < 0x300)
        return 1;
    if (in_ranges(none, sizeof none / sizeof none[0], character))
        return 0;
    return in_ranges(wide, sizeof wide / sizeof wide[0], character) ? 2 : 1;
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
