#include "peer/terminal/commands/usage_text.h"

#include <string.h>

#define LINE_COLUMNS 79

/* Of the text up to the next blank outside of [ ]. */
static size_t piece_length(const char *text)
{
    size_t length = 0;
    int depth = 0;

    while (text[length] && (text[length] != ' ' || depth > 0)) {
        depth += (text[length] == '[') - (text[length] == ']');
        length++;
    }
    return length;
}

void usage_wrap(struct buffer *out, const char *text, size_t column, size_t indent)
{
    bool first = true;

    while (*text) {
        size_t length = piece_length(text);
        if (!first && column + 1 + length > LINE_COLUMNS) {
            buffer_printf(out, "\n%*s", (int)indent, "");
            column = indent;
        } else if (!first) {
            buffer_append_char(out, ' ');
            column++;
        }
        buffer_append(out, text, length);
        column += length;
        text += length;
        text += strspn(text, " ");
        first = false;
    }
    buffer_append_char(out, '\n');
}

void usage_row(struct buffer *out, const char *word, const char *explanation)
{
    size_t indent = USAGE_COLUMNS + 3;

    buffer_append_string(out, "  ");
    if (strlen(word) <= USAGE_COLUMNS) {
        buffer_printf(out, "%-*s ", USAGE_COLUMNS, word);
    } else {
        usage_wrap(out, word, 2, 6);
        buffer_printf(out, "%*s", (int)indent, "");
    }
    usage_wrap(out, explanation, indent, indent);
}
