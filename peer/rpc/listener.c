#include "peer/rpc/listener.h"

#include "common/address.h"
#include "common/compiler.h"
#include "common/memory.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define UNIX_PREFIX "unix:"

/* A machine that went away without a word: HTTP/2's pings find it while a call runs (rpc/tuning.c),
 * TCP's when none does. The last one is how long anything, a ping too, may stay without an answer,
 * so an idle connection is given back after 90 s. */
#define IDLE_S          60
#define PROBE_S         15
#define PROBES          6
#define USER_TIMEOUT_MS 90000

bool listener_is_unix(const char *address)
{
    return strncmp(address, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0;
}

static void keep(struct listener *listener, int *descriptor)
{
    listener->sockets[listener->count++] = take_descriptor(descriptor);
}

/* ---- Unix sockets ---- */

static enum error_code unix_name(const char *path, struct sockaddr_un *name, struct error *error)
{
    *name = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (path[0] != '/' || strlen(path) >= sizeof name->sun_path)
        return error_set(error, ERROR_INVALID,
                         "%s: a socket's path begins with '/' and has at most %zu bytes", path,
                         sizeof name->sun_path - 1);
    memcpy(name->sun_path, path, strlen(path));
    return ERROR_NONE;
}

/* Removes a socket that is left over; one that somebody answers at is not. */
static enum error_code make_room(const struct sockaddr_un *name, struct error *error)
{
    auto_close int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct stat status;

    if (descriptor < 0)
        return error_set_errno(error, errno, "cannot make a socket");
    /* EAGAIN: its queue is full, so somebody holds it */
    if (connect(descriptor, (const struct sockaddr *)name, sizeof *name) == 0 || errno == EAGAIN)
        return error_set(error, ERROR_BUSY, "%s: another program listens there", name->sun_path);
    if (lstat(name->sun_path, &status) == 0 && S_ISSOCK(status.st_mode))
        (void)unlink(name->sun_path); /* else bind says why not */
    return ERROR_NONE;
}

static enum error_code open_unix(const char *path, struct listener *listener, struct error *error)
{
    auto_close int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un name;
    enum error_code code = unix_name(path, &name, error);

    if (!code)
        code = make_room(&name, error);
    if (code)
        return code;
    if (descriptor < 0)
        return error_set_errno(error, errno, "cannot make a socket");
    if (bind(descriptor, (const struct sockaddr *)&name, sizeof name) != 0)
        return errno == EADDRINUSE ? error_set(error, ERROR_BUSY, "%s: the address is in use", path)
                                   : error_set_errno(error, errno, "cannot listen at %s", path);
    listener->path = memory_copy_string(path);
    /* Nobody can connect before listen(). */
    if (chmod(path, S_IRUSR | S_IWUSR) != 0)
        return error_set_errno(error, errno, "cannot protect %s", path);
    if (listen(descriptor, SOMAXCONN) != 0)
        return error_set_errno(error, errno, "cannot listen at %s", path);
    keep(listener, &descriptor);
    return ERROR_NONE;
}

/* ---- TCP ---- */

static void tune(int descriptor, int family)
{
    static const struct {
        int level, name, value;
    } rows[] = {
        {SOL_SOCKET, SO_REUSEADDR, 1}, /* connections of the daemon before do not keep the port */
        {IPPROTO_TCP, TCP_NODELAY, 1},       {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, IDLE_S}, {IPPROTO_TCP, TCP_KEEPINTVL, PROBE_S},
        {IPPROTO_TCP, TCP_KEEPCNT, PROBES},  {IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_MS},
    };
    int off = 0;

    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
        (void)setsockopt(descriptor, rows[i].level, rows[i].name, &rows[i].value,
                         sizeof rows[i].value);
    if (family == AF_INET6)
        (void)setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
}

static uint16_t *port_of(struct sockaddr_storage *name)
{
    return name->ss_family == AF_INET6 ? &((struct sockaddr_in6 *)(void *)name)->sin6_port
                                       : &((struct sockaddr_in *)(void *)name)->sin_port;
}

/* Returns an errno. Of a name's addresses all get the port that the first one took. */
static int open_one(const struct addrinfo *info, struct listener *listener)
{
    auto_close int descriptor =
        socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_storage name = {0};
    socklen_t length = sizeof name;

    if (descriptor < 0)
        return errno;
    tune(descriptor, info->ai_family);
    memcpy(&name, info->ai_addr, info->ai_addrlen);
    if (listener->count > 0)
        *port_of(&name) = htons(listener->port);
    if (bind(descriptor, (const struct sockaddr *)&name, info->ai_addrlen) != 0 ||
        listen(descriptor, SOMAXCONN) != 0 ||
        getsockname(descriptor, (struct sockaddr *)&name, &length) != 0)
        return errno;
    listener->port = ntohs(*port_of(&name));
    keep(listener, &descriptor);
    return 0;
}

/* An address that is taken is an error; one that this machine does not have is none as long as
 * another one of the name's will do. */
static int open_all(const char *host, const char *port, struct listener *listener, int *resolved)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int first = 0;

    *resolved = getaddrinfo(host, port, &hints, &found);
    if (*resolved)
        return 0;
    for (const struct addrinfo *info = found; info && listener->count < LISTENER_MAX_SOCKETS;
         info = info->ai_next) {
        int errno_value = open_one(info, listener);

        first = first ? first : errno_value;
        if (errno_value == EADDRINUSE) {
            first = errno_value;
            break;
        }
    }
    freeaddrinfo(found);
    return first == EADDRINUSE || listener->count == 0 ? first : 0;
}

static enum error_code open_tcp(const char *text, struct listener *listener, struct error *error)
{
    struct address address;
    char port[8];
    int resolved;
    int errno_value;

    if (address_parse(text, true, &address, error))
        return ERROR_INVALID;
    snprintf(port, sizeof port, "%u", (unsigned)address.port);
    /* [::] is both families; a machine without IPv6 has only the other. */
    errno_value =
        open_all(address_is_wildcard(&address) ? "::" : address.host, port, listener, &resolved);
    if (address_is_wildcard(&address) && (resolved || (errno_value && errno_value != EADDRINUSE)))
        errno_value = open_all("0.0.0.0", port, listener, &resolved);
    if (resolved)
        return error_set(error, ERROR_INVALID, "%s: %s", text, gai_strerror(resolved));
    switch (errno_value) {
    case 0:
        return ERROR_NONE;
    case EADDRINUSE:
        return error_set(error, ERROR_BUSY, "%s: the address is in use", text);
    case EADDRNOTAVAIL:
        return error_set(error, ERROR_INVALID, "%s: this machine has no such address", text);
    default:
        return error_set_errno(error, errno_value, "cannot listen at %s", text);
    }
}

/* ---- both ---- */

enum error_code listener_open(const char *address, struct listener *listener, struct error *error)
{
    enum error_code code;

    *listener = (struct listener){0};
    if (listener_is_unix(address))
        code = open_unix(address + strlen(UNIX_PREFIX), listener, error);
    else
        code = open_tcp(address, listener, error);
    if (code)
        listener_close(listener);
    return code;
}

void listener_close(struct listener *listener)
{
    for (size_t i = 0; i < listener->count; i++)
        close(listener->sockets[i]);
    if (listener->path)
        (void)unlink(listener->path);
    free(listener->path);
    *listener = (struct listener){0};
}
