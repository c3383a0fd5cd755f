#include "peer/network/chunk.h"

#include <stdbool.h>
#include <string.h>

/* Fields and wire types of https://protobuf.dev/programming-guides/encoding/ */
#define COPY_SPANS 16 /* at a time */

enum {
    CHUNK_DATA = 1,
    CHUNK_TOTAL_BYTES = 2,
    CHUNK_OFFSET = 3,
    CHUNK_QUEUE_POSITION = 4,
    CHUNK_LENGTH = 5,
    CHUNK_PIECES = 6
};
enum { UPLOAD_FILENAME = 1, UPLOAD_DATA = 2 };
enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

#define FIELD_NUMBER_MAX ((1U << 29) - 1)

struct cursor {
    const struct iovec *spans;
    size_t span_count;
    size_t in_span;  /* bytes taken of spans[0] */
    size_t position; /* bytes taken of the message */
    size_t size;     /* of the message */
};

static bool take_byte(struct cursor *cursor, uint8_t *byte)
{
    while (cursor->span_count > 0 && cursor->in_span == cursor->spans->iov_len) {
        cursor->spans++;
        cursor->span_count--;
        cursor->in_span = 0;
    }
    if (cursor->span_count == 0)
        return false;
    *byte = ((const uint8_t *)cursor->spans->iov_base)[cursor->in_span++];
    cursor->position++;
    return true;
}

static bool take_varint(struct cursor *cursor, uint64_t *value)
{
    uint8_t byte;

    *value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (!take_byte(cursor, &byte))
            return false;
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return true;
    }
    return false;
}

static bool skip(struct cursor *cursor, uint64_t length)
{
    if (length > cursor->size - cursor->position)
        return false;
    cursor->position += (size_t)length;
    while (length > 0) {
        size_t left = cursor->spans->iov_len - cursor->in_span;
        size_t step = length < left ? (size_t)length : left;
        cursor->in_span += step;
        length -= step;
        if (length > 0) {
            cursor->spans++;
            cursor->span_count--;
            cursor->in_span = 0;
        }
    }
    return true;
}

/* One field of the message, whatever it is; of WIRE_BYTES, where its bytes lie. */
struct field {
    uint64_t number;
    unsigned wire;
    uint64_t value; /* of WIRE_VARINT */
    struct chunk_part part;
};

static bool take_bytes(struct cursor *cursor, struct chunk_part *part)
{
    uint64_t length;

    if (!take_varint(cursor, &length))
        return false;
    *part = (struct chunk_part){.offset = cursor->position, .bytes = (size_t)length};
    return skip(cursor, length);
}

static bool take_field(struct cursor *cursor, struct field *field)
{
    uint64_t tag;

    if (!take_varint(cursor, &tag) || tag >> 3 == 0 || tag >> 3 > FIELD_NUMBER_MAX)
        return false;
    field->number = tag >> 3;
    field->wire = tag & 7;
    switch (field->wire) {
    case WIRE_VARINT:
        return take_varint(cursor, &field->value);
    case WIRE_BYTES:
        return take_bytes(cursor, &field->part);
    case WIRE_FIXED64:
        return skip(cursor, 8);
    case WIRE_FIXED32:
        return skip(cursor, 4);
    default: /* groups, which proto3 does not have, and nothing */
        return false;
    }
}

static struct cursor cursor_at_start(const struct iovec *spans, size_t span_count)
{
    struct cursor cursor = {.spans = spans, .span_count = span_count};

    for (size_t i = 0; i < span_count; i++)
        cursor.size += spans[i].iov_len;
    return cursor;
}

enum error_code chunk_parse(const struct iovec *spans, size_t span_count, struct chunk *chunk,
                            struct error *error)
{
    struct cursor cursor = cursor_at_start(spans, span_count);
    struct field field;

    *chunk = (struct chunk){0};
    while (cursor.position < cursor.size) {
        if (!take_field(&cursor, &field))
            return error_set(error, ERROR_CORRUPT, "el otro peer envió datos que no se entienden");
        if (field.number == CHUNK_DATA && field.wire == WIRE_BYTES)
            chunk->data = field.part;
        else if (field.number == CHUNK_PIECES && field.wire == WIRE_BYTES)
            chunk->pieces = field.part;
        else if (field.number == CHUNK_TOTAL_BYTES && field.wire == WIRE_VARINT)
            chunk->total_bytes = (int64_t)field.value;
        else if (field.number == CHUNK_OFFSET && field.wire == WIRE_VARINT)
            chunk->offset = (int64_t)field.value;
        else if (field.number == CHUNK_QUEUE_POSITION && field.wire == WIRE_VARINT)
            chunk->queue_position = (int64_t)field.value;
        else if (field.number == CHUNK_LENGTH && field.wire == WIRE_VARINT)
            chunk->length = (int64_t)field.value;
    }
    if (chunk->total_bytes < 0 || chunk->offset < 0 || chunk->queue_position < 0 ||
        chunk->length < 0)
        return error_set(error, ERROR_CORRUPT, "el otro peer anunció un tamaño imposible");
    return ERROR_NONE;
}

enum error_code upload_chunk_parse(const struct iovec *spans, size_t span_count,
                                   struct upload_chunk *chunk, struct error *error)
{
    struct cursor cursor = cursor_at_start(spans, span_count);
    struct field field;

    *chunk = (struct upload_chunk){.data.bytes = 0};
    while (cursor.position < cursor.size) {
        if (!take_field(&cursor, &field))
            return error_set(error, ERROR_INVALID, "Mensaje UploadChunk mal formado");
        if (field.number == UPLOAD_FILENAME && field.wire == WIRE_BYTES)
            chunk->filename = field.part;
        else if (field.number == UPLOAD_DATA && field.wire == WIRE_BYTES)
            chunk->data = field.part;
    }
    return ERROR_NONE;
}

size_t spans_slice(const struct iovec *spans, size_t span_count, size_t offset, size_t length,
                   struct iovec *out, size_t capacity, size_t *covered)
{
    size_t count = 0;

    *covered = 0;
    for (size_t i = 0; i < span_count && count < capacity && *covered < length; i++) {
        if (offset >= spans[i].iov_len) {
            offset -= spans[i].iov_len;
            continue;
        }
        size_t here = spans[i].iov_len - offset;
        if (here > length - *covered)
            here = length - *covered;
        out[count++] =
            (struct iovec){.iov_base = (char *)spans[i].iov_base + offset, .iov_len = here};
        *covered += here;
        offset = 0;
    }
    return count;
}

void spans_copy(const struct iovec *spans, size_t span_count, const struct chunk_part *part,
                uint8_t *to)
{
    size_t covered;

    for (size_t done = 0; done < part->bytes; done += covered) {
        struct iovec some[COPY_SPANS];
        size_t count = spans_slice(spans, span_count, part->offset + done, part->bytes - done, some,
                                   COPY_SPANS, &covered);
        for (size_t i = 0, at = done; i < count; at += some[i++].iov_len)
            memcpy(to + at, some[i].iov_base, some[i].iov_len);
    }
}
