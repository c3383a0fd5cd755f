#include "common/address.h"

#include "common/text.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static bool host_is_good(const char *host, size_t length, bool bracketed)
{
    if (length == 0 || length >= ADDRESS_HOST_BYTES)
        return false;
    if (bracketed && !memchr(host, ':', length)) /* brackets are for IPv6 alone (RFC 3986, 3.2.2) */
        return false;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)host[i];
        if (!isalnum(c) && c != '.' && c != '-' && c != '_' &&
            !(bracketed && (c == ':' || c == '%')))
            return false;
    }
    return true;
}

enum error_code address_parse(const char *text, bool allow_port_0, struct address *address,
                              struct error *error)
{
    static const char scheme[] = "http://";
    const char *host = text;
    char port_text[8] = "";
    long long port;

    if (strncmp(host, scheme, sizeof scheme - 1) == 0)
        host += sizeof scheme - 1;
    bool bracketed = host[0] == '[';
    const char *colon = strrchr(host, ':');
    size_t length = colon ? (size_t)(colon - host) : 0;
    if (bracketed && length >= 2 && host[length - 1] == ']') {
        host++;
        length -= 2;
    } else if (bracketed) {
        length = 0;
    }
    size_t port_length = colon ? strlen(colon + 1) : 0;
    if (port_length > 0 && colon[port_length] == '/')
        port_length--;
    if (port_length < sizeof port_text && colon)
        memcpy(port_text, colon + 1, port_length);
    if (!host_is_good(host, length, bracketed) ||
        !text_to_integer(port_text, allow_port_0 ? 0 : 1, 65535, &port))
        return error_set(error, ERROR_INVALID, "'%s' is not an address of the form host:port",
                         text);
    memcpy(address->host, host, length);
    address->host[length] = '\0';
    address->port = (uint16_t)port;
    return ERROR_NONE;
}

const char *address_format(const struct address *address, char out[ADDRESS_TEXT_BYTES])
{
    bool brackets = strchr(address->host, ':') != NULL;

    snprintf(out, ADDRESS_TEXT_BYTES, brackets ? "[%s]:%u" : "%s:%u", address->host,
             (unsigned)address->port);
    return out;
}

bool address_is_wildcard(const struct address *address)
{
    return strcmp(address->host, "0.0.0.0") == 0 || strcmp(address->host, "::") == 0;
}
