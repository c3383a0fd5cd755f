/*
 * Lines from a terminal, edited with libedit, while notices and signals come in: a notice is
 * printed above the line that is being typed, and the line stands as it was. The only includer of
 * histedit.h.
 */
#pragma once

#include "peer/terminal/menu/line_input.h"
#include "peer/terminal/menu/menu_events.h"

#include <stddef.h>

struct line_editor;

/* For stdin and stdout, which must be terminals. events is borrowed; the signals in it are obeyed
 * here: a change of size, suspending, and those that interrupt. NULL when the terminal can do too
 * little (line_plain does then). Main thread, a UTF-8 locale. */
struct line_editor *line_editor_new(struct menu_events *events);
void line_editor_free(struct line_editor *editor); /* leaves the terminal as it was */

enum line_result line_editor_read(struct line_editor *editor, const char *prompt, char *line,
                                  size_t size);

/* The signal that interrupted; 0: none did. */
int line_editor_signal(const struct line_editor *editor);
