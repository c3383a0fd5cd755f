#include "peer/rpc/codec.h"

#include "common/memory.h"

#include <grpc/byte_buffer_reader.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Takes what protobuf-c writes: first only counted, then put into slices. */
struct sink {
    ProtobufCBuffer base;
    const uint8_t *payload;
    size_t payload_bytes;
    size_t inline_bytes;  /* all that is not the payload field */
    const uint8_t *field; /* the payload field */
    size_t field_bytes;

    uint8_t *memory; /* NULL while counting; inline_bytes large */
    size_t written;
    size_t field_at; /* how much of memory goes before the payload field */
};

static bool is_payload(const struct sink *sink, const uint8_t *data, size_t length)
{
    uintptr_t from = (uintptr_t)sink->payload;

    return sink->payload && length > 0 && (uintptr_t)data >= from &&
           (uintptr_t)data + length <= from + sink->payload_bytes;
}

static void sink_append(ProtobufCBuffer *buffer, size_t length, const uint8_t *data)
{
    struct sink *sink = (struct sink *)buffer;

    if (is_payload(sink, data, length)) {
        sink->field = data;
        sink->field_bytes = length;
        sink->field_at = sink->written;
        return;
    }
    if (sink->memory)
        memcpy(sink->memory + sink->written, data, length);
    sink->written += length;
}

static grpc_byte_buffer *buffer_of_slices(grpc_slice *slices, size_t count)
{
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(slices, count);

    for (size_t i = 0; i < count; i++)
        grpc_slice_unref(slices[i]);
    return buffer;
}

/* The bytes before the payload field, the field itself, and the bytes after it. (The cast: a slice
 * that we made is never written to by the core.) */
static grpc_byte_buffer *pack_counted(const ProtobufCMessage *message, struct sink *sink,
                                      void **payload)
{
    grpc_slice whole = grpc_slice_malloc(sink->inline_bytes);
    grpc_slice slices[3];
    size_t count = 0;

    sink->memory = GRPC_SLICE_START_PTR(whole);
    sink->written = 0;
    protobuf_c_message_pack_to_buffer(message, &sink->base);
    if (sink->field_bytes == 0) {
        slices[0] = whole;
        return buffer_of_slices(slices, 1);
    }
    slices[count++] = grpc_slice_sub(whole, 0, sink->field_at);
    slices[count++] = grpc_slice_new_with_user_data((void *)(uintptr_t)sink->field,
                                                    sink->field_bytes, free, *payload);
    *payload = NULL;
    if (sink->field_at < sink->inline_bytes)
        slices[count++] = grpc_slice_sub(whole, sink->field_at, sink->inline_bytes);
    grpc_slice_unref(whole);
    return buffer_of_slices(slices, count);
}

enum error_code codec_pack(const ProtobufCMessage *message, void *payload, size_t payload_bytes,
                           size_t limit_bytes, grpc_byte_buffer **buffer, struct error *error)
{
    auto_free void *owned = payload;
    struct sink sink = {
        .base.append = sink_append, .payload = payload, .payload_bytes = payload_bytes};

    protobuf_c_message_pack_to_buffer(message, &sink.base);
    sink.inline_bytes = sink.written;
    if (sink.inline_bytes + sink.field_bytes > limit_bytes)
        return error_set(error, ERROR_TOO_LARGE, "mensaje de %zu bytes: el máximo es %zu",
                         sink.inline_bytes + sink.field_bytes, limit_bytes);
    *buffer = pack_counted(message, &sink, &owned);
    return ERROR_NONE;
}

void codec_spans_init(struct codec_spans *spans, grpc_byte_buffer *buffer)
{
    grpc_byte_buffer_reader reader;
    grpc_slice *slice;
    size_t capacity = CODEC_FEW_SPANS;

    spans->items = spans->few;
    spans->count = 0;
    spans->bytes = 0;
    if (!grpc_byte_buffer_reader_init(&reader, buffer))
        return;
    while (grpc_byte_buffer_reader_peek(&reader, &slice)) {
        if (GRPC_SLICE_LENGTH(*slice) == 0)
            continue;
        if (spans->count == capacity) {
            capacity *= 2;
            if (spans->items == spans->few)
                spans->items = memcpy(memory_new(capacity, sizeof(struct iovec)), spans->few,
                                      sizeof spans->few);
            else
                spans->items = memory_resize(spans->items, capacity, sizeof(struct iovec));
        }
        spans->items[spans->count++] = (struct iovec){.iov_base = GRPC_SLICE_START_PTR(*slice),
                                                      .iov_len = GRPC_SLICE_LENGTH(*slice)};
        spans->bytes += GRPC_SLICE_LENGTH(*slice);
    }
    grpc_byte_buffer_reader_destroy(&reader);
}

void codec_spans_done(struct codec_spans *spans)
{
    if (spans->items != spans->few)
        free(spans->items);
    spans->items = spans->few;
    spans->count = 0;
    spans->bytes = 0;
}

/* An allocator with an end. What it gives is malloc's, so that plain protobuf-c frees it. */
struct budget {
    ProtobufCAllocator base;
    size_t left;
};

static void *budget_alloc(void *context, size_t size)
{
    struct budget *budget = context;

    if (size > budget->left)
        return NULL;
    budget->left -= size;
    return malloc(size);
}

static void budget_free(void *context, void *memory)
{
    (void)context;
    free(memory);
}

static ProtobufCMessage *unpack(const uint8_t *data, size_t length,
                                const ProtobufCMessageDescriptor *descriptor)
{
    struct budget budget = {.left = length * CODEC_UNPACK_FACTOR + CODEC_UNPACK_EXTRA_BYTES};

    budget.base.alloc = budget_alloc;
    budget.base.free = budget_free;
    budget.base.allocator_data = &budget;
    return protobuf_c_message_unpack(descriptor, &budget.base, length, data);
}

enum error_code codec_unpack(const struct iovec *spans, size_t span_count,
                             const ProtobufCMessageDescriptor *descriptor,
                             ProtobufCMessage **message, struct error *error)
{
    auto_free uint8_t *joined = NULL;
    const uint8_t *data = NULL;
    size_t length = 0;

    if (span_count == 1) {
        data = spans[0].iov_base;
        length = spans[0].iov_len;
    } else if (span_count > 1) {
        for (size_t i = 0; i < span_count; i++)
            length += spans[i].iov_len;
        joined = memory_new(length, 1); /* capped by the limit of a received message */
        length = 0;
        for (size_t i = 0; i < span_count; i++) {
            memcpy(joined + length, spans[i].iov_base, spans[i].iov_len);
            length += spans[i].iov_len;
        }
        data = joined;
    }
    *message = unpack(data, length, descriptor);
    if (!*message)
        return error_set(error, ERROR_INVALID, "Mensaje %s mal formado", descriptor->short_name);
    return ERROR_NONE;
}
