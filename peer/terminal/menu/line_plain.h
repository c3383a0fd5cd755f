/*
 * Lines from a pipe, a file, or a terminal that can do nothing: what the kernel gives. Prompts are
 * printed all the same; notices come on lines of their own, the prompt again after them.
 */
#pragma once

#include "peer/terminal/menu/line_input.h"
#include "peer/terminal/menu/menu_events.h"

#include <stddef.h>

struct line_plain;

/* events is borrowed. *plain is owned by the caller. Reads from descriptor. */
struct line_plain *line_plain_new(int descriptor, struct menu_events *events);
void line_plain_free(struct line_plain *plain);

/* A line that is too long is cut. The last line may have no end. */
enum line_result line_plain_read(struct line_plain *plain, const char *prompt, char *line,
                                 size_t size);
