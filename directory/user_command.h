/*
 * p2p-directory user add NAME [--generate] | remove NAME | list [--users FILE]: edits the users
 * file. Passwords come from the terminal, not echoed, or as the first line of standard input; never
 * as an argument, where others on the machine could read them. With --generate they are made up and
 * shown, and the name "-" stands for all names on standard input.
 */
#pragma once

/* arguments are those after "user". Returns the exit status: 0 done, 1 failed, 2 wrong use,
 * 3 no such user. */
int user_command(int argc, char **argv);
