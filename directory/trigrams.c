#include "directory/trigrams.h"

#include <inttypes.h>
#include <string.h>

enum {
    TRIGRAM = 3,
    /* Times as many names: to go through those of one more trigram costs more than to compare the
     * names that it would spare (50 ns and 3 µs a name). */
    WORTH = 16,
};

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

static bool is_chosen(const struct trigrams_choice *choice, const char *text, size_t length)
{
    for (size_t i = 0; i < choice->count; i++)
        if (choice->tokens[i].length == length && memcmp(choice->tokens[i].text, text, length) == 0)
            return true;
    return false;
}

/* Keeps them in order; the last one goes when there are too many. */
static void choose(struct trigrams_choice *choice, const struct trigrams_token *token)
{
    size_t place = choice->count;

    while (place > 0 && choice->tokens[place - 1].names > token->names)
        place--;
    if (place == TRIGRAMS_CHOSEN_MAX)
        return;
    choice->count += choice->count < TRIGRAMS_CHOSEN_MAX;
    memmove(&choice->tokens[place + 1], &choice->tokens[place],
            (choice->count - place - 1) * sizeof *token);
    choice->tokens[place] = *token;
}

void trigrams_choose(const char *const *terms, size_t count, const struct name_sample *sample,
                     int64_t names, struct trigrams_choice *choice)
{
    choice->count = 0;
    for (size_t i = 0; i < count; i++) {
        const char *end = terms[i] + strlen(terms[i]);
        for (const char *text = terms[i];; text = step(text, end)) {
            struct trigrams_token token = {.text = text, .length = token_bytes(text, end)};
            token.names = name_sample_estimate(sample, text, token.length, names);
            if (!is_chosen(choice, text, token.length))
                choose(choice, &token);
            if (text + token.length == end)
                break;
        }
    }
    /* The sample does not tell what is rarer than this. */
    int64_t rarest = choice->tokens[0].names + names / NAME_SAMPLE_MAX;
    while (choice->count > 1 && choice->tokens[choice->count - 1].names / WORTH > rarest)
        choice->count--;
}

int64_t trigrams_part_end(int64_t id, enum trigrams_part part)
{
    return part == TRIGRAMS_ALL ? INT64_MAX : id | ((1 << part) - 1);
}

void trigrams_write_query(struct buffer *out, int64_t id, enum trigrams_part part,
                          const struct trigrams_choice *choice)
{
    if (part != TRIGRAMS_ALL) {
        buffer_append_char(out, '"');
        write_block(out, id, part);
        buffer_append_char(out, '"');
    }
    for (size_t i = 0; i < choice->count; i++) {
        if (out->length > 0)
            buffer_append_string(out, " AND ");
        write_token(out, choice->tokens[i].text, choice->tokens[i].length);
    }
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
