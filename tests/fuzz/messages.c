/* peer/rpc/codec: every message that comes over gRPC. The first byte chooses the message, the
 * second where it is cut in two. What unpacks stays within its memory, packs, and unpacks as the
 * same. */
#include "fuzz.h"

#include "peer/rpc/codec.h"
#include "proto/control.pb-c.h"
#include "proto/health.pb-c.h"
#include "proto/peer.pb-c.h"
#include "proto/reflection_v1.pb-c.h"

/* New ones at the end: the corpus chooses by number. */
static const ProtobufCMessageDescriptor *const messages[] = {
    &peer__empty__descriptor,
    &peer__file_info__descriptor,
    &peer__list_files_response__descriptor,
    &peer__download_request__descriptor,
    &peer__chunk__descriptor,
    &peer__upload_chunk__descriptor,
    &peer__upload_response__descriptor,
    &p2p__control__failure__descriptor,
    &p2p__control__search_request__descriptor,
    &p2p__control__source__descriptor,
    &p2p__control__search_reply__descriptor,
    &p2p__control__get_request__descriptor,
    &p2p__control__job__descriptor,
    &p2p__control__get_reply__descriptor,
    &p2p__control__put_request__descriptor,
    &p2p__control__put_reply__descriptor,
    &p2p__control__list_request__descriptor,
    &p2p__control__listed_file__descriptor,
    &p2p__control__list_reply__descriptor,
    &p2p__control__status_request__descriptor,
    &p2p__control__status_reply__descriptor,
    &p2p__control__begin_request__descriptor,
    &p2p__control__begin_reply__descriptor,
    &grpc__health__v1__health_check_request__descriptor,
    &grpc__health__v1__health_check_response__descriptor,
    &grpc__reflection__v1__server_reflection_request__descriptor,
    &grpc__reflection__v1__extension_request__descriptor,
    &grpc__reflection__v1__server_reflection_response__descriptor,
    &grpc__reflection__v1__file_descriptor_response__descriptor,
    &grpc__reflection__v1__extension_number_response__descriptor,
    &grpc__reflection__v1__list_service_response__descriptor,
    &grpc__reflection__v1__service_response__descriptor,
    &grpc__reflection__v1__error_response__descriptor,
    &peer__manifest_request__descriptor,
    &peer__manifest_part__descriptor,
    &peer__locate_request__descriptor,
    &peer__located_source__descriptor,
    &peer__locate_response__descriptor,
    &p2p__control__directory__descriptor,
    &p2p__control__downloads_reply__descriptor,
    &p2p__control__priority_request__descriptor,
    &peer__files_request__descriptor,
    &peer__files_part__descriptor,
};

struct packed {
    uint8_t *data;
    size_t size;
};

static struct packed pack(const ProtobufCMessage *message)
{
    struct packed packed = {.size = protobuf_c_message_get_packed_size(message)};

    packed.data = malloc(packed.size + 1);
    fuzz_check(packed.data && protobuf_c_message_pack(message, packed.data) == packed.size);
    return packed;
}

static const void *member(const ProtobufCMessage *message, size_t offset)
{
    return (const char *)message + offset;
}

/* The messages that a field holds. */
static ProtobufCMessage **inner_messages(const ProtobufCMessage *message,
                                         const ProtobufCFieldDescriptor *field, size_t *count)
{
    const void *value = member(message, field->offset);
    bool other = (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) &&
                 *(const uint32_t *)member(message, field->quantifier_offset) != field->id;

    *count = 0;
    if (field->type != PROTOBUF_C_TYPE_MESSAGE || other)
        return NULL;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        *count = *(const size_t *)member(message, field->quantifier_offset);
        return *(ProtobufCMessage * *const *)value;
    }
    *count = *(ProtobufCMessage *const *)value ? 1 : 0;
    return (ProtobufCMessage **)(uintptr_t)value;
}

/* Unknown fields are none of ours, and protobuf-c packs the forbidden field number 0 again so that
 * it cannot read it itself. */
static void drop_unknown_fields(ProtobufCMessage *message)
{
    for (unsigned i = 0; i < message->n_unknown_fields; i++)
        free(message->unknown_fields[i].data);
    free(message->unknown_fields);
    message->unknown_fields = NULL;
    message->n_unknown_fields = 0;
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        size_t count = 0;
        ProtobufCMessage **inner = inner_messages(message, field, &count);
        for (size_t item = 0; item < count; item++)
            drop_unknown_fields(inner[item]);
    }
}

/* Packing what was unpacked may shorten it (a value given twice, a default spelt out); from then on
 * it stays as it is. */
static void check_stable(const ProtobufCMessage *message)
{
    struct packed first = pack(message);
    ProtobufCMessage *again =
        protobuf_c_message_unpack(message->descriptor, NULL, first.size, first.data);

    fuzz_check(again && protobuf_c_message_check(again));
    struct packed second = pack(again);
    fuzz_check(first.size == second.size && memcmp(first.data, second.data, first.size) == 0);
    protobuf_c_message_free_unpacked(again, NULL);
    free(first.data);
    free(second.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ProtobufCMessage *message = NULL;
    struct iovec spans[2];
    struct error error;

    if (size < 2)
        return 0;
    const ProtobufCMessageDescriptor *descriptor = messages[data[0] % ARRAY_LENGTH(messages)];
    size_t cut = data[1];
    data += 2;
    size -= 2;
    cut = cut < size ? cut : size;
    spans[0] = (struct iovec){.iov_base = (void *)(uintptr_t)data, .iov_len = cut};
    spans[1] = (struct iovec){.iov_base = (void *)(uintptr_t)(data + cut), .iov_len = size - cut};
    if (codec_unpack(spans, cut < size ? 2 : 1, descriptor, &message, &error)) {
        fuzz_check(error.code == ERROR_INVALID && error.text[0] != '\0' && !message);
        return 0;
    }
    fuzz_check(message->descriptor == descriptor && protobuf_c_message_check(message));
    drop_unknown_fields(message);
    check_stable(message);
    protobuf_c_message_free_unpacked(message, NULL);
    return 0;
}
