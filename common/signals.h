/*
 * Signals as events of the main thread: blocked in every thread, taken one by one where a program
 * waits for them. No signal handler ever runs.
 */
#pragma once

#include <stdint.h>

/* Before any thread starts: blocks SIGTERM, SIGINT and SIGHUP and ignores SIGPIPE. */
void signals_block(void);

/* The next of them, 0 when the time is over first; a negative time waits for ever. Main thread. */
int signals_wait_ms(int64_t timeout_ms);
