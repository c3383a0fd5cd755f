#include "peer/terminal/progress_lines.h"

#include "common/clock.h"
#include "common/memory.h"
#include "common/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define REDRAW_MS        100
#define FALLBACK_COLUMNS 80
#define FALLBACK_ROWS    24

void progress_lines_init(struct progress_lines *lines)
{
    const char *term = getenv("TERM");

    *lines = (struct progress_lines){
        .enabled = isatty(STDERR_FILENO) == 1,
        .one_line = !term || term[0] == '\0' || strcmp(term, "dumb") == 0,
    };
}

void progress_lines_done(struct progress_lines *lines)
{
    free(take_pointer(&lines->drawn));
    lines->count = 0;
}

bool progress_lines_due(const struct progress_lines *lines)
{
    return lines->enabled && clock_boot_ms() - lines->last_ms >= REDRAW_MS;
}

/* One column and one row stay free: many terminals wrap or scroll when the last is written. */
void progress_lines_size(const struct progress_lines *lines, size_t *rows, size_t *columns)
{
    struct winsize size;
    bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0;
    size_t wide = known && size.ws_col > 0 ? size.ws_col : FALLBACK_COLUMNS;
    size_t high = known && size.ws_row > 0 ? size.ws_row : FALLBACK_ROWS;

    *columns = wide > 1 ? wide - 1 : 1;
    *rows = high > 1 && !lines->one_line ? high - 1 : 1;
}

/* The cursor is at the end of the last line; to the start of the first. In a window that has become
 * narrower a line fills several. */
static void go_to_start(const struct progress_lines *lines)
{
    size_t rows;
    size_t columns;
    size_t up = 0;

    progress_lines_size(lines, &rows, &columns);
    for (size_t i = 0; i < lines->count; i++)
        up += lines->drawn[i] > 0 ? (lines->drawn[i] - 1) / (columns + 1) + 1 : 1;
    fputs("\r", stderr);
    if (up > 1)
        fprintf(stderr, "\033[%zuA", up - 1);
}

/* Blanks cover what was longer: that works everywhere. */
static void draw_one(const struct progress_lines *lines, const char *text)
{
    size_t wide = text_columns(text);
    size_t before = lines->count > 0 ? lines->drawn[0] : 0;

    fprintf(stderr, "\r%s%*s\r%s", text, (int)(before > wide ? before - wide : 0), "", text);
}

static void draw_many(const struct progress_lines *lines, const char *const *texts, size_t count)
{
    if (lines->count > 0)
        go_to_start(lines);
    for (size_t i = 0; i < count; i++)
        fprintf(stderr, "%s%s\033[K", i > 0 ? "\r\n" : "", texts[i]);
    fputs("\033[J", stderr);
}

void progress_lines_draw(struct progress_lines *lines, const char *const *texts, size_t count)
{
    if (!lines->enabled)
        return;
    lines->last_ms = clock_boot_ms();
    if (lines->one_line)
        draw_one(lines, count > 0 ? texts[0] : "");
    else
        draw_many(lines, texts, count);
    fflush(stderr);
    lines->drawn = memory_resize(lines->drawn, count + 1, sizeof *lines->drawn);
    lines->count = count;
    for (size_t i = 0; i < count; i++)
        lines->drawn[i] = text_columns(texts[i]);
}

void progress_lines_clear(struct progress_lines *lines)
{
    if (lines->count == 0)
        return;
    progress_lines_draw(lines, NULL, 0);
    fputs("\r", stderr);
    fflush(stderr);
    lines->last_ms = 0;
}
