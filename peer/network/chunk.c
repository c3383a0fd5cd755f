#include "peer/network/chunk.h"

#include <stdbool.h>

/* Fields and wire types of https://protobuf.dev/programming-guides/encoding/ */
enum { FIELD_DATA = 1, FIELD_TOTAL_BYTES = 2 };
enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

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

static bool take_field(struct cursor *cursor, struct chunk *chunk)
{
    uint64_t tag;
    uint64_t value;

    if (!take_varint(cursor, &tag) || tag >> 3 == 0)
        return false;
    switch (tag & 7) {
    case WIRE_VARINT:
        if (!take_varint(cursor, &value))
            return false;
        if (tag >> 3 == FIELD_TOTAL_BYTES)
            chunk->total_bytes = (int64_t)value;
        return true;
    case WIRE_BYTES:
        if (!take_varint(cursor, &value))
            return false;
        if (tag >> 3 == FIELD_DATA) {
            chunk->data_offset = cursor->position;
            chunk->data_bytes = (size_t)value;
        }
        return skip(cursor, value);
    case WIRE_FIXED64:
        return skip(cursor, 8);
    case WIRE_FIXED32:
        return skip(cursor, 4);
    default:
        return false;
    }
}

enum error_code chunk_parse(const struct iovec *spans, size_t span_count, struct chunk *chunk,
                            struct error *error)
{
    struct cursor cursor = {.spans = spans, .span_count = span_count};

    *chunk = (struct chunk){0};
    for (size_t i = 0; i < span_count; i++)
        cursor.size += spans[i].iov_len;
    while (cursor.position < cursor.size) {
        if (!take_field(&cursor, chunk))
            return error_set(error, ERROR_CORRUPT, "el otro peer envió datos que no se entienden");
    }
    if (chunk->total_bytes < 0)
        return error_set(error, ERROR_CORRUPT, "el otro peer anunció un tamaño imposible");
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
