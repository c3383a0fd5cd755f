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
void menu_events_post_signal(struct menu_events *events, int signal_number);

/* The next line, the caller's (free); NULL when there is none. */
char *menu_events_take_line(struct menu_events *events);
/* The next signal; 0 when there is none. Equal ones are one. */
int menu_events_take_signal(struct menu_events *events);

/* To be called before taking: what is posted after makes the descriptor readable again. */
void menu_events_seen(struct menu_events *events);
