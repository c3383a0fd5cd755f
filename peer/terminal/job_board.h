/*
 * Downloads that go on, a bar each, on the terminal of stderr: those that move first, and how many
 * there are beyond what the window has room for. One thread.
 */
#pragma once

#include "proto/control.pb-c.h"

#include <stddef.h>

struct job_board;

struct job_board *job_board_new(void); /* owned by the caller */
void job_board_free(struct job_board *board);

/* Takes *reply; its job replaces what was known of it, or, when it is over, goes. */
void job_board_put(struct job_board *board, P2p__Control__DownloadsReply *reply);
size_t job_board_count(const struct job_board *board);

/* As often as is of use; at once when a job has come, gone, or changed its state since. */
void job_board_draw(struct job_board *board);
/* Takes the bars away, so that a result can be printed. */
void job_board_clear(struct job_board *board);

#define JOB_LINE_BYTES 1024
/* The bar of one job, at most `columns` wide. Pure. Returns out. */
const char *job_line(const P2p__Control__Job *job, size_t columns, char out[JOB_LINE_BYTES]);
