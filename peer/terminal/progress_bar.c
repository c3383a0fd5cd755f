#include "peer/terminal/progress_bar.h"

#include "common/clock.h"
#include "common/text.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define REDRAW_MS        100
#define FALLBACK_COLUMNS 80

void progress_bar_init(struct progress_bar *bar)
{
    *bar = (struct progress_bar){.enabled = isatty(STDERR_FILENO) == 1};
}

static size_t terminal_columns(void)
{
    struct winsize size;

    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return FALLBACK_COLUMNS;
    return size.ws_col;
}

/* Blanks cover the rest of the line before: they work on every terminal. The last column stays
 * free, because some terminals go to the next line there. */
static void draw(struct progress_bar *bar, const char *line, size_t columns)
{
    size_t wide = text_columns(line);
    size_t blanks = bar->drawn_columns > wide ? bar->drawn_columns - wide : 0;

    if (bar->cursor_columns >= columns) { /* the window has shrunk: the line fills several now */
        fprintf(stderr, "\r\033[%zuA\033[J", bar->cursor_columns / columns);
        blanks = 0;
    }
    fprintf(stderr, "\r%s%*s", line, (int)blanks, "");
    fflush(stderr);
    bar->drawn_columns = wide;
    bar->cursor_columns = wide + blanks;
}

void progress_bar_show(struct progress_bar *bar, const struct progress *progress)
{
    char line[PROGRESS_LINE_BYTES];
    int64_t now_ms = clock_boot_ms();
    size_t columns = terminal_columns();

    if (!bar->enabled || now_ms - bar->drawn_ms < REDRAW_MS || columns < 2)
        return;
    bar->drawn_ms = now_ms;
    draw(bar, progress_line(progress, columns - 1, line), columns);
}

void progress_bar_clear(struct progress_bar *bar)
{
    size_t columns = terminal_columns();

    if (!bar->enabled || bar->drawn_columns == 0 || columns < 2)
        return;
    draw(bar, "", columns);
    fputs("\r", stderr);
    fflush(stderr);
    bar->drawn_columns = 0;
}
