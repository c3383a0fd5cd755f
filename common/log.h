/*
 * One line an event to stderr: UTC time, level, module, text.
 *
 *   2026-01-31T10:20:30.123Z INFO directory: ready at http://0.0.0.0:8000
 *
 * Control characters in the text are made harmless here, so that a name from outside cannot forge
 * a line. Never give a password, a token or a query string. Any thread; lines do not mix (each is
 * one write). Only edges and mains log above debug.
 */
#pragma once

#include "common/compiler.h"

#include <stdbool.h>

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

/* Before threads start. The default is LOG_INFO. */
void log_set_level(enum log_level level);

/* "error", "warning", "info", "debug". */
bool log_level_parse(const char *name, enum log_level *level);

bool log_enabled(enum log_level level);

void log_line(enum log_level level, const char *module, const char *format, ...) PRINTF_LIKE(3, 4);
