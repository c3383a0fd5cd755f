#include "peer/rpc/listener.h"

#include "common/address.h"
#include "common/memory.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define UNIX_PREFIX "unix:"

bool listener_is_unix(const char *address)
{
    return strncmp(address, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0;
}

static const char *unix_path(const char *address)
{
    return address + strlen(UNIX_PREFIX);
}

static enum error_code check_unix(const char *path, struct error *error)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    auto_close int descriptor = -1;

    if (path[0] != '/' || strlen(path) >= sizeof name.sun_path)
        return error_set(error, ERROR_INVALID,
                         "%s: a socket's path begins with '/' and has at most %zu bytes", path,
                         sizeof name.sun_path - 1);
    memcpy(name.sun_path, path, strlen(path));
    descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0)
        return error_set_errno(error, errno, "cannot make a socket");
    /* EAGAIN: its queue is full, so somebody holds it */
    if (connect(descriptor, (struct sockaddr *)&name, sizeof name) == 0 || errno == EAGAIN)
        return error_set(error, ERROR_BUSY, "%s: another program listens there", path);
    return ERROR_NONE;
}

enum error_code listener_check(const char *address, struct error *error)
{
    struct address parsed;

    if (listener_is_unix(address))
        return check_unix(unix_path(address), error);
    return address_parse(address, true, &parsed, error);
}

static int try_bind(const struct addrinfo *info)
{
    auto_close int descriptor = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;

    if (descriptor < 0)
        return errno;
    (void)setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(descriptor, info->ai_addr, info->ai_addrlen) != 0 || listen(descriptor, 1) != 0)
        return errno;
    return 0;
}

static enum error_code explain_errno(const char *address, int errno_value, struct error *error)
{
    if (errno_value == EADDRINUSE)
        return error_set(error, ERROR_BUSY, "%s: the address is in use", address);
    if (errno_value == EADDRNOTAVAIL)
        return error_set(error, ERROR_INVALID, "%s: this machine has no such address", address);
    if (errno_value == 0) /* it was in use, and is no more */
        return error_set(error, ERROR_BUSY, "%s: cannot listen there", address);
    return error_set_errno(error, errno_value, "cannot listen at %s", address);
}

static enum error_code explain_tcp(const char *text, struct error *error)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found = NULL;
    struct address address;
    char port[8];
    int result;
    int errno_value = 0;

    if (address_parse(text, true, &address, error))
        return ERROR_INVALID;
    snprintf(port, sizeof port, "%u", (unsigned)address.port);
    result = getaddrinfo(address.host, port, &hints, &found);
    if (result)
        return error_set(error, ERROR_INVALID, "%s: %s", text, gai_strerror(result));
    for (const struct addrinfo *info = found; info && errno_value == 0; info = info->ai_next)
        errno_value = try_bind(info);
    freeaddrinfo(found);
    return explain_errno(text, errno_value, error);
}

static enum error_code explain_unix(const char *path, struct error *error)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    struct addrinfo info = {
        .ai_family = AF_UNIX, .ai_addr = (struct sockaddr *)&name, .ai_addrlen = sizeof name};
    int errno_value;

    memcpy(name.sun_path, path, strlen(path)); /* listener_check has seen the length */
    errno_value = try_bind(&info);
    if (errno_value == 0)
        (void)unlink(path);
    return explain_errno(path, errno_value, error);
}

enum error_code listener_explain(const char *address, struct error *error)
{
    return listener_is_unix(address) ? explain_unix(unix_path(address), error)
                                     : explain_tcp(address, error);
}

enum error_code listener_protect(const char *address, struct error *error)
{
    const char *path = unix_path(address);

    if (chmod(path, S_IRUSR | S_IWUSR) != 0)
        return error_set_errno(error, errno, "cannot protect %s", path);
    return ERROR_NONE;
}
