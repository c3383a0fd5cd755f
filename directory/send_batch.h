/*
 * What a thread sends to many sockets, in one system call instead of one each.
 *
 * Who is sent something wakes up. Where the receiver is on the same machine it often runs at once,
 * on the same core and instead of the sender, takes the one thing that is there and sleeps again:
 * with 32 clients beside it on two cores the directory changed threads at every fourth reply. With
 * all replies of a round in one call it does so at every fourteenth, and takes a quarter less time
 * in the system.
 *
 * The call is Linux's io_submit (io_submit(2); what it is given for a socket it does at once, one
 * after the other). Where the system has none or forbids it, all is sent by itself, as it would be
 * without this.
 *
 * A send is taken when it goes out whole: it is small, nothing that was sent to the same receiver
 * is still queued, and the socket's send buffer holds so much even in the smallest segments. A
 * receiver that asks again after a reply has emptied the queue; one that sends requests in advance
 * and does not read may not have. What is not sent whole all the same, because the connection is
 * broken or the system has no memory for it, has the socket shut, and whoever reads from it sees
 * its end.
 *
 * A batch belongs to one thread from begin to end. SIGPIPE must be ignored.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* In one call; so many more cost what the first ones do. */
#define SEND_BATCH_SOCKETS_MAX 64
/* For one that is larger, a system call and a wake are little. */
#define SEND_BATCH_SEND_BYTES 4096
/* Waiting, of all: what is usual of so many. */
#define SEND_BATCH_BYTES 65536
/* Linux's usual one. With less, a client with segments of 88 to 536 bytes got a part of 4096. */
#define SEND_BATCH_BUFFER_MIN_BYTES 16384
/* Longer than a round of requests from some thirty clients takes. */
#define SEND_BATCH_MAX_DELAY_US 500

struct send_batch;

/* NULL: the system has no such call for us. */
struct send_batch *send_batch_new(void);
/* It must not be begun. Takes some 30 ms, for which the system waits. NULL is allowed. */
void send_batch_free(struct send_batch *batch);

/* From now to the end, what this thread wants to send may wait. NULL: nothing does. */
void send_batch_begin(struct send_batch *batch);
/* Sends what waits. */
void send_batch_end(void);

/* Between any two things that the thread does: sends what has waited SEND_BATCH_MAX_DELAY_US
 * already, counted from the first call after it was taken. */
void send_batch_hurry(void);

/* How many bytes were taken, all of them; 0: they are to be sent as usual, now. */
size_t send_batch_take(int socket, const struct iovec *parts, size_t count);

/* Before anything else is done with the socket: what waits for it is sent. */
void send_batch_settle(int socket);
