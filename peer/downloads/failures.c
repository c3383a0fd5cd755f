#include "peer/downloads/failures.h"

/* What tells most about why nobody could give the file: "has not got it" says less than "could not
 * be asked" (asking again may help), and that less than a transfer that went wrong. */
static int weight(enum error_code code)
{
    switch (code) {
    case ERROR_NONE:
        return 0;
    case ERROR_NOT_FOUND:
        return 1;
    case ERROR_TIMEOUT:
        return 2;
    case ERROR_UNREACHABLE:
        return 3;
    default:
        return 4;
    }
}

void failures_add(struct failures *failures, const char *who, const struct error *why)
{
    struct error *worst = &failures->worst;
    enum error_code code = weight(why->code) > weight(worst->code) ? why->code : worst->code;
    struct error before = *worst;

    if (before.text[0])
        error_set(worst, code, "%s; %s: %s", before.text, who, why->text);
    else
        error_set(worst, code, "%s: %s", who, why->text);
}
