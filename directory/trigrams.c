#include "directory/trigrams.h"

#include <inttypes.h>
#include <string.h>

enum { TRIGRAM = 3 };

static void write_block(struct buffer *out, int64_t id, int block)
{
    buffer_printf(out, "\x01%d:%" PRIx64, block, id >> block);
}

void trigrams_write_document(struct buffer *out, const char *folded, int64_t id)
{
    buffer_append_string(out, folded);
    buffer_append_char(out, '\n');
    write_block(out, id, TRIGRAMS_SMALL_BLOCK);
    buffer_append_char(out, '\n');
    write_block(out, id, TRIGRAMS_LARGE_BLOCK);
}

static const char *step(const char *text, const char *end)
{
    do
        text++;
    while (text < end && (*text & 0xc0) == 0x80);
    return text;
}

/* Bytes of at most three characters of the text. */
static size_t token_bytes(const char *text, const char *end)
{
    const char *stop = text;

    for (int i = 0; i < TRIGRAM && stop < end; i++)
        stop = step(stop, end);
    return (size_t)(stop - text);
}

static void write_token(struct buffer *out, const char *token, size_t length)
{
    buffer_append_char(out, '"');
    for (size_t i = 0; i < length; i++) {
        if (token[i] == '"')
            buffer_append_char(out, '"');
        buffer_append_char(out, token[i]);
    }
    buffer_append_char(out, '"');
}

/* Where the last three characters begin. */
static const char *last_token(const char *term, const char *end)
{
    const char *last = term;

    while (token_bytes(last, end) < (size_t)(end - last))
        last = step(last, end);
    return last;
}

/* Each three characters, and the last three. */
static void write_term(struct buffer *out, const char *term, size_t *left)
{
    const char *end = term + strlen(term);
    const char *last = last_token(term, end);

    for (const char *token = term; *left > 0; --*left) {
        size_t length = token_bytes(token, end);
        buffer_append_string(out, " AND ");
        write_token(out, token, length);
        if (token == last)
            break;
        token = token + length < last ? token + length : last;
    }
}

void trigrams_write_query(struct buffer *out, int64_t id, int block, const char *const *terms,
                          size_t count)
{
    size_t left = TRIGRAMS_QUERY_MAX;

    buffer_append_char(out, '"');
    write_block(out, id, block);
    buffer_append_char(out, '"');
    for (size_t i = 0; i < count; i++)
        write_term(out, terms[i], &left);
}

void trigrams_write_prefix(struct buffer *out, const char *term)
{
    write_token(out, term, strlen(term));
    buffer_append_string(out, " *");
}

static int tokenize(void *context, bool is_query, const char *text, size_t length,
                    database_token_fn *take)
{
    const char *end = text + length;
    const char *first_end = is_query ? text : memchr(text, '\n', length);
    int result = 0;

    if (!first_end)
        first_end = end;
    for (const char *c = text; c < first_end && result == 0; c = step(c, first_end))
        result = take(context, c, token_bytes(c, first_end));
    /* The other lines, or the part of a query. */
    for (const char *line = is_query          ? text
                            : first_end < end ? first_end + 1
                                              : end;
         line < end && result == 0;) {
        const char *stop = is_query ? NULL : memchr(line, '\n', (size_t)(end - line));
        if (!stop)
            stop = end;
        result = take(context, line, (size_t)(stop - line));
        line = stop + 1;
    }
    return result;
}

const struct database_tokenizer trigrams_tokenizer = {.name = TRIGRAMS_TOKENIZER,
                                                      .tokenize = tokenize};
