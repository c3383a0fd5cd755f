/*
 * The client side of gRPC: calls that block the calling thread, each wait with a time-out. No
 * other folder sees a grpc_ type.
 *
 * A channel may be shared by threads. A call belongs to one thread; only rpc_client_cancel may
 * come from another. A server's status comes back as an error: its code by the table in
 * rpc/status.h, its text as the server gave it.
 */
#pragma once

#include "common/error.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

/* The longest response that a channel takes: grpcio's own default. */
#define RPC_MAX_RESPONSE_BYTES (4 * 1024 * 1024)

struct rpc_channel;
struct rpc_client_call;

/* Target: "host:port" or "unix:/path". Never fails; connecting happens with the first call. */
struct rpc_channel *rpc_channel_open(const char *target);
void rpc_channel_close(struct rpc_channel *channel); /* after its calls are freed */

/* Starts a call and waits for nothing: connecting is part of the first send or receive, which then
 * may say ERROR_UNREACHABLE, so that it can be cancelled too. step_timeout_ms bounds every single
 * wait below: a transfer of any length goes on as long as it moves; ERROR_TIMEOUT otherwise. After
 * an error every further step gives the same one. *call is owned by the caller (rpc_client_free).
 * Fails only for reasons of our own (ERROR_IO). */
MUST_CHECK enum error_code rpc_client_start(struct rpc_channel *channel, const char *method,
                                            int64_t step_timeout_ms, struct rpc_client_call **call,
                                            struct error *error);

/* From the next step on: for the part of a call in which the other side may take its time. */
void rpc_client_set_step_timeout(struct rpc_client_call *call, int64_t step_timeout_ms);

/* Sends one message; with payload as in rpc_reply_pack_payload (NULL for none). Returns when the
 * transport has taken it. When the server has ended the call meanwhile, its status is the error;
 * ERROR_NONE with *ended set: it ended with OK or with an answer (receive it), and takes no more.
 * The payload is taken in every case. */
MUST_CHECK enum error_code rpc_client_send(struct rpc_client_call *call,
                                           const ProtobufCMessage *message, void *payload,
                                           size_t payload_bytes, bool *ended, struct error *error);
/* No more messages from us. */
MUST_CHECK enum error_code rpc_client_send_end(struct rpc_client_call *call, struct error *error);

/* Instead of both, for a call that asks once: goes out together with the call itself, which saves
 * two waits. Waits for nothing; that it could not be sent shows with the first receive. */
MUST_CHECK enum error_code rpc_client_send_only(struct rpc_client_call *call,
                                                const ProtobufCMessage *message,
                                                struct error *error);

/* One message that came in. The spans are borrowed until the next receive or the free. */
struct rpc_response {
    const struct iovec *spans;
    size_t span_count;
    size_t bytes;
};

/* The next message. *end: the server has no more and its status is OK. Any other status is the
 * error returned. */
MUST_CHECK enum error_code rpc_client_receive(struct rpc_client_call *call,
                                              struct rpc_response *response, bool *end,
                                              struct error *error);

/* Takes the message that the last receive gave out away from the call, with the transport's
 * buffers: it stays until it is freed, also beyond the call. *response is where it lies from now
 * on; its spans are borrowed from the held message. Once a message. Owned by the caller; any thread
 * may free it. */
struct rpc_held;
struct rpc_held *rpc_client_hold(struct rpc_client_call *call, struct rpc_response *response);
void rpc_held_free(struct rpc_held *held); /* NULL is fine */

/* Unpacks a response; *message is owned by the caller (protobuf_c_message_free_unpacked).
 * ERROR_CORRUPT when the bytes are no such message. */
MUST_CHECK enum error_code rpc_response_unpack(const struct rpc_response *response,
                                               const ProtobufCMessageDescriptor *descriptor,
                                               ProtobufCMessage **message, struct error *error);

/* For calls with one response: it and the end of the call. *response is owned by the caller
 * (protobuf_c_message_free_unpacked). ERROR_CORRUPT also when there is none, or another one. */
MUST_CHECK enum error_code rpc_client_receive_only(struct rpc_client_call *call,
                                                   const ProtobufCMessageDescriptor *descriptor,
                                                   ProtobufCMessage **response,
                                                   struct error *error);

/* The code of a status that a message carries as a number (rpc_status_number of the other side): as
 * that of a call, but UNAVAILABLE is ERROR_BUSY, for the connection stands. */
enum error_code rpc_client_code_of(uint64_t status);

/* Any thread: what waits returns ERROR_CANCELLED soon, as does all that follows. */
void rpc_client_cancel(struct rpc_client_call *call);

/* Ends the call if it is still going, frees it. NULL is fine. */
void rpc_client_free(struct rpc_client_call *call);
