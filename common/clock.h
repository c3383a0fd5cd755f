/*
 * Time. Rules take the time as an argument; only threads and edges read a clock, here.
 * Any thread.
 */
#pragma once

#include <stdint.h>
#include <time.h>

/* Milliseconds since the machine started, sleep included (CLOCK_BOOTTIME): steps of the wall clock
 * do not touch it. The clock of every expiry, deadline and interval. */
int64_t clock_boot_ms(void);

/* Milliseconds since 1970 UTC. Only for showing and storing. */
int64_t clock_wall_ms(void);

/* Microseconds of CLOCK_MONOTONIC: for how long something took. */
int64_t clock_us(void);

/* So long from now on CLOCK_MONOTONIC, as timed waits on a condition variable want it that has this
 * clock (pthread_condattr_setclock). */
struct timespec clock_deadline(int64_t wait_ms);
