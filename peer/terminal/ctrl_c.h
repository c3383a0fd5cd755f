/*
 * Ctrl-C as something to wait for, instead of the end of the program: for commands that have a
 * last word to say. The first one only; the second ends the program as ever. Main thread, once.
 * And a deadline, for those that may be given one.
 */
#pragma once

#include "peer/network/interrupt.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* From now on. Returns a descriptor that is readable after Ctrl-C; -1: it could not be caught. */
int ctrl_c_catch(void);
bool ctrl_c_came(void);

/* A thread that raises the interrupt when Ctrl-C comes, or when the deadline (on the boot clock; it
 * may move on meanwhile; NULL: none) is over, for calls that block. Both borrowed. NULL: no thread,
 * or there is nothing to wait for. */
struct ctrl_c_watch;
struct ctrl_c_watch *ctrl_c_watch_start(struct interrupt *interrupt,
                                        const _Atomic int64_t *deadline_ms);
void ctrl_c_watch_stop(struct ctrl_c_watch *watch); /* joins and frees; NULL is fine */
