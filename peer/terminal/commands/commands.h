/*
 * The commands of p2p-peer that ask the daemon: search, get, put, list,
 * verify, status and menu. Thin
 * clients of the control socket. Results go to stdout, progress and errors to stderr.
 */
#pragma once

#include "common/buffer.h"

#include <stdbool.h>

/* Exit statuses of all commands. */
enum exit_status {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_NOT_FOUND = 3,
    EXIT_UNREACHABLE = 4, /* daemon, directory or peer */
    EXIT_TIMEOUT = 5,     /* nothing came for as long as --timeout says */
};

/* Whether there is such a command. */
bool command_exists(const char *name);

/* Runs the command argv[0] with its arguments; returns the exit status. Main thread. */
int command_main(int argc, char **argv);

/* Some lines a command, for --help. */
void commands_describe(struct buffer *out);
