#include "peer/rpc/reply.h"

#include "common/memory.h"
#include "peer/rpc/codec.h"
#include "peer/rpc/status.h"

#include <assert.h>
#include <stdlib.h>

void reply_drop(struct rpc_reply *reply)
{
    grpc_byte_buffer_destroy(reply->buffer);
    reply->buffer = NULL;
}

enum error_code rpc_reply_pack(struct rpc_reply *reply, const ProtobufCMessage *message,
                               struct error *error)
{
    return rpc_reply_pack_payload(reply, message, NULL, 0, error);
}

enum error_code rpc_reply_pack_payload(struct rpc_reply *reply, const ProtobufCMessage *message,
                                       void *payload, size_t payload_bytes, struct error *error)
{
    assert(!reply->buffer);
    return codec_pack(message, payload, payload_bytes, reply->limit_bytes, &reply->buffer, error);
}

uint32_t rpc_status_number(enum error_code code)
{
    return (uint32_t)rpc_status_of(code);
}

/* ---- messages that many replies are ---- */

struct rpc_packed {
    grpc_byte_buffer *buffer; /* copies have the same slices, which the core counts the owners of */
};

static struct rpc_packed *packed_of(grpc_byte_buffer *buffer)
{
    struct rpc_packed *packed = memory_new(1, sizeof *packed);

    packed->buffer = buffer;
    return packed;
}

enum error_code rpc_packed_new(const ProtobufCMessage *message, size_t limit_bytes,
                               struct rpc_packed **packed, struct error *error)
{
    grpc_byte_buffer *buffer = NULL;
    enum error_code code = codec_pack(message, NULL, 0, limit_bytes, &buffer, error);

    if (!code)
        *packed = packed_of(buffer);
    return code;
}

struct rpc_packed *rpc_packed_share(const struct rpc_packed *packed)
{
    return packed_of(grpc_byte_buffer_copy(packed->buffer));
}

/* What was packed without a payload is one slice. */
bool rpc_packed_equal(const struct rpc_packed *left, const struct rpc_packed *right)
{
    return grpc_slice_eq(left->buffer->data.raw.slice_buffer.slices[0],
                         right->buffer->data.raw.slice_buffer.slices[0]);
}

void rpc_packed_free(struct rpc_packed *packed)
{
    if (!packed)
        return;
    grpc_byte_buffer_destroy(packed->buffer);
    free(packed);
}

void rpc_reply_set_packed(struct rpc_reply *reply, const struct rpc_packed *packed)
{
    assert(!reply->buffer);
    reply->buffer = grpc_byte_buffer_copy(packed->buffer);
}
