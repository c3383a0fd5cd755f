#include "peer/terminal/progress.h"

#include "common/text.h"
#include "peer/terminal/units.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define BAR_MAX_COLUMNS  30
#define BAR_MIN_COLUMNS  8
#define NAME_MIN_COLUMNS 8
#define NAME_MAX_COLUMNS 40
#define FIGURES_BYTES    (PROGRESS_LINE_BYTES / 2)
#define GAP              2 /* columns between parts */

int64_t progress_seconds_left(const struct progress *progress)
{
    if (progress->total_bytes <= 0 || progress->bytes_per_second <= 0 ||
        progress->bytes > progress->total_bytes)
        return -1;
    int64_t left = progress->total_bytes - progress->bytes;
    return left / progress->bytes_per_second + (left % progress->bytes_per_second > 0);
}

char *progress_cut(char *text, size_t columns)
{
    size_t length = strlen(text);

    if (text_columns(text) <= columns)
        return text;
    if (columns == 0) {
        text[0] = '\0';
        return text;
    }
    while (length > 0 && text_columns(text) > columns - 1)
        text_cut(text, --length);
    memcpy(text + strlen(text), "…", sizeof "…");
    return text;
}

static void format_figures(const struct progress *progress, bool with_sources, char *out,
                           size_t size)
{
    char bytes[UNITS_TEXT_BYTES];
    char rate[UNITS_TEXT_BYTES];
    char left[UNITS_TEXT_BYTES];
    int64_t seconds = progress_seconds_left(progress);

    int used = snprintf(out, size, "%s", units_bytes(progress->bytes, bytes));
    if (progress->bytes_per_second > 0)
        used += snprintf(out + used, size - (size_t)used, "  %s/s",
                         units_bytes(progress->bytes_per_second, rate));
    if (seconds >= 0)
        used += snprintf(out + used, size - (size_t)used, "  %s", units_duration(seconds, left));
    if (with_sources && progress->sources > 0)
        snprintf(out + used, size - (size_t)used, "  %u %s", progress->sources,
                 progress->sources == 1 ? "fuente" : "fuentes");
}

/* Why it does not move; the bytes where no percentage tells of them. */
static void format_state(const struct progress *progress, bool known, size_t columns,
                         char out[FIGURES_BYTES])
{
    char bytes[UNITS_TEXT_BYTES];
    char text[FIGURES_BYTES];
    bool with_bytes = !known && progress->bytes > 0;

    snprintf(text, sizeof text, "%s%s%s", with_bytes ? units_bytes(progress->bytes, bytes) : "",
             with_bytes ? "  " : "", progress->state);
    text_clean(text, out, FIGURES_BYTES - sizeof "…"); /* a part of a character may be at its end */
    progress_cut(out, columns);
}

static void format_bar(char *out, size_t columns, int64_t percent)
{
    size_t inner = columns - 2;
    size_t full = inner * (size_t)percent / 100;

    out[0] = '[';
    memset(out + 1, ' ', inner);
    memset(out + 1, '=', full);
    if (full > 0 && full < inner)
        out[full] = '>';
    out[inner + 1] = ']';
    out[inner + 2] = '\0';
}

/* Columns left for the name beside the percentage and these figures. */
static size_t left_for_name(const char *figures, const char *percent_text, size_t columns)
{
    size_t used = text_columns(figures) + (percent_text[0] ? strlen(percent_text) + GAP : 0) + GAP;

    return columns > used ? columns - used : 0;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

const char *progress_line(const struct progress *progress, size_t columns,
                          char out[PROGRESS_LINE_BYTES])
{
    char name[PROGRESS_LINE_BYTES / 4] = "";
    char percent_text[16] = "";
    char bar[BAR_MAX_COLUMNS + 4] = "";
    char figures[FIGURES_BYTES];
    bool known = progress->total_bytes > 0 && progress->bytes <= progress->total_bytes;
    int64_t percent =
        known ? (int64_t)((double)progress->bytes * 100 / (double)progress->total_bytes) : 0;

    if (known)
        snprintf(percent_text, sizeof percent_text, "%*d %%", 3, (int)percent);
    text_clean(progress->name, name, sizeof name - sizeof "…");
    size_t name_columns = smaller(text_columns(name), NAME_MAX_COLUMNS);
    if (progress->state) {
        size_t room = left_for_name("", percent_text, columns);
        format_state(progress, known, room - smaller(name_columns, room / 2), figures);
    } else {
        format_figures(progress, true, figures, sizeof figures);
        if (left_for_name(figures, percent_text, columns) < name_columns)
            format_figures(progress, false, figures, sizeof figures);
    }
    if (left_for_name(figures, percent_text, columns) < smaller(name_columns, NAME_MIN_COLUMNS)) {
        size_t room = left_for_name("", percent_text, columns);
        progress_cut(figures, room - smaller(smaller(name_columns, NAME_MIN_COLUMNS), room));
    }
    size_t left = left_for_name(figures, percent_text, columns);
    if (known && !progress->state && left >= name_columns + GAP + BAR_MIN_COLUMNS)
        format_bar(bar, smaller(left - name_columns - GAP, BAR_MAX_COLUMNS), percent);
    progress_cut(name, bar[0] ? name_columns : smaller(left, NAME_MAX_COLUMNS));
    snprintf(out, PROGRESS_LINE_BYTES, "%s%s%s%s%s%s%s", name, name[0] ? "  " : "", percent_text,
             bar[0] ? " " : "", bar, known ? "  " : "", figures);
    return progress_cut(out, columns);
}
