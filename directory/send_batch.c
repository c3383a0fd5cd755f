#include "directory/send_batch.h"

#include "common/clock.h"
#include "common/memory.h"

#include <errno.h>
#include <linux/aio_abi.h>
#include <linux/sock_diag.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

struct send_batch {
    aio_context_t context;
    int64_t since_us;   /* 0: not known yet */
    size_t count, used; /* used: of bytes */
    struct iocb sends[SEND_BATCH_SOCKETS_MAX];
    struct io_event results[SEND_BATCH_SOCKETS_MAX];
    char bytes[SEND_BATCH_BYTES];
};

static _Thread_local struct send_batch *current;

struct send_batch *send_batch_new(void)
{
    struct send_batch *made = memory_new(1, sizeof *made);

    if (syscall(SYS_io_setup, SEND_BATCH_SOCKETS_MAX, &made->context) == 0)
        return made;
    free(made);
    return NULL;
}

void send_batch_free(struct send_batch *batch)
{
    if (!batch)
        return;
    syscall(SYS_io_destroy, batch->context);
    free(batch);
}

void send_batch_begin(struct send_batch *batch)
{
    current = batch;
}

/* ---- sending ---- */

/* Of one that waits no longer. */
static void check(const struct iocb *send, int64_t sent)
{
    if (sent != (int64_t)send->aio_nbytes)
        shutdown((int)send->aio_fildes, SHUT_RDWR);
}

static void send_one(const struct iocb *send)
{
    check(send,
          write((int)send->aio_fildes, (const void *)(uintptr_t)send->aio_buf, send->aio_nbytes));
}

/* How many were sent: the first ones. */
static size_t submit(struct send_batch *batch, size_t count)
{
    struct iocb *list[SEND_BATCH_SOCKETS_MAX];

    for (size_t i = 0; i < count; i++)
        list[i] = &batch->sends[i];
    long sent = syscall(SYS_io_submit, batch->context, (long)count, list);
    if (sent <= 0)
        return 0;
    /* All have ended: this only collects the results. */
    while (syscall(SYS_io_getevents, batch->context, sent, sent, batch->results, NULL) < 0 &&
           errno == EINTR)
        ;
    for (long i = 0; i < sent; i++)
        check((const struct iocb *)(uintptr_t)batch->results[i].obj, batch->results[i].res);
    return (size_t)sent;
}

static void forget(struct send_batch *batch)
{
    batch->count = batch->used = 0;
    batch->since_us = 0;
}

static void send_all(struct send_batch *batch)
{
    size_t count = batch->count;

    forget(batch);
    for (size_t i = count > 1 ? submit(batch, count) : 0; i < count; i++)
        send_one(&batch->sends[i]);
}

void send_batch_end(void)
{
    if (current)
        send_all(current);
    current = NULL;
}

void send_batch_hurry(void)
{
    struct send_batch *batch = current;

    if (!batch || batch->count == 0)
        return;
    int64_t now_us = clock_us();
    if (batch->since_us == 0)
        batch->since_us = now_us;
    else if (now_us - batch->since_us >= SEND_BATCH_MAX_DELAY_US)
        send_all(batch);
}

/* There is one of each socket at most. */
void send_batch_settle(int socket)
{
    struct send_batch *batch = current;
    size_t i = 0;

    while (batch && i < batch->count && batch->sends[i].aio_fildes != (uint32_t)socket)
        i++;
    if (!batch || i == batch->count)
        return;
    struct iocb send = batch->sends[i];
    batch->sends[i] = batch->sends[--batch->count];
    send_one(&send);
    if (batch->count == 0)
        forget(batch);
}

/* ---- taking ---- */

static bool has_room(int socket)
{
    uint32_t memory[SK_MEMINFO_VARS];
    socklen_t length = sizeof memory;

    return getsockopt(socket, SOL_SOCKET, SO_MEMINFO, memory, &length) == 0 &&
           memory[SK_MEMINFO_WMEM_QUEUED] == 0 &&
           memory[SK_MEMINFO_SNDBUF] >= SEND_BATCH_BUFFER_MIN_BYTES;
}

size_t send_batch_take(int socket, const struct iovec *parts, size_t count)
{
    struct send_batch *batch = current;
    size_t length = 0;

    if (!batch)
        return 0;
    send_batch_settle(socket); /* they arrive in their order */
    for (size_t i = 0; i < count; i++)
        length += parts[i].iov_len;
    if (length == 0 || length > SEND_BATCH_SEND_BYTES || !has_room(socket))
        return 0;
    if (batch->count == SEND_BATCH_SOCKETS_MAX || length > SEND_BATCH_BYTES - batch->used)
        send_all(batch);
    char *bytes = batch->bytes + batch->used;
    batch->sends[batch->count++] = (struct iocb){
        .aio_lio_opcode = IOCB_CMD_PWRITE,
        .aio_fildes = (uint32_t)socket,
        .aio_buf = (uint64_t)(uintptr_t)bytes,
        .aio_nbytes = length,
    };
    for (size_t i = 0; i < count; i++) {
        memcpy(bytes, parts[i].iov_base, parts[i].iov_len);
        bytes += parts[i].iov_len;
    }
    batch->used += length;
    return length;
}
