/*
 * Downloads that go on, a bar each, on the terminal of stderr: those that move first, and how many
 * there are beyond what the window has room for. One thread.
 */
#pragma once

#include "proto/control.pb-c.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct job_board;

struct job_board *job_board_new(void); /* owned by the caller */
void job_board_free(struct job_board *board);

/* Takes *reply; its job replaces what was known of it, or, when it is over, goes. */
void job_board_put(struct job_board *board, P2p__Control__DownloadsReply *reply);

int64_t job_board_bytes(const struct job_board *board); /* that those have that go on */

/* Whether drawing is of use: as often as is seen; at once when a job has come, gone, or changed its
 * state since, as long as there are few. */
bool job_board_due(const struct job_board *board);
/* If that is so. totals: the last line, cleaned, which tells of all; then only those have a bar
 * that had their turn. NULL: none. */
void job_board_draw(struct job_board *board, const char *totals);
/* Takes the bars away, so that a result can be printed. */
void job_board_clear(struct job_board *board);

#define JOB_LINE_BYTES 1024
/* The bar of one job, at most `columns` wide. Pure. Returns out. */
const char *job_line(const P2p__Control__Job *job, size_t columns, char out[JOB_LINE_BYTES]);
