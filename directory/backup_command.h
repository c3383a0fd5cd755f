/*
 * p2p-directory backup FILE [--config FILE] [--database FILE]: a copy of the database, also while
 * the directory runs (directory/backup.h). SIGINT and SIGTERM break it off, and nothing is left.
 */
#pragma once

/* arguments are those after "backup". Returns the exit status: 0 done, 1 failed, 2 wrong use. */
int backup_command(int argc, char **argv);
