/* peer/network/files_part: agrees with protobuf-c about the same bytes, wherever they are cut in
 * two. The first byte says where. */
#include "fuzz.h"

#include "peer/network/chunk.h"
#include "peer/network/files_part.h"
#include "proto/peer.pb-c.h"

/* The part's bytes are those expected. */
static void check_part(const struct iovec spans[2], const struct chunk_part *part,
                       const void *expected, size_t length)
{
    uint8_t *copy = malloc(part->bytes + 1);

    fuzz_check(copy && part->bytes == length);
    spans_copy(spans, 2, part, copy);
    fuzz_check(length == 0 || memcmp(copy, expected, length) == 0);
    free(copy);
}

static void check_files(const struct iovec spans[2], const struct files_part *part,
                        const Peer__FilesPart *expected)
{
    fuzz_check(part->queue_position == expected->queue_position);
    fuzz_check(part->count == expected->n_files);
    for (size_t i = 0; i < part->count; i++) {
        const Peer__ArrivedFile *file = expected->files[i];
        fuzz_check((uint32_t)part->files[i].index == file->index);
        fuzz_check((uint32_t)part->files[i].code == file->code);
        check_part(spans, &part->files[i].data, file->data.data, file->data.len);
        check_part(spans, &part->files[i].reason, file->reason, strlen(file->reason));
    }
}

/* A reason with a NUL in it has an end only to protobuf-c. */
static bool has_nul(const struct iovec spans[2], const struct files_part *part)
{
    bool found = false;

    for (size_t i = 0; i < part->count && !found; i++) {
        const struct chunk_part *reason = &part->files[i].reason;
        uint8_t *copy = malloc(reason->bytes + 1);
        fuzz_check(copy);
        spans_copy(spans, 2, reason, copy);
        found = memchr(copy, 0, reason->bytes);
        free(copy);
    }
    return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct files_part part;
    struct error error;

    if (size < 1)
        return 0;
    size_t at = data[0] < size ? data[0] : size - 1;
    size_t rest = size - 1 - at;
    void *first = malloc(at + 1);
    void *second = malloc(rest + 1);
    fuzz_check(first && second);
    memcpy(first, data + 1, at);
    memcpy(second, data + 1 + at, rest);
    const struct iovec spans[2] = {{.iov_base = first, .iov_len = at},
                                   {.iov_base = second, .iov_len = rest}};
    Peer__FilesPart *expected = peer__files_part__unpack(NULL, size - 1, data + 1);
    enum error_code code = files_part_parse(spans, 2, &part, &error);
    fuzz_check(code == ERROR_NONE || (code == ERROR_CORRUPT && error.text[0] != '\0'));
    if (code == ERROR_NONE && expected && !has_nul(spans, &part))
        check_files(spans, &part, expected);
    peer__files_part__free_unpacked(expected, NULL);
    free(first);
    free(second);
    return 0;
}
