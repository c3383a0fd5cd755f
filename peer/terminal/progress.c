#include "peer/terminal/progress.h"

#include "common/text.h"
#include "peer/terminal/units.h"

#include <stdio.h>
#include <string.h>

#define BAR_MAX_COLUMNS  30
#define BAR_MIN_COLUMNS  8
#define NAME_MIN_COLUMNS 8
#define NAME_MAX_COLUMNS 40
#define GAP              2 /* columns between parts */

int64_t progress_seconds_left(const struct progress *progress)
{
    if (progress->total_bytes <= 0 || progress->bytes_per_second <= 0 ||
        progress->bytes > progress->total_bytes)
        return -1;
    int64_t left = progress->total_bytes - progress->bytes;
    return left / progress->bytes_per_second + (left % progress->bytes_per_second > 0);
}

/* Cuts cleaned text to so many columns, the cut shown by "…". */
static void cut_columns(char *text, size_t columns)
{
    size_t length = strlen(text);

    if (text_columns(text) <= columns)
        return;
    if (columns == 0) {
        text[0] = '\0';
        return;
    }
    while (length > 0 && text_columns(text) > columns - 1)
        text_cut(text, --length);
    memcpy(text + strlen(text), "…", sizeof "…");
}

static void format_figures(const struct progress *progress, char *out, size_t size)
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
        snprintf(out + used, size - (size_t)used, "  %s", units_duration(seconds, left));
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

const char *progress_line(const struct progress *progress, size_t columns,
                          char out[PROGRESS_LINE_BYTES])
{
    char name[PROGRESS_LINE_BYTES / 2] = "";
    char percent_text[16] = "";
    char bar[BAR_MAX_COLUMNS + 4] = "";
    char figures[96];
    bool known = progress->total_bytes > 0 && progress->bytes <= progress->total_bytes;
    int64_t percent =
        known ? (int64_t)((double)progress->bytes * 100 / (double)progress->total_bytes) : 0;

    format_figures(progress, figures, sizeof figures);
    if (known)
        snprintf(percent_text, sizeof percent_text, "%*d %%", 3, (int)percent);
    size_t used = text_columns(figures) + (known ? strlen(percent_text) + GAP : 0) + GAP;
    size_t left = columns > used ? columns - used : 0;

    snprintf(name, sizeof name, "%.400s", progress->name);
    size_t name_columns = text_columns(name);
    if (name_columns > NAME_MAX_COLUMNS)
        name_columns = NAME_MAX_COLUMNS;
    if (known && left >= name_columns + GAP + BAR_MIN_COLUMNS) {
        size_t bar_columns = left - name_columns - GAP;
        format_bar(bar, bar_columns < BAR_MAX_COLUMNS ? bar_columns : BAR_MAX_COLUMNS, percent);
    }
    cut_columns(name, bar[0] ? name_columns : left < NAME_MAX_COLUMNS ? left : NAME_MAX_COLUMNS);
    snprintf(out, PROGRESS_LINE_BYTES, "%s%s%s%s%s%s%s", name, name[0] ? "  " : "", percent_text,
             bar[0] ? " " : "", bar, known ? "  " : "", figures);
    cut_columns(out, columns);
    return out;
}
