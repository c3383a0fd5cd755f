#include "common/byte_rate.h"

#include "common/compiler.h"
#include "common/text.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#define NUMBER_BYTES 24

static const struct {
    const char *name;
    int shift;
} suffixes[] = {{"", 0},   {"b", 0},    {"k", 10}, {"kib", 10},
                {"m", 20}, {"mib", 20}, {"g", 30}, {"gib", 30}};

static bool find_suffix(const char *text, size_t length, int *shift)
{
    for (size_t i = 0; i < ARRAY_LENGTH(suffixes); i++)
        if (strlen(suffixes[i].name) == length &&
            strncasecmp(suffixes[i].name, text, length) == 0) {
            *shift = suffixes[i].shift;
            return true;
        }
    return false;
}

enum error_code byte_rate_check(int64_t bytes_per_second, struct error *error)
{
    if (bytes_per_second == 0 ||
        (bytes_per_second >= BYTE_RATE_MIN && bytes_per_second <= BYTE_RATE_MAX))
        return ERROR_NONE;
    return error_set(error, ERROR_INVALID,
                     "%" PRId64 " is neither 0 (no limit) nor within %d and %" PRId64
                     " bytes per second",
                     bytes_per_second, BYTE_RATE_MIN, BYTE_RATE_MAX);
}

enum error_code byte_rate_parse(const char *text, int64_t *bytes_per_second, struct error *error)
{
    size_t digits = strspn(text, "0123456789");
    const char *rest = text + digits;
    char number[NUMBER_BYTES] = "";
    long long value = 0;
    int shift = 0;

    if (strcmp(text, "none") == 0) {
        *bytes_per_second = 0;
        return ERROR_NONE;
    }
    rest += strspn(rest, " ");
    size_t length = strlen(rest);
    if (length >= 2 && strcmp(rest + length - 2, "/s") == 0)
        length -= 2;
    if (digits > 0 && digits < sizeof number)
        memcpy(number, text, digits);
    if (!text_to_integer(number, 0, BYTE_RATE_MAX, &value) || !find_suffix(rest, length, &shift) ||
        value > BYTE_RATE_MAX >> shift)
        return error_set(error, ERROR_INVALID,
                         "'%.100s' is no limit such as 500000, 500k, \"2 MiB/s\" or none", text);
    *bytes_per_second = (int64_t)value << shift;
    return byte_rate_check(*bytes_per_second, error);
}
