/*
 * A set of .proto files as protoc describes them (google.protobuf.FileDescriptorSet), and where in
 * it a symbol is. Pure, once made; any thread may look.
 */
#pragma once

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct descriptor_index;

struct descriptor_file {
    const uint8_t *data; /* a packed FileDescriptorProto; borrowed from the index */
    size_t bytes;
};

/* Copies what it needs. ERROR_CORRUPT: no such set. */
MUST_CHECK enum error_code descriptor_index_new(const void *data, size_t length,
                                                struct descriptor_index **index,
                                                struct error *error);
void descriptor_index_free(struct descriptor_index *index);

/* False when there is none. Symbols: services, methods, messages and enums, with their package. */
bool descriptor_index_find_file(const struct descriptor_index *index, const char *name,
                                struct descriptor_file *file);
bool descriptor_index_find_symbol(const struct descriptor_index *index, const char *symbol,
                                  struct descriptor_file *file);

/* Calls visit for each service's full name. */
void descriptor_index_each_service(const struct descriptor_index *index,
                                   void (*visit)(void *context, const char *name), void *context);
