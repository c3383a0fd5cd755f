#include "peer/terminal/job_table.h"

#include "common/compiler.h"
#include "common/text.h"
#include "peer/downloads/downloads.h"
#include "peer/terminal/job_text.h"
#include "peer/terminal/progress.h"
#include "peer/terminal/units.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define CELL_BYTES  64
#define TEXT_BYTES  4096
#define GAP         2
#define NAME_WANTED 16 /* columns; with less, other columns go */

enum column { ID, STATE, PRIORITY, PERCENT, RATE, LEFT, SOURCES, COLUMN_COUNT };

static const struct {
    const char *title;
    bool left_aligned;
} heads[COLUMN_COUNT] = {
    [ID] = {"ID", false},           [STATE] = {"ESTADO", true},    [PRIORITY] = {"PRIORIDAD", true},
    [PERCENT] = {"%", false},       [RATE] = {"VELOCIDAD", false}, [LEFT] = {"QUEDA", false},
    [SOURCES] = {"FUENTES", false},
};

/* What goes where it is narrow, in this order. */
static const enum column expendable[] = {SOURCES, LEFT, RATE, PRIORITY, STATE};

static void format_cell(const P2p__Control__Job *job, enum column column, char cell[CELL_BYTES])
{
    char text[UNITS_TEXT_BYTES];
    int percent = job_percent(job);
    int64_t left = job_seconds_left(job);

    snprintf(cell, CELL_BYTES, "-");
    if (column == ID)
        snprintf(cell, CELL_BYTES, "%" PRIu64, job->id);
    else if (column == STATE)
        snprintf(cell, CELL_BYTES, "%s", job_state_text(job));
    else if (column == PRIORITY && !job_is_over(job))
        snprintf(cell, CELL_BYTES, "%s", job_priority_text(job->priority));
    else if (column == PERCENT && percent >= 0)
        snprintf(cell, CELL_BYTES, "%d", percent);
    else if (column == RATE && job->state == DOWNLOAD_RUNNING)
        snprintf(cell, CELL_BYTES, "%s/s", units_bytes(job->bytes_per_second, text));
    else if (column == LEFT && left >= 0)
        snprintf(cell, CELL_BYTES, "%s", units_duration(left, text));
    else if (column == SOURCES && !job_is_over(job))
        snprintf(cell, CELL_BYTES, "%" PRIu32, job->active_sources);
}

static void measure(P2p__Control__Job *const *jobs, size_t count, size_t widths[COLUMN_COUNT])
{
    char cell[CELL_BYTES];

    for (enum column column = 0; column < COLUMN_COUNT; column++) {
        widths[column] = text_columns(heads[column].title);
        for (size_t i = 0; i < count; i++) {
            format_cell(jobs[i], column, cell);
            size_t wide = text_columns(cell);
            widths[column] = wide > widths[column] ? wide : widths[column];
        }
    }
}

/* Priorities are shown only where somebody has set one. */
static bool has_priorities(P2p__Control__Job *const *jobs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (jobs[i]->priority != DOWNLOAD_NORMAL && !job_is_over(jobs[i]))
            return true;
    return false;
}

/* Columns before the name's. */
static size_t used_columns(const size_t widths[COLUMN_COUNT])
{
    size_t used = 0;

    for (enum column column = 0; column < COLUMN_COUNT; column++)
        used += widths[column] > 0 ? widths[column] + GAP : 0;
    return used;
}

static void append_cell(struct buffer *out, const char *text, size_t width, bool left_aligned)
{
    int blanks = (int)(width - text_columns(text));

    if (left_aligned)
        buffer_printf(out, "%s%*s", text, blanks + GAP, "");
    else
        buffer_printf(out, "%*s%s%*s", blanks, "", text, GAP, "");
}

/* Text of others, cleaned, cut to so many columns, and the line's end. */
static void append_rest(struct buffer *out, const char *text, size_t columns)
{
    char clean[TEXT_BYTES];

    text_clean(text, clean, sizeof clean - sizeof "…");
    buffer_printf(out, "%s\n", progress_cut(clean, columns));
}

static void append_job(struct buffer *out, const P2p__Control__Job *job,
                       const size_t widths[COLUMN_COUNT], size_t columns)
{
    char cell[CELL_BYTES];
    size_t used = used_columns(widths);
    size_t indent = widths[ID] + GAP;

    for (enum column column = 0; column < COLUMN_COUNT; column++) {
        format_cell(job, column, cell);
        if (widths[column] > 0)
            append_cell(out, cell, widths[column], heads[column].left_aligned);
    }
    append_rest(out, job->name, columns > used ? columns - used : 0);
    if (job_why(job)[0] == '\0')
        return;
    buffer_printf(out, "%*s", (int)indent, "");
    append_rest(out, job_why(job), columns > indent ? columns - indent : 0);
}

void job_table_format(P2p__Control__Job *const *jobs, size_t count, size_t columns,
                      struct buffer *out)
{
    size_t widths[COLUMN_COUNT];

    measure(jobs, count, widths);
    if (!has_priorities(jobs, count))
        widths[PRIORITY] = 0;
    for (size_t i = 0; i < ARRAY_LENGTH(expendable); i++)
        if (used_columns(widths) + NAME_WANTED > columns)
            widths[expendable[i]] = 0;
    for (enum column column = 0; column < COLUMN_COUNT; column++)
        if (widths[column] > 0)
            append_cell(out, heads[column].title, widths[column], heads[column].left_aligned);
    append_rest(out, "NOMBRE", columns - used_columns(widths));
    for (size_t i = 0; i < count; i++)
        append_job(out, jobs[i], widths, columns);
}
