/*
 * What the files of the menu's entries share. Used inside terminal/menu/ only.
 */
#pragma once

#include "peer/terminal/menu/menu.h"

struct menu {
    const struct menu_terminal *terminal;
    const struct menu_peer *peer;
};

/* A line; whatever of it is from others is made harmless. */
void menu_say(const struct menu *menu, const char *format, ...) PRINTF_LIKE(2, 3);

/* What was typed, without blanks around it. */
enum line_result menu_ask(const struct menu *menu, const char *prompt, char line[MENU_LINE_BYTES]);

/* The first entry from the name on: who has it, from whom to fetch it. */
enum line_result menu_download(const struct menu *menu, const char *name);

/* The fourth entry. */
enum line_result menu_words(const struct menu *menu);
