/*
 * What a streamed reply is sent from: a piece of it at a time is written into `out`, and taken from
 * there as the sending asks for it. One thread.
 */
#pragma once

#include "common/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define PIECE_BYTES (64 << 10) /* then it is enough; one entry more may stand there */

struct piece {
    struct buffer out;
    size_t sent; /* of it */
};

static inline bool piece_is_sent(const struct piece *piece)
{
    return piece->sent == piece->out.length;
}

/* Before the next one is written. */
static inline void piece_clear(struct piece *piece)
{
    buffer_clear(&piece->out);
    piece->sent = 0;
}

/* As many bytes as there are and fit; 0: it is sent. */
static inline long piece_take(struct piece *piece, char *out, size_t size)
{
    size_t length = piece->out.length - piece->sent;

    if (length > size)
        length = size;
    if (length > 0)
        memcpy(out, piece->out.data + piece->sent, length);
    piece->sent += length;
    return (long)length;
}
