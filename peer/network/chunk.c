#include "peer/network/chunk.h"

#include <string.h>

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
enum error_code chunk_parse(const struct iovec *spans, size_t span_count, struct chunk *chunk,
                            struct error *error)
{
    struct wire_reader reader = wire_reader_new(spans, span_count);
    struct wire_field field;

    *chunk = (struct chunk){0};
    while (!wire_reader_at_end(&reader)) {
        if (!wire_reader_take(&reader, &field))
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
    struct wire_reader reader = wire_reader_new(spans, span_count);
    struct wire_field field;

    *chunk = (struct upload_chunk){.data.bytes = 0};
    while (!wire_reader_at_end(&reader)) {
        if (!wire_reader_take(&reader, &field))
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
