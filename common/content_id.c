#include "common/content_id.h"

#include <string.h>

static const char digits[] = "0123456789abcdef";

bool content_id_equal(const struct content_id *left, const struct content_id *right)
{
    return memcmp(left->bytes, right->bytes, sizeof left->bytes) == 0;
}

const char *content_id_format(const struct content_id *id, char out[CONTENT_ID_DIGITS + 1])
{
    for (size_t i = 0; i < HASH_BYTES; i++) {
        out[2 * i] = digits[id->bytes[i] >> 4];
        out[2 * i + 1] = digits[id->bytes[i] & 15];
    }
    out[CONTENT_ID_DIGITS] = '\0';
    return out;
}

bool content_id_parse(const char *text, struct content_id *id)
{
    if (strlen(text) != CONTENT_ID_DIGITS)
        return false;
    for (size_t i = 0; i < HASH_BYTES; i++) {
        const char *high = strchr(digits, text[2 * i]);
        const char *low = strchr(digits, text[2 * i + 1]);
        if (!high || !low)
            return false;
        id->bytes[i] = (uint8_t)((high - digits) << 4 | (low - digits));
    }
    return true;
}

bool content_id_from_bytes(const void *data, size_t length, struct content_id *id)
{
    if (length != sizeof id->bytes)
        return false;
    memcpy(id->bytes, data, sizeof id->bytes);
    return true;
}
