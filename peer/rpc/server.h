/*
 * The server side of gRPC: one engine for every method, driven by tables of rows. No other folder
 * sees a grpc_ type.
 *
 * A call is a small state machine that the engine drives on the thread of the event loop
 * (rpc/loop.h) that has the call's connection:
 *
 *            ┌─────────────── RPC_READ ────────────────┐
 *   open ─▶ read a message ─▶ message() ─▶ next() ──────┤
 *             (NULL at the end of the requests)  ▲  ├── RPC_SEND: the reply goes out, then next()
 *                                                └──┤
 *                                                   ├── RPC_WAIT: nothing until rpc_call_wake()
 *                                                   └── RPC_END: status goes out ─▶ close()
 *
 * One reply is in flight a call: a receiver that does not read costs one message of memory and no
 * thread. Each step that the client has to take has its time (struct rpc_times), and each host a
 * number of calls: what is too much is answered with RESOURCE_EXHAUSTED. A client that goes away
 * ends the call at the next step, also out of RPC_WAIT; close() is called exactly once, always,
 * last.
 *
 * Handlers may read and write local files, which holds up the other connections of the loop; they
 * do not wait for the network or for other threads (that is what RPC_WAIT is for).
 */
#pragma once

#include "common/error.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

/* grpcio refuses to receive messages over 4 MiB by default; nothing of ours is larger than this. */
#define RPC_MAX_MESSAGE_BYTES (2 * 1024 * 1024)

/* A server takes messages a little over that, and answers RESOURCE_EXHAUSTED to larger ones: the
 * limit of others counts their data, not the bytes around it. */
#define RPC_MESSAGE_SLACK_BYTES (64 * 1024)

/* Calls that are open at once, whatever they do: of all, and at most of one host (see
 * limits/host_counts.h); fewer where the process may have fewer descriptors, and of one host a
 * quarter of those: a call may open a file. One costs 12 KiB before its first message; the many
 * that a household behind one address can want are a tenth of this. */
#define RPC_MAX_CALLS      4096
#define RPC_MAX_HOST_CALLS 1024

/* How long a client may take for a step, in milliseconds; it is noticed up to a second later. A
 * call that is late is ended with DEADLINE_EXCEEDED. RPC_WAIT has no time. */
struct rpc_times {
    int64_t request_ms;    /* to send the first message, but for raw methods: it is small */
    int64_t read_ms;       /* to send each other one, whole */
    int64_t write_ms;      /* to take a reply and a status; 0: there is no end */
    int64_t write_bytes_s; /* and a second more for so many bytes */
    int64_t refuse_ms;     /* to take the status of a call that was one too many */
};

#define RPC_REQUEST_MS    15000
#define RPC_READ_MS       60000
#define RPC_WRITE_MS      60000
#define RPC_WRITE_BYTES_S 4096 /* five minutes for a MiB */
#define RPC_REFUSE_MS     1000

struct rpc_server;
struct rpc_call;
struct rpc_reply;

enum rpc_step { RPC_READ, RPC_SEND, RPC_WAIT, RPC_END };

/* A message that came in. Borrowed until message() returns. Methods with raw set get the bytes as
 * they lie in the transport's buffers, all others the unpacked message. */
struct rpc_request {
    const ProtobufCMessage *message;
    const struct iovec *spans;
    size_t span_count;
};

struct rpc_method {
    const char *path;                          /* "/peer.PeerService/ListFiles" */
    const ProtobufCMessageDescriptor *request; /* NULL with raw */
    bool raw;
    size_t max_reply_bytes; /* 0: RPC_MAX_MESSAGE_BYTES */

    /* Unary methods in one function: fill the reply and return ERROR_NONE, or say why not. The
     * other functions are then NULL. */
    enum error_code (*call)(void *service, const ProtobufCMessage *request, struct rpc_reply *reply,
                            struct error *error);

    /* All other methods. open makes the state that the rest is given; never NULL. */
    void *(*open)(void *service, struct rpc_call *call);
    /* A request; NULL when the client has sent all. An error ends the call with that status. */
    enum error_code (*message)(void *state, const struct rpc_request *request, struct error *error);
    /* What comes now. For RPC_END, *error is the status: code ERROR_NONE (as it is on entry) is OK.
     */
    enum rpc_step (*next)(void *state, struct rpc_reply *reply, struct error *error);
    /* The last word of every call; frees the state. After this rpc_call_wake must not be called. */
    void (*close)(void *state);
};

struct rpc_service {
    const struct rpc_method *methods;
    size_t method_count;
    void *service; /* given to open and call; borrowed until rpc_server_free */
};

struct rpc_server_options {
    /* "host:port", port 0 takes a free one; or "unix:/path", which then is the owner's alone */
    const char *address;
    const struct rpc_service *services;
    size_t service_count;
    unsigned loops; /* threads; 0: as many as the machine has cores, and a few (see rpc/loop.h) */
    /* Most connections at once, altogether and of one host; more are closed at once. 0: what
     * RLIMIT_NOFILE allows, see rpc/connections.h. */
    size_t max_connections, max_host_connections;
    /* Most calls at once, likewise; 0: as above. */
    size_t max_calls, max_host_calls;
    /* NULL: as above; but whoever reads from a Unix socket is the owner's, and may stand still (a
     * command that is stopped, or feeds a slow program). */
    const struct rpc_times *times;
};

/* Listens and serves at once. Options are borrowed for the call only, the tables for ever.
 * ERROR_BUSY: the address is in use; ERROR_INVALID: it is no address. */
MUST_CHECK enum error_code rpc_server_start(const struct rpc_server_options *options,
                                            struct rpc_server **server, struct error *error);

/* The port that was taken; 0 for a Unix socket. */
uint16_t rpc_server_port(const struct rpc_server *server);

/* How many connections there are, and how many there may be. Any thread. */
void rpc_server_connections(const struct rpc_server *server, size_t *count, size_t *most);

/* How long the loop that has been busy for longest is at one event. Any thread. */
int64_t rpc_server_busy_ms(const struct rpc_server *server);

/* Refuses new calls, gives the running ones grace_ms, cancels what is left, joins the threads. */
void rpc_server_stop(struct rpc_server *server, int64_t grace_ms);
void rpc_server_free(struct rpc_server *server); /* stops first if that was not done */

/* Makes the engine ask next() again soon, if the call is in RPC_WAIT; remembered otherwise (the
 * next RPC_WAIT is then answered at once). Any thread, from open() until close() begins. */
void rpc_call_wake(struct rpc_call *call);

/* Breaks the call off with this status, out of whatever it waits for: a message of the client, the
 * client's reading, RPC_WAIT. close() comes soon, on its thread, and next() no more. Any thread,
 * from open() until close() begins. */
void rpc_call_abort(struct rpc_call *call, enum error_code code, const char *text);

/* Address of the client as text, such as "172.28.0.3:51234". Borrowed, as long as the call. */
const char *rpc_call_peer(const struct rpc_call *call);

/* Packs the message; it is the caller's again on return. A message over the method's
 * max_reply_bytes is ERROR_TOO_LARGE. Call once a reply. */
MUST_CHECK enum error_code rpc_reply_pack(struct rpc_reply *reply, const ProtobufCMessage *message,
                                          struct error *error);

/* The same for a message one of whose bytes fields lies in payload (memory of malloc): the payload
 * is sent from where it lies and freed after; taken also on an error. */
MUST_CHECK enum error_code rpc_reply_pack_payload(struct rpc_reply *reply,
                                                  const ProtobufCMessage *message, void *payload,
                                                  size_t payload_bytes, struct error *error);

/* The number of the gRPC status for that code, for messages that carry one. */
uint32_t rpc_status_number(enum error_code code);

/* A message that many replies are, in memory once. ERROR_TOO_LARGE over limit_bytes. Any thread. */
struct rpc_packed;
MUST_CHECK enum error_code rpc_packed_new(const ProtobufCMessage *message, size_t limit_bytes,
                                          struct rpc_packed **packed, struct error *error);
struct rpc_packed *rpc_packed_share(const struct rpc_packed *packed); /* one more owner */
bool rpc_packed_equal(const struct rpc_packed *left, const struct rpc_packed *right);
void rpc_packed_free(struct rpc_packed *packed); /* NULL is fine */

/* Borrows it for the call only. Instead of rpc_reply_pack. */
void rpc_reply_set_packed(struct rpc_reply *reply, const struct rpc_packed *packed);
