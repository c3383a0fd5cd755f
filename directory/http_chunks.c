#include "directory/http_chunks.h"

enum { DIGITS_MAX = 15 }; /* no length is that long, leading zeros or not */

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum http_chunks_state expect(char c, char wanted, enum http_chunks_state next)
{
    return c == wanted ? next : CHUNKS_BROKEN;
}

static enum http_chunks_state read_size(struct http_chunks *chunks, char c)
{
    int digit = digit_value(c);

    if (digit >= 0) {
        if (chunks->state == CHUNKS_SIZE)
            chunks->digits = 0;
        if (++chunks->digits > DIGITS_MAX)
            return CHUNKS_BROKEN;
        chunks->left = chunks->left * 16 + (unsigned)digit;
        return CHUNKS_DIGITS;
    }
    if (chunks->state == CHUNKS_SIZE)
        return CHUNKS_BROKEN;
    if (c == '\r')
        return CHUNKS_SIZE_LF;
    return c == ';' || c == ' ' || c == '\t' ? CHUNKS_EXTENSION : CHUNKS_BROKEN;
}

/* A byte of an extension or a trailer; after is what its CR leads to. */
static enum http_chunks_state read_line(struct http_chunks *chunks, char c,
                                        enum http_chunks_state after)
{
    if (c == '\r')
        return after;
    if (++chunks->line_bytes > HTTP_CHUNKS_LINES_MAX_BYTES || ((unsigned char)c < ' ' && c != '\t'))
        return CHUNKS_BROKEN;
    return after == CHUNKS_SIZE_LF ? CHUNKS_EXTENSION : CHUNKS_TRAILER_LINE;
}

static enum http_chunks_state read_byte(struct http_chunks *chunks, char c)
{
    switch (chunks->state) {
    case CHUNKS_SIZE:
    case CHUNKS_DIGITS:
        return read_size(chunks, c);
    case CHUNKS_EXTENSION:
        return read_line(chunks, c, CHUNKS_SIZE_LF);
    case CHUNKS_SIZE_LF:
        return expect(c, '\n', chunks->left > 0 ? CHUNKS_DATA : CHUNKS_TRAILER);
    case CHUNKS_DATA_CR:
        return expect(c, '\r', CHUNKS_DATA_LF);
    case CHUNKS_DATA_LF:
        chunks->left = 0;
        return expect(c, '\n', CHUNKS_SIZE);
    case CHUNKS_TRAILER:
        return read_line(chunks, c, CHUNKS_LAST_LF);
    case CHUNKS_TRAILER_LINE:
        return read_line(chunks, c, CHUNKS_TRAILER_LF);
    case CHUNKS_TRAILER_LF:
        return expect(c, '\n', CHUNKS_TRAILER);
    case CHUNKS_LAST_LF:
        return expect(c, '\n', CHUNKS_DONE);
    default:
        return CHUNKS_BROKEN;
    }
}

size_t http_chunks_read(struct http_chunks *chunks, const char *text, size_t length,
                        const char **data, size_t *data_length)
{
    size_t i = 0;

    *data = text;
    *data_length = 0;
    while (i < length && chunks->state != CHUNKS_DONE && chunks->state != CHUNKS_BROKEN) {
        if (chunks->state == CHUNKS_DATA) {
            *data = text + i;
            *data_length = chunks->left < length - i ? (size_t)chunks->left : length - i;
            chunks->left -= *data_length;
            if (chunks->left == 0)
                chunks->state = CHUNKS_DATA_CR;
            return i + *data_length;
        }
        chunks->state = read_byte(chunks, text[i++]);
    }
    return i;
}
