/*
 * Protobuf messages read field by field where they lie in the transport's buffers, without copying
 * their bytes (https://protobuf.dev/programming-guides/encoding/). Pure.
 *
 * Strict where something goes beyond its message, and for groups (wire types 3 and 4).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

/* A part of a message; spans_slice gives its bytes. */
struct chunk_part {
    size_t offset;
    size_t bytes;
};

struct wire_reader {
    const struct iovec *spans;
    size_t span_count;
    size_t in_span;  /* bytes taken of spans[0] */
    size_t position; /* bytes taken of the message */
    size_t size;     /* where it ends; of a message in it while that is read */
};

/* One field of a message, whatever it is. */
struct wire_field {
    uint64_t number;
    unsigned wire;
    uint64_t value;         /* of WIRE_VARINT */
    struct chunk_part part; /* of WIRE_BYTES: where its bytes lie */
};

/* The spans are borrowed. */
struct wire_reader wire_reader_new(const struct iovec *spans, size_t span_count);

bool wire_reader_at_end(const struct wire_reader *reader);

/* The next field, not at the end. False: the bytes are no message. */
bool wire_reader_take(struct wire_reader *reader, struct wire_field *field);

/* For a message in a message: of a copy of the reader from before it took that field; from now on
 * it reads the part, which is the field's. */
void wire_reader_narrow(struct wire_reader *reader, const struct chunk_part *part);
