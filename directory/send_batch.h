/*
 * What a thread sends to many sockets, in one system call instead of one each.
 *
 * Who is sent something wakes up. Where the receiver runs on the same machine, it often runs at
 * once, on the same core and instead of the sender, takes the one thing that is there and sleeps
 * again, so that a server with as many cores as clients changed threads at every fourth reply; with
 * all replies of a round in one call it does so at every fourteenth, and takes a fifth less time.
 *
 * The call is Linux's io_submit (io_submit(2); the asynchronous I/O of its name is for disks only:
 * on a socket each write is done before the call returns, one after the other). Where the system
 * has none or forbids it, all is sent at once, as it would be without this.
 *
 * A send is taken when it surely goes out whole: it is small, and nothing is on its way to the same
 * receiver that has not got there (who asks again after a reply has got all of it; one that sends
 * requests in advance and does not read may not). Should the system have no memory for it, or the
 * connection be broken, the socket is shut, and whoever reads from it sees its end.
 *
 * A batch belongs to one thread from begin to end. SIGPIPE must be ignored.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define SEND_BATCH_SOCKETS_MAX  64
#define SEND_BATCH_SEND_BYTES   4096 /* a larger one is no matter of system calls */
#define SEND_BATCH_BYTES        65536
#define SEND_BATCH_MAX_DELAY_US 500

struct send_batch;

/* NULL: the system has no such call for us. */
struct send_batch *send_batch_new(void);
/* It must not be begun. NULL is allowed. */
void send_batch_free(struct send_batch *batch);

/* From now to the end, what this thread wants to send may wait. NULL: nothing does. */
void send_batch_begin(struct send_batch *batch);
/* Sends what waits. */
void send_batch_end(void);

/* Before something that may take its time: sends what has waited SEND_BATCH_MAX_DELAY_US already,
 * counted from the first call after it was taken. */
void send_batch_hurry(int64_t now_us);

/* How many bytes were taken, all of them; 0: they are to be sent as usual, now. */
size_t send_batch_take(int socket, const struct iovec *parts, size_t count);

/* Before the socket is shut or closed: what waits for it is sent. */
void send_batch_settle(int socket);
