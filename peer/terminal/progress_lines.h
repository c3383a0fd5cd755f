/*
 * A block of lines on stderr, redrawn in place. Nothing where stderr is no terminal; where that can
 * do too little to move up (TERM is "dumb" or not set), one line. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress_lines {
    bool enabled;
    bool one_line;   /* the terminal cannot go up */
    size_t *drawn;   /* columns of each line that stands there now */
    size_t count;    /* of these */
    int64_t last_ms; /* of the last drawing */
};

void progress_lines_init(struct progress_lines *lines);
void progress_lines_done(struct progress_lines *lines); /* what stands there stays */

/* Whether the last drawing is so long ago that the next is worth it: ten a second are. */
bool progress_lines_due(const struct progress_lines *lines);

/* How many lines, and how wide, fit the window now: at least 1 each. */
void progress_lines_size(const struct progress_lines *lines, size_t *rows, size_t *columns);

/* Each clean, and no wider than that. */
void progress_lines_draw(struct progress_lines *lines, const char *const *texts, size_t count);

/* Takes the block away, so that results can be printed. */
void progress_lines_clear(struct progress_lines *lines);
