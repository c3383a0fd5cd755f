/*
 * What libmicrohttpd calls of the system, where it is linked in: cmake/P2PMicrohttpd.cmake has the
 * linker put these in between (--wrap). Small sends of a loop's round are sent together
 * (directory/send_batch).
 *
 * They stand between the whole program and the system: what else of ours would send on a thread
 * whose batch is begun would wait, too.
 */
#include "directory/send_batch.h"

#include <assert.h>
#include <sys/socket.h>
#include <unistd.h>

/* The linker's names. */
ssize_t __real_recv(int socket, void *bytes, size_t length, int flags);
ssize_t __real_send(int socket, const void *bytes, size_t length, int flags);
ssize_t __real_sendmsg(int socket, const struct msghdr *message, int flags);
int __real_shutdown(int socket, int how);
int __real_close(int descriptor);
ssize_t __wrap_recv(int socket, void *bytes, size_t length, int flags);
ssize_t __wrap_send(int socket, const void *bytes, size_t length, int flags);
ssize_t __wrap_sendmsg(int socket, const struct msghdr *message, int flags);
int __wrap_shutdown(int socket, int how);
int __wrap_close(int descriptor);

/* Each connection's turn begins with it, also where it brings no whole request. */
ssize_t __wrap_recv(int socket, void *bytes, size_t length, int flags)
{
    send_batch_hurry();
    return __real_recv(socket, bytes, length, flags);
}

/* With MSG_MORE it is the beginning of something that the system shall not send yet. */
static size_t take(int socket, const struct iovec *parts, size_t count, int flags)
{
    send_batch_hurry();
    if (!(flags & MSG_MORE))
        return send_batch_take(socket, parts, count);
    send_batch_settle(socket);
    return 0;
}

ssize_t __wrap_send(int socket, const void *bytes, size_t length, int flags)
{
    const struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = length};
    size_t taken = take(socket, &part, 1, flags);

    return taken > 0 ? (ssize_t)taken : __real_send(socket, bytes, length, flags);
}

ssize_t __wrap_sendmsg(int socket, const struct msghdr *message, int flags)
{
    assert(!message->msg_name && !message->msg_control);
    size_t taken = take(socket, message->msg_iov, message->msg_iovlen, flags);

    return taken > 0 ? (ssize_t)taken : __real_sendmsg(socket, message, flags);
}

int __wrap_shutdown(int socket, int how)
{
    send_batch_settle(socket);
    return __real_shutdown(socket, how);
}

int __wrap_close(int descriptor)
{
    send_batch_settle(descriptor);
    return __real_close(descriptor);
}
