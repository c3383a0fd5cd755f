#include "peer/terminal/word_hits.h"

#include "common/compiler.h"
#include "common/memory.h"
#include "common/text.h"
#include "peer/terminal/progress.h"
#include "peer/terminal/units.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONTENT_SHOWN_DIGITS 12
#define CELL_BYTES           64
#define NAME_BYTES           4096
#define GAP                  2
#define NAME_WANTED          16 /* columns; with less, other columns go */

enum column { SIZE, PEERS, CONTENT, COLUMN_COUNT };

static const struct {
    const char *title;
    bool left_aligned;
} heads[COLUMN_COUNT] = {
    [SIZE] = {"TAMAÑO", false}, [PEERS] = {"PEERS", false}, [CONTENT] = {"CONTENIDO", true}};

/* What goes where it is narrow, in this order. */
static const enum column expendable[] = {CONTENT, PEERS, SIZE};

void word_hits_init(struct word_hits *hits)
{
    *hits = (struct word_hits){.cursor = memory_copy_string(""), .note = memory_copy_string("")};
}

void word_hits_done(struct word_hits *hits)
{
    for (size_t i = 0; i < hits->count; i++)
        protobuf_c_message_free_unpacked(&hits->items[i]->base, NULL);
    free(hits->items);
    free(hits->cursor);
    free(hits->note);
    *hits = (struct word_hits){0};
}

static void replace(char **text, const char *with)
{
    free(*text);
    *text = memory_copy_string(with);
}

enum error_code word_hits_take(void *context, ProtobufCMessage **message, bool *stop,
                               struct error *error)
{
    P2p__Control__WordsReply *reply = (P2p__Control__WordsReply *)*message;
    struct word_hits *hits = context;

    (void)stop;
    (void)error;
    hits->items = memory_resize(hits->items, hits->count + reply->n_hits + 1, sizeof *hits->items);
    for (size_t i = 0; i < reply->n_hits; i++)
        hits->items[hits->count++] = reply->hits[i];
    reply->n_hits = 0; /* they are ours */
    replace(&hits->cursor, reply->cursor);
    replace(&hits->note, reply->note);
    hits->more = reply->more;
    return ERROR_NONE;
}

static void format_cell(const P2p__Control__WordHit *hit, enum column column, char cell[CELL_BYTES])
{
    char text[UNITS_TEXT_BYTES];

    snprintf(cell, CELL_BYTES, "-");
    if (column == SIZE && hit->has_size)
        snprintf(cell, CELL_BYTES, "%s", units_bytes(hit->size_bytes, text));
    else if (column == PEERS)
        snprintf(cell, CELL_BYTES, "%" PRId64 "%s", hit->peers, hit->truncated ? "+" : "");
    else if (column == CONTENT && hit->content[0])
        snprintf(cell, CELL_BYTES, "%.*s", CONTENT_SHOWN_DIGITS, hit->content);
}

const char *word_hit_describe(const P2p__Control__WordHit *hit, char out[WORD_HIT_BYTES])
{
    char size[CELL_BYTES];
    char peers[CELL_BYTES];
    char content[CELL_BYTES];

    format_cell(hit, SIZE, size);
    format_cell(hit, PEERS, peers);
    format_cell(hit, CONTENT, content);
    snprintf(out, WORD_HIT_BYTES, "%.24s%s%.24s %s%s%.24s", hit->has_size ? size : "",
             hit->has_size ? ", " : "", peers, strcmp(peers, "1") == 0 ? "peer" : "peers",
             hit->content[0] ? ", " : "", hit->content[0] ? content : "");
    return out;
}

/* ---- the table ---- */

static void measure(const struct word_hits *hits, size_t widths[COLUMN_COUNT])
{
    char cell[CELL_BYTES];

    for (enum column column = 0; column < COLUMN_COUNT; column++) {
        widths[column] = text_columns(heads[column].title);
        for (size_t i = 0; i < hits->count; i++) {
            format_cell(hits->items[i], column, cell);
            size_t wide = text_columns(cell);
            widths[column] = wide > widths[column] ? wide : widths[column];
        }
    }
}

/* Columns before the name's. */
static size_t used_columns(const size_t widths[COLUMN_COUNT])
{
    size_t used = 0;

    for (enum column column = 0; column < COLUMN_COUNT; column++)
        used += widths[column] > 0 ? widths[column] + GAP : 0;
    return used;
}

static void append_cell(struct buffer *out, enum column column, const char *text, size_t width)
{
    int blanks = (int)(width - text_columns(text));

    if (width == 0)
        return;
    if (heads[column].left_aligned)
        buffer_printf(out, "%s%*s", text, blanks + GAP, "");
    else
        buffer_printf(out, "%*s%s%*s", blanks, "", text, GAP, "");
}

static void append_name(struct buffer *out, const char *name, size_t columns)
{
    char clean[NAME_BYTES];

    text_clean(name, clean, sizeof clean - sizeof "…");
    buffer_printf(out, "%s\n", progress_cut(clean, columns));
}

void word_hits_format(const struct word_hits *hits, size_t columns, struct buffer *out)
{
    size_t widths[COLUMN_COUNT];
    char cell[CELL_BYTES];

    measure(hits, widths);
    for (size_t i = 0; i < ARRAY_LENGTH(expendable); i++)
        if (used_columns(widths) + NAME_WANTED > columns)
            widths[expendable[i]] = 0;
    size_t left = columns - used_columns(widths);
    for (enum column column = 0; column < COLUMN_COUNT; column++)
        append_cell(out, column, heads[column].title, widths[column]);
    append_name(out, "NOMBRE", left);
    for (size_t i = 0; i < hits->count; i++) {
        for (enum column column = 0; column < COLUMN_COUNT; column++) {
            format_cell(hits->items[i], column, cell);
            append_cell(out, column, cell, widths[column]);
        }
        append_name(out, hits->items[i]->name, left);
    }
}
