/*
 * Telling the service manager about ourselves: systemd's protocol, sd_notify(3), without its
 * library. Without the manager's variables in the environment nothing is sent and nothing fails.
 * Any thread.
 */
#pragma once

#include <stdint.h>

/* One or more lines such as "READY=1", as the manual has them; "\n" between two. */
void notify_send(const char *state);

/* The manager ends us when it has not got "WATCHDOG=1" for so long; 0: it does not. */
int64_t notify_watchdog_ms(void);
