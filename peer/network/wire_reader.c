#include "peer/network/wire_reader.h"

#include <assert.h>

#define FIELD_NUMBER_MAX ((1U << 29) - 1)

struct wire_reader wire_reader_new(const struct iovec *spans, size_t span_count)
{
    struct wire_reader reader = {.spans = spans, .span_count = span_count};

    for (size_t i = 0; i < span_count; i++)
        reader.size += spans[i].iov_len;
    return reader;
}

bool wire_reader_at_end(const struct wire_reader *reader)
{
    return reader->position == reader->size;
}

/* Not beyond what is read now: a message in another one ends where that says. */
static bool take_byte(struct wire_reader *reader, uint8_t *byte)
{
    if (wire_reader_at_end(reader))
        return false;
    while (reader->in_span == reader->spans->iov_len) {
        reader->spans++;
        reader->span_count--;
        reader->in_span = 0;
    }
    *byte = ((const uint8_t *)reader->spans->iov_base)[reader->in_span++];
    reader->position++;
    return true;
}

static bool take_varint(struct wire_reader *reader, uint64_t *value)
{
    uint8_t byte;

    *value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (!take_byte(reader, &byte))
            return false;
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return true;
    }
    return false;
}

static bool skip(struct wire_reader *reader, uint64_t length)
{
    if (length > reader->size - reader->position)
        return false;
    reader->position += (size_t)length;
    while (length > 0) {
        size_t left = reader->spans->iov_len - reader->in_span;
        size_t step = length < left ? (size_t)length : left;
        reader->in_span += step;
        length -= step;
        if (length > 0) {
            reader->spans++;
            reader->span_count--;
            reader->in_span = 0;
        }
    }
    return true;
}

static bool take_bytes(struct wire_reader *reader, struct chunk_part *part)
{
    uint64_t length;

    if (!take_varint(reader, &length))
        return false;
    *part = (struct chunk_part){.offset = reader->position, .bytes = (size_t)length};
    return skip(reader, length);
}

bool wire_reader_take(struct wire_reader *reader, struct wire_field *field)
{
    uint64_t tag;

    if (!take_varint(reader, &tag) || tag >> 3 == 0 || tag >> 3 > FIELD_NUMBER_MAX)
        return false;
    field->number = tag >> 3;
    field->wire = tag & 7;
    switch (field->wire) {
    case WIRE_VARINT:
        return take_varint(reader, &field->value);
    case WIRE_BYTES:
        return take_bytes(reader, &field->part);
    case WIRE_FIXED64:
        return skip(reader, 8);
    case WIRE_FIXED32:
        return skip(reader, 4);
    default: /* groups, which proto3 does not have, and nothing */
        return false;
    }
}

void wire_reader_narrow(struct wire_reader *reader, const struct chunk_part *part)
{
    bool inside = skip(reader, part->offset - reader->position);

    assert(inside);
    (void)inside;
    reader->size = part->offset + part->bytes;
}
