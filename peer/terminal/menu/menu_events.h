/*
 * What reaches the menu while it waits for a line: notices of downloads and signals. Threads post,
 * the main thread takes; the descriptor is readable while there is something to take.
 */
#pragma once

#include <stdbool.h>

struct menu_events;

struct menu_events *menu_events_new(void); /* owned by the caller; never NULL */
void menu_events_free(struct menu_events *events);
int menu_events_descriptor(const struct menu_events *events);

void menu_events_post_line(struct menu_events *events, const char *text); /* copied */
/* A download has ended. True: that is to be told by itself, and the caller posts the line;
 * otherwise it is counted, and a line with the sum can be taken later (menu_ends.h). */
bool menu_events_tells_end(struct menu_events *events, const char *name, bool failed);
/* The end of a download of that name is told by itself, whatever else ends: it was asked for here.
 * Or, with false, it is not expected any more. */
void menu_events_expect(struct menu_events *events, const char *name, bool expected);
/* Nothing is posted any more: the sum can be taken at once. */
void menu_events_end(struct menu_events *events);

void menu_events_post_signal(struct menu_events *events, int signal_number);

/* For poll(2): in how many milliseconds there is a line to take though nothing is posted; -1:
 * never.
 */
int menu_events_wait_ms(struct menu_events *events);

/* The next line, the caller's (free); NULL when there is none. */
char *menu_events_take_line(struct menu_events *events);
/* The next signal; 0 when there is none. Equal ones are one. */
int menu_events_take_signal(struct menu_events *events);

/* To be called before taking: what is posted after makes the descriptor readable again. */
void menu_events_seen(struct menu_events *events);
