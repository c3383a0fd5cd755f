/*
 * How urgent a download is. Pure. Any thread.
 */
#pragma once

#include <stdbool.h>

enum download_priority { /* the higher the sooner */
                         DOWNLOAD_LOW = -1,
                         DOWNLOAD_NORMAL = 0,
                         DOWNLOAD_HIGH = 1,
};
#define DOWNLOAD_PRIORITY_COUNT 3

/* "high", "normal", "low": for commands and --json. */
const char *download_priority_name(enum download_priority priority);
bool download_priority_parse(const char *name, enum download_priority *priority);
bool download_priority_is_valid(long long number);
