#include "peer/terminal/units.h"

#include "common/compiler.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LAST_HOUR_SHOWN 99

const char *units_bytes(int64_t bytes, char out[UNITS_TEXT_BYTES])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    size_t unit = 0;

    /* 1023.95 would be printed as 1024.0. */
    while (unit + 1 < ARRAY_LENGTH(units) && (value >= 1023.95 || (unit == 0 && value >= 1000))) {
        value /= 1024;
        unit++;
    }
    if (unit == 0)
        snprintf(out, UNITS_TEXT_BYTES, "%" PRId64 " B", bytes);
    else
        snprintf(out, UNITS_TEXT_BYTES, "%.1f %s", value, units[unit]);
    return out;
}

bool units_parse_bytes(const char *text, int64_t *bytes)
{
    static const char letters[] = "kmgt";
    size_t digits = strspn(text, "0123456789");
    const char *unit = text + digits;
    int64_t value = 0;

    if (digits == 0)
        return false;
    for (size_t i = 0; i < digits; i++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, text[i] - '0', &value))
            return false;
    unit += *unit == ' ' && unit[1];
    const char *letter = *unit ? memchr(letters, *unit | 0x20, sizeof letters - 1) : NULL;
    for (const char *each = letters; letter && each <= letter; each++)
        if (__builtin_mul_overflow(value, 1024, &value))
            return false;
    unit += letter != NULL;
    if (letter && *unit == 'i')
        unit += unit[1] == 'B' ? 2 : 0;
    else if (!letter && *unit == 'B')
        unit++;
    *bytes = value;
    return *unit == '\0';
}

const char *units_duration(int64_t seconds, char out[UNITS_TEXT_BYTES])
{
    int64_t hours = seconds / 3600;
    int minutes = (int)(seconds / 60 % 60);

    if (hours > LAST_HOUR_SHOWN)
        snprintf(out, UNITS_TEXT_BYTES, "%" PRId64 " d", hours / 24);
    else if (hours > 0)
        snprintf(out, UNITS_TEXT_BYTES, "%" PRId64 ":%02d:%02d", hours, minutes,
                 (int)(seconds % 60));
    else
        snprintf(out, UNITS_TEXT_BYTES, "%d:%02d", minutes, (int)(seconds % 60));
    return out;
}
