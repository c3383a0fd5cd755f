/*
 * Which ends of downloads the menu tells one by one. A few are news; of thousands, which a command
 * elsewhere has begun, lines would bury the menu: past a handful in a few seconds they are counted,
 * and the sum is told when it has become quiet, or now and then. Pure: no clock, no terminal.
 *
 *   a few ─▶ told each ─(MENU_ENDS_TOLD within MENU_ENDS_WINDOW_MS)─▶ counted ─▶ the sum is told
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define MENU_ENDS_TOLD      5
#define MENU_ENDS_WINDOW_MS 5000
#define MENU_ENDS_QUIET_MS  2000  /* no end for so long: the sum is told, */
#define MENU_ENDS_SUM_MS    30000 /* and at the latest so long after the first that was counted */

/* All zero at the beginning. */
struct menu_ends {
    int64_t window_ms;         /* the first that was told lately, or the last sum */
    unsigned told;             /* since then */
    unsigned done, failed;     /* counted, not told yet */
    int64_t first_ms, last_ms; /* of those */
};

/* Whether this end is to be told by itself; otherwise it is counted. */
bool menu_ends_take(struct menu_ends *ends, bool failed, int64_t now_ms);

/* In how many milliseconds the sum is to be told; -1: there is nothing to tell. */
int menu_ends_wait_ms(const struct menu_ends *ends, int64_t now_ms);

/* The line that tells the sum, when that is due or wanted at once; the caller's (free). NULL: there
 * is none. */
char *menu_ends_sum(struct menu_ends *ends, bool at_once, int64_t now_ms);
