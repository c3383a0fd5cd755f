#include "common/name_pattern.h"

#include <stddef.h>

static bool is_escaped(const char *pattern)
{
    return pattern[0] == '\\' && (pattern[1] == '*' || pattern[1] == '?' || pattern[1] == '\\');
}

/* Behind the character that begins there. */
static const char *next_character(const char *text)
{
    do {
        text++;
    } while (((unsigned char)*text & 0xc0) == 0x80);
    return text;
}

/* One item of the pattern that is no star, at the name's place; both go on behind it. */
static bool match_one(const char **pattern, const char **name)
{
    if (**pattern == '?' && **name != '/') {
        (*pattern)++;
        *name = next_character(*name);
        return true;
    }
    const char *wanted = is_escaped(*pattern) ? *pattern + 1 : *pattern;
    if (*wanted != **name)
        return false;
    *pattern = wanted + 1;
    (*name)++;
    return true;
}

bool name_pattern_match(const char *pattern, const char *name)
{
    const char *begin = pattern;
    const char *star = NULL; /* the pattern behind the last star, ... */
    const char *from = NULL; /* ... and where in the name it was tried last */

    while (*name) {
        if (*pattern == '*') {
            star = ++pattern;
            from = name;
        } else if (!*pattern && pattern > begin && pattern[-1] == '/') {
            return true; /* all below that folder */
        } else if (!*pattern || !match_one(&pattern, &name)) {
            if (!star || *from == '/')
                return false;
            /* What the star stands for is one character longer. */
            from = next_character(from);
            pattern = star;
            name = from;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}
