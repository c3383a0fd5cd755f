#include "common/notify.h"

#include "common/memory.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void notify_send(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = path ? strlen(path) : 0;

    if (length < 2 || length >= sizeof address.sun_path || (*path != '/' && *path != '@'))
        return;
    memcpy(address.sun_path, path, length);
    if (*path == '@') /* an abstract one: its name begins with a NUL byte */
        address.sun_path[0] = '\0';
    auto_close int file = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (file < 0)
        return;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    if (sendto(file, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&address, size) <
        0)
        return; /* the manager finds out when it waits in vain */
}

int64_t notify_watchdog_ms(void)
{
    const char *limit = getenv("WATCHDOG_USEC");
    const char *process = getenv("WATCHDOG_PID");

    if (!limit || (process && strtoll(process, NULL, 10) != getpid()))
        return 0;
    int64_t limit_ms = strtoll(limit, NULL, 10) / 1000;
    return limit_ms > 0 ? limit_ms : 0;
}
