/*
 * Ctrl-C as something to wait for, instead of the end of the program: for commands that have a
 * last word to say. The first one only; the second ends the program as ever. Main thread, once.
 */
#pragma once

#include "peer/network/interrupt.h"

#include <stdbool.h>

/* From now on. Returns a descriptor that is readable after Ctrl-C; -1: it could not be caught. */
int ctrl_c_catch(void);
bool ctrl_c_came(void);

/* A thread that raises the interrupt (borrowed) when Ctrl-C comes, for calls that block. NULL: no
 * thread, or Ctrl-C is not caught. */
struct ctrl_c_watch;
struct ctrl_c_watch *ctrl_c_watch_start(struct interrupt *interrupt);
void ctrl_c_watch_stop(struct ctrl_c_watch *watch); /* joins and frees; NULL is fine */
