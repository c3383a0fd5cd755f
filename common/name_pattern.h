/*
 * Wild cards for names of files: '*' stands for any text, '?' for one character, a '\' before
 * either (or before itself) for the character itself. All else is compared byte by byte. Neither
 * stands for a '/' in a path; a pattern with a '/' at its end matches all that is below that
 * folder. Pure.
 */
#pragma once

#include <stdbool.h>

/* Both are well-formed UTF-8. Time grows with the product of their lengths at most. */
bool name_pattern_match(const char *pattern, const char *name);
