#include "peer/rpc/peer_name.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

static const char *skip_prefix(const char *text, const char *prefix)
{
    size_t length = strlen(prefix);

    return strncmp(text, prefix, length) == 0 ? text + length : text;
}

static char bracket(const char *text)
{
    if (strncasecmp(text, "%5B", 3) == 0)
        return '[';
    return strncasecmp(text, "%5D", 3) == 0 ? ']' : '\0';
}

const char *peer_name_format(const char *core_name, char out[PEER_NAME_BYTES])
{
    const char *text = core_name ? core_name : "";
    size_t length = 0;

    text = skip_prefix(skip_prefix(text, "ipv4:"), "ipv6:");
    while (*text && length + 1 < PEER_NAME_BYTES) {
        char special = bracket(text);

        out[length++] = special ? special : *text;
        text += special ? 3 : 1;
    }
    out[length] = '\0';
    return out;
}
