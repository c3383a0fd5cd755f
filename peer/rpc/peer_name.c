#include "peer/rpc/peer_name.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

const char *peer_name_format(const struct sockaddr_storage *address, char out[PEER_NAME_BYTES])
{
    const struct sockaddr_in *four = (const void *)address;
    const struct sockaddr_in6 *six = (const void *)address;
    char host[INET6_ADDRSTRLEN] = "";

    if (address->ss_family == AF_INET) {
        inet_ntop(AF_INET, &four->sin_addr, host, sizeof host);
        snprintf(out, PEER_NAME_BYTES, "%s:%u", host, ntohs(four->sin_port));
    } else if (address->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr)) {
        inet_ntop(AF_INET, &six->sin6_addr.s6_addr[12], host, sizeof host);
        snprintf(out, PEER_NAME_BYTES, "%s:%u", host, ntohs(six->sin6_port));
    } else if (address->ss_family == AF_INET6) {
        inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof host);
        snprintf(out, PEER_NAME_BYTES, "[%s]:%u", host, ntohs(six->sin6_port));
    } else {
        snprintf(out, PEER_NAME_BYTES, "unix:");
    }
    return out;
}
