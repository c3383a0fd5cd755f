/*
 * p2p-directory user add NAME | remove NAME | list [--users FILE]: edits the users file. Passwords
 * come from the terminal, not echoed, or as the first line of standard input; never as an argument,
 * where others on the machine could read them.
 */
#pragma once

/* arguments are those after "user". Returns the exit status: 0 done, 1 failed, 2 wrong use,
 * 3 no such user. */
int user_command(int argc, char **argv);
