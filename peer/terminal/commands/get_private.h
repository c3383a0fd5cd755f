/*
 * What the files of `get` share. Used inside commands/get* and commands/command_get.c only.
 */
#pragma once

#include "peer/terminal/commands/command_private.h"
#include "peer/terminal/job_board.h"

#define EXIT_BY_SIGNAL 128 /* plus its number, as shells do */

/* Several names, or what matches patterns: all are given to the daemon and followed, a bar each. */
enum exit_status get_many(struct command_context *context);

/* Whether it stands for all files below a folder: it ends with '/'. */
bool get_is_folder(const char *name);

/* Whether the name stands for several: it has '*' or '?', or is a folder. */
bool get_is_pattern(const char *name);

/* A request for that name; what it points to is context's and the two texts'. --from is a peer's
 * name, or the address of one. */
struct get_request {
    P2p__Control__GetRequest message;
    char *name; /* owned (get_request_done) */
    char *from;
};
void get_request_fill(struct get_request *request, const struct command_context *context,
                      const char *name);
void get_request_done(struct get_request *request);

/* The file is there: path says where, note what else the user is to be told ("": nothing). */
enum exit_status get_print_done(const struct command_context *context, const P2p__Control__Job *job,
                                const char *path, const char *note);

/* How far many files are. */
struct get_totals {
    size_t files, done, failed;
    int64_t bytes; /* that are here */
    int64_t bytes_per_second;
};
/* "120 de 10000 archivos, 3 fallidos, 468.0 KiB, 1.2 MiB/s". Pure. Returns out. */
const char *get_totals_format(const struct get_totals *totals, char out[JOB_LINE_BYTES]);

/* Says that the download waits, and why: a line on stderr where no bar tells it, for that is no
 * terminal. Not again until it has got further: sources are tried again and again. *told_held is
 * 0 at first. */
void get_tell_wait(const P2p__Control__Job *job, int64_t *told_held);

/* They go on without the command, and how to see and to cancel them. To stderr. */
void get_print_left(const uint64_t *ids, size_t count);

/* Of --timeout; 0: without a limit. */
int64_t get_timeout_ms(const struct arguments *arguments);
/* What counts for it: bytes come, or the job is over. */
bool get_moves(const P2p__Control__Job *job);
/* Nothing has come for so long; why ("": not known) is what the job waits for. Returns the exit
 * status. */
enum exit_status get_print_timeout(const struct command_context *context, const char *why);
