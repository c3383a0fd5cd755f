/*
 * The progress line on stderr, redrawn in place; nothing where stderr is no terminal. One thread.
 */
#pragma once

#include "peer/terminal/progress.h"

#include <stdbool.h>

struct progress_bar {
    bool enabled;
    size_t drawn_columns;  /* of what stands there now */
    size_t cursor_columns; /* where the cursor is */
    int64_t drawn_ms;
};

void progress_bar_init(struct progress_bar *bar);

/* Draws at most ten times a second. */
void progress_bar_show(struct progress_bar *bar, const struct progress *progress);

/* Takes the line away, so that results can be printed. */
void progress_bar_clear(struct progress_bar *bar);
