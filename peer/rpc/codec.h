/*
 * Protobuf messages to and from the byte buffers of the gRPC core. Used inside peer/rpc only.
 *
 * Stateless; a buffer belongs to one thread at a time.
 */
#pragma once

#include "common/error.h"

#include <grpc/grpc.h>
#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <sys/uio.h>

/* What unpacking may take from memory, against messages that are tiny on the wire and large in
 * memory: an empty sub-message is 2 bytes there and 50 to 70 here. Our smallest honest list entry
 * (7 bytes) takes less than 16 times its size. */
#define CODEC_UNPACK_FACTOR      16
#define CODEC_UNPACK_EXTRA_BYTES (64 * 1024)

/* Packs the message; *buffer is owned by the caller (grpc_byte_buffer_destroy). With payload (NULL
 * for none; memory of malloc) the bytes field that lies in it becomes a slice of its own, without
 * a copy; payload is taken in every case. ERROR_TOO_LARGE over limit_bytes. */
MUST_CHECK enum error_code codec_pack(const ProtobufCMessage *message, void *payload,
                                      size_t payload_bytes, size_t limit_bytes,
                                      grpc_byte_buffer **buffer, struct error *error);

#define CODEC_FEW_SPANS 16

/* A received message as the bytes lie in the transport's slices. */
struct codec_spans {
    struct iovec *items;
    size_t count;
    size_t bytes;
    struct iovec few[CODEC_FEW_SPANS]; /* items points here unless there are more */
};

/* Borrows from the buffer, which must outlive the spans. The struct must not be copied. */
void codec_spans_init(struct codec_spans *spans, grpc_byte_buffer *buffer);
void codec_spans_done(struct codec_spans *spans);

/* *message is owned by the caller (protobuf_c_message_free_unpacked). ERROR_INVALID when the bytes
 * are no such message or would take too much memory. */
MUST_CHECK enum error_code codec_unpack(const struct iovec *spans, size_t span_count,
                                        const ProtobufCMessageDescriptor *descriptor,
                                        ProtobufCMessage **message, struct error *error);
