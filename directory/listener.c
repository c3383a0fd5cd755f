#include "directory/listener.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static int listen_on(const struct addrinfo *info)
{
    int listener = socket(info->ai_family, info->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int one = 1;
    int zero = 0;

    if (listener < 0)
        return -1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (info->ai_family == AF_INET6)
        setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
    if (bind(listener, info->ai_addr, info->ai_addrlen) < 0 || listen(listener, SOMAXCONN) < 0) {
        int reason = errno;
        close(listener);
        errno = reason;
        return -1;
    }
    return listener;
}

static uint16_t port_of(int listener)
{
    struct sockaddr_storage taken = {0};
    socklen_t length = sizeof taken;

    getsockname(listener, (struct sockaddr *)&taken, &length);
    return ntohs(taken.ss_family == AF_INET6
                     ? ((const struct sockaddr_in6 *)(const void *)&taken)->sin6_port
                     : ((const struct sockaddr_in *)(const void *)&taken)->sin_port);
}

enum error_code listener_open(const struct address *wanted, int *listener, struct address *taken,
                              struct error *error)
{
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char port[8];
    char text[ADDRESS_TEXT_BYTES];

    snprintf(port, sizeof port, "%u", (unsigned)wanted->port);
    int problem = getaddrinfo(wanted->host, port, &hints, &found);
    if (problem != 0)
        return error_set(error, ERROR_INVALID, "%s: %s", address_format(wanted, text),
                         gai_strerror(problem));
    *listener = listen_on(found);
    int reason = errno;
    freeaddrinfo(found);
    if (*listener < 0)
        return error_set_errno(error, reason, "%s", address_format(wanted, text));
    *taken = *wanted;
    taken->port = port_of(*listener);
    return ERROR_NONE;
}
