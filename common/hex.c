#include "common/hex.h"

#include <endian.h>
#include <stdint.h>
#include <string.h>

#define EACH_BYTE(value) (UINT64_C(0x0101010101010101) * (value))

/* Of four bytes at a time: each half of them goes into a byte of its own, of which those over 9 are
 * moved on to the letters. */
static void format_four(const unsigned char *bytes, char *out)
{
    uint32_t four;

    memcpy(&four, bytes, sizeof four);
    uint64_t word = le32toh(four);
    word = (word | word << 16) & UINT64_C(0x0000ffff0000ffff);
    word = (word | word << 8) & UINT64_C(0x00ff00ff00ff00ff);
    word = (word >> 4 | word << 8) & EACH_BYTE(0x0f);
    word += EACH_BYTE('0') + ((word + EACH_BYTE(6)) >> 4 & EACH_BYTE(1)) * ('a' - '9' - 1);
    word = htole64(word);
    memcpy(out, &word, sizeof word);
}

void hex_format(const void *bytes, size_t length, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *in = bytes;
    size_t i = 0;

    for (; length - i >= 4; i += 4)
        format_four(in + i, out + 2 * i);
    for (; i < length; i++) {
        out[2 * i] = digits[in[i] >> 4];
        out[2 * i + 1] = digits[in[i] & 15];
    }
    out[2 * length] = '\0';
}

/* A digit's value and this; by a table, since a processor cannot foresee which digits come. */
enum { IS_DIGIT = 0x10 };

static const unsigned char values[256] = {
    ['0'] = IS_DIGIT + 0,  ['1'] = IS_DIGIT + 1,  ['2'] = IS_DIGIT + 2,  ['3'] = IS_DIGIT + 3,
    ['4'] = IS_DIGIT + 4,  ['5'] = IS_DIGIT + 5,  ['6'] = IS_DIGIT + 6,  ['7'] = IS_DIGIT + 7,
    ['8'] = IS_DIGIT + 8,  ['9'] = IS_DIGIT + 9,  ['a'] = IS_DIGIT + 10, ['b'] = IS_DIGIT + 11,
    ['c'] = IS_DIGIT + 12, ['d'] = IS_DIGIT + 13, ['e'] = IS_DIGIT + 14, ['f'] = IS_DIGIT + 15,
};

bool hex_parse(const char *text, size_t length, void *bytes)
{
    const unsigned char *in = (const unsigned char *)text;
    unsigned char *out = bytes;
    unsigned all = IS_DIGIT;

    for (size_t i = 0; i < length; i++) {
        unsigned high = values[in[2 * i]];
        unsigned low = values[in[2 * i + 1]];
        all &= high & low;
        out[i] = (unsigned char)((high & 15) << 4 | (low & 15));
    }
    return all != 0;
}
