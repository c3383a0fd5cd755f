#include "common/content_id.h"

#include "common/hex.h"

#include <string.h>

bool content_id_equal(const struct content_id *left, const struct content_id *right)
{
    return memcmp(left->bytes, right->bytes, sizeof left->bytes) == 0;
}

const char *content_id_format(const struct content_id *id, char out[CONTENT_ID_DIGITS + 1])
{
    hex_format(id->bytes, sizeof id->bytes, out);
    return out;
}

bool content_id_parse(const char *text, struct content_id *id)
{
    return strlen(text) == CONTENT_ID_DIGITS && hex_parse(text, sizeof id->bytes, id->bytes);
}

bool content_id_from_bytes(const void *data, size_t length, struct content_id *id)
{
    if (length != sizeof id->bytes)
        return false;
    memcpy(id->bytes, data, sizeof id->bytes);
    return true;
}
