/*
 * Signals of the menu, taken by a thread of its own, so that Ctrl-C is heard while the menu waits
 * for the daemon too, and no signal handler runs. Used with line_editor only: elsewhere the
 * system's own ways will do.
 */
#pragma once

#include "peer/network/interrupt.h"
#include "peer/terminal/menu/menu_events.h"

struct menu_signals;

/* Blocks the signals for this thread and all that it starts; call it before any other is started.
 */
void menu_signals_block(void);

/* Posts what comes to the events; what interrupts (SIGINT, SIGTERM, SIGHUP) raises the interrupt
 * too. Both are borrowed. NULL: no thread. */
struct menu_signals *menu_signals_start(struct menu_events *events, struct interrupt *interrupt);
void menu_signals_stop(struct menu_signals *signals); /* joins and frees; NULL is fine */
