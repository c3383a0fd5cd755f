#include "peer/network/files_part.h"

enum { PART_FILES = 1, PART_QUEUE_POSITION = 2 };
enum { FILE_INDEX = 1, FILE_DATA = 2, FILE_CODE = 3, FILE_REASON = 4 };

static enum error_code not_understood(struct error *error)
{
    return error_set(error, ERROR_CORRUPT, "el otro peer envió datos que no se entienden");
}

static enum error_code parse_file(struct wire_reader *reader, struct arrived_file *file,
                                  struct error *error)
{
    struct wire_field field;

    *file = (struct arrived_file){0};
    while (!wire_reader_at_end(reader)) {
        if (!wire_reader_take(reader, &field))
            return not_understood(error);
        if (field.number == FILE_INDEX && field.wire == WIRE_VARINT)
            file->index = field.value;
        else if (field.number == FILE_DATA && field.wire == WIRE_BYTES)
            file->data = field.part;
        else if (field.number == FILE_CODE && field.wire == WIRE_VARINT)
            file->code = field.value;
        else if (field.number == FILE_REASON && field.wire == WIRE_BYTES)
            file->reason = field.part;
    }
    return ERROR_NONE;
}

enum error_code files_part_parse(const struct iovec *spans, size_t span_count,
                                 struct files_part *part, struct error *error)
{
    struct wire_reader reader = wire_reader_new(spans, span_count);
    enum error_code code = ERROR_NONE;
    struct wire_field field;

    part->queue_position = 0;
    part->count = 0;
    while (code == ERROR_NONE && !wire_reader_at_end(&reader)) {
        struct wire_reader inner = reader;
        if (!wire_reader_take(&reader, &field))
            return not_understood(error);
        if (field.number == PART_QUEUE_POSITION && field.wire == WIRE_VARINT)
            part->queue_position = (int64_t)field.value;
        if (field.number != PART_FILES || field.wire != WIRE_BYTES)
            continue;
        if (part->count == FILES_PART_MAX)
            return error_set(error, ERROR_CORRUPT, "el otro peer envió demasiados archivos");
        wire_reader_narrow(&inner, &field.part);
        code = parse_file(&inner, &part->files[part->count++], error);
    }
    if (code == ERROR_NONE && part->queue_position < 0)
        code = error_set(error, ERROR_CORRUPT, "el otro peer anunció un tamaño imposible");
    return code;
}
