#include "peer/downloads/priority.h"

#include <string.h>

bool download_priority_is_valid(long long number)
{
    return number >= DOWNLOAD_LOW && number <= DOWNLOAD_HIGH;
}

const char *download_priority_name(enum download_priority priority)
{
    static const char *const names[DOWNLOAD_PRIORITY_COUNT] = {"low", "normal", "high"};

    return download_priority_is_valid(priority) ? names[priority - DOWNLOAD_LOW] : "unknown";
}

bool download_priority_parse(const char *name, enum download_priority *priority)
{
    for (int each = DOWNLOAD_LOW; each <= DOWNLOAD_HIGH; each++) {
        if (strcmp(name, download_priority_name((enum download_priority)each)) == 0) {
            *priority = (enum download_priority)each;
            return true;
        }
    }
    return false;
}
