#include "peer/terminal/job_board.h"

#include "common/memory.h"
#include "common/text.h"
#include "peer/downloads/downloads.h"
#include "peer/terminal/job_text.h"
#include "peer/terminal/progress.h"
#include "peer/terminal/progress_lines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RANK_QUEUED = 3, RANK_COUNT = 5 };

#define AT_ONCE_MAX 50 /* changes of more than these would be a flicker */

struct job_board {
    P2p__Control__DownloadsReply **rows; /* by id; owned */
    size_t count;
    size_t ranks[RANK_COUNT]; /* how many there are of each */
    int64_t bytes;            /* of all */
    bool changed;             /* since the last drawing: not only figures */
    struct progress_lines lines;
};

struct job_board *job_board_new(void)
{
    struct job_board *board = memory_new(1, sizeof *board);

    progress_lines_init(&board->lines);
    return board;
}

static void free_row(P2p__Control__DownloadsReply *row)
{
    protobuf_c_message_free_unpacked(&row->base, NULL);
}

/* Those that move come first; so do, of the others, those that began. */
static unsigned rank(const P2p__Control__Job *job)
{
    switch (job->state) {
    case DOWNLOAD_RUNNING:
        return 0;
    case DOWNLOAD_WAITING:
        return 1;
    case DOWNLOAD_SEARCHING:
        return 2;
    case DOWNLOAD_QUEUED:
        return RANK_QUEUED;
    default:
        return RANK_COUNT - 1;
    }
}

static void count_in(struct job_board *board, const P2p__Control__DownloadsReply *row)
{
    board->ranks[rank(row->job)]++;
    board->bytes += row->job->bytes;
}

static void count_out(struct job_board *board, const P2p__Control__DownloadsReply *row)
{
    board->ranks[rank(row->job)]--;
    board->bytes -= row->job->bytes;
}

void job_board_free(struct job_board *board)
{
    if (!board)
        return;
    for (size_t i = 0; i < board->count; i++)
        free_row(board->rows[i]);
    free(board->rows);
    progress_lines_done(&board->lines);
    free(board);
}

/* Where the job is, or would be. */
static size_t find_row(const struct job_board *board, uint64_t id)
{
    size_t low = 0;

    for (size_t high = board->count; low < high;) {
        size_t middle = low + (high - low) / 2;
        if (board->rows[middle]->job->id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void insert(struct job_board *board, size_t at, P2p__Control__DownloadsReply *reply)
{
    board->rows = memory_resize(board->rows, board->count + 1, sizeof *board->rows);
    memmove(&board->rows[at + 1], &board->rows[at], (board->count - at) * sizeof *board->rows);
    board->rows[at] = reply;
    board->count++;
    count_in(board, reply);
}

static void take_out(struct job_board *board, size_t at)
{
    count_out(board, board->rows[at]);
    free_row(board->rows[at]);
    board->count--;
    memmove(&board->rows[at], &board->rows[at + 1], (board->count - at) * sizeof *board->rows);
}

void job_board_put(struct job_board *board, P2p__Control__DownloadsReply *reply)
{
    size_t at = find_row(board, reply->job->id);
    bool known = at < board->count && board->rows[at]->job->id == reply->job->id;

    if (job_is_over(reply->job)) {
        board->changed |= known;
        if (known)
            take_out(board, at);
        free_row(reply);
    } else if (known) {
        board->changed |= board->rows[at]->job->state != reply->job->state;
        count_out(board, board->rows[at]);
        free_row(board->rows[at]);
        board->rows[at] = reply;
        count_in(board, reply);
    } else {
        board->changed = true;
        insert(board, at, reply);
    }
}

int64_t job_board_bytes(const struct job_board *board)
{
    return board->bytes;
}

/* ---- drawing ---- */

const char *job_line(const P2p__Control__Job *job, size_t columns, char out[JOB_LINE_BYTES])
{
    char name[JOB_LINE_BYTES];
    char state[JOB_LINE_BYTES];
    char text[JOB_LINE_BYTES];
    const char *why = job_why(job);
    struct progress progress = {.name = text_clean(job->name, name, sizeof name),
                                .bytes = job->bytes,
                                .total_bytes = job->total_bytes,
                                .bytes_per_second = job->bytes_per_second,
                                .sources = job->active_sources};

    _Static_assert(JOB_LINE_BYTES == PROGRESS_LINE_BYTES, "a bar is a line");
    if (job->state != DOWNLOAD_RUNNING) {
        snprintf(text, sizeof text, "%s%s%s", job_state_text(job), why[0] ? ": " : "", why);
        progress.state = text_clean(text, state, sizeof state);
    }
    return progress_line(&progress, columns, out);
}

/* What a drawing has room for, and what of that is used. */
struct drawing {
    char (*lines)[JOB_LINE_BYTES];
    size_t count;
    size_t rows;
    size_t columns;
};

/* The lines of those that fit, but for so many rows. */
static void compose(const struct job_board *board, struct drawing *drawing, size_t spared,
                    bool with_queued)
{
    for (unsigned wanted = 0; wanted < RANK_COUNT; wanted++) {
        if (board->ranks[wanted] == 0 || (wanted == RANK_QUEUED && !with_queued))
            continue;
        for (size_t i = 0; i < board->count && drawing->count + spared < drawing->rows; i++)
            if (rank(board->rows[i]->job) == wanted)
                job_line(board->rows[i]->job, drawing->columns, drawing->lines[drawing->count++]);
    }
}

/* What is not shown, in one line. */
static void tell_rest(const struct job_board *board, struct drawing *drawing)
{
    char *line = drawing->lines[drawing->count];

    if (drawing->count > 0)
        snprintf(line, JOB_LINE_BYTES, "… y %zu más", board->count - drawing->count);
    else
        snprintf(line, JOB_LINE_BYTES, "%zu descargas en curso", board->count);
    progress_cut(line, drawing->columns);
    drawing->count++;
}

bool job_board_due(const struct job_board *board)
{
    bool at_once = board->changed && board->count <= AT_ONCE_MAX;

    return board->lines.enabled && (at_once || progress_lines_due(&board->lines));
}

void job_board_draw(struct job_board *board, const char *totals)
{
    struct drawing drawing = {.count = 0};

    if (!job_board_due(board))
        return;
    board->changed = false;
    progress_lines_size(&board->lines, &drawing.rows, &drawing.columns);
    auto_free char(*lines)[JOB_LINE_BYTES] = memory_new(drawing.rows, sizeof *lines);
    auto_free const char **texts = memory_new(drawing.rows, sizeof *texts);
    drawing.lines = lines;
    compose(board, &drawing, totals || board->count > drawing.rows, !totals);
    if (totals) {
        snprintf(lines[drawing.count], JOB_LINE_BYTES, "%s", totals);
        progress_cut(lines[drawing.count++], drawing.columns);
    } else if (drawing.count < board->count) {
        tell_rest(board, &drawing);
    }
    for (size_t i = 0; i < drawing.count; i++)
        texts[i] = lines[i];
    progress_lines_draw(&board->lines, texts, drawing.count);
}

void job_board_clear(struct job_board *board)
{
    progress_lines_clear(&board->lines);
    board->changed = true;
}
