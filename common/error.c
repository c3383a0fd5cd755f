#include "common/error.h"

#include "common/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void PRINTF_LIKE(3, 0)
    format_text(char *text, size_t size, const char *format, va_list arguments)
{
    int length = vsnprintf(text, size, format, arguments);

    if (length < 0)
        text[0] = '\0';
    else if ((size_t)length >= size)
        text_cut(text, size - 1);
}

enum error_code error_set(struct error *error, enum error_code code, const char *format, ...)
{
    va_list arguments;

    if (!error)
        return code;
    error->code = code;
    va_start(arguments, format);
    format_text(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    return code;
}

static enum error_code code_of_errno(int errno_value)
{
    switch (errno_value) {
    case ENOENT:
        return ERROR_NOT_FOUND;
    case EEXIST:
        return ERROR_EXISTS;
    case EACCES:
    case EPERM:
    case EROFS:
        return ERROR_DENIED;
    case ENOSPC:
    case EDQUOT:
        return ERROR_NO_SPACE;
    case EFBIG:
        return ERROR_TOO_LARGE;
    case EINVAL:
    case ENAMETOOLONG:
    case ELOOP:
        return ERROR_INVALID;
    case ETIMEDOUT:
        return ERROR_TIMEOUT;
    case ECONNREFUSED:
    case ECONNRESET:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EPIPE:
        return ERROR_UNREACHABLE;
    case EADDRINUSE:
        return ERROR_BUSY;
    default:
        return ERROR_IO;
    }
}

enum error_code error_set_errno(struct error *error, int errno_value, const char *format, ...)
{
    enum error_code code = code_of_errno(errno_value);
    char reason[128];
    char context[ERROR_TEXT_BYTES - sizeof reason - 2];
    va_list arguments;

    if (!error)
        return code;
    va_start(arguments, format);
    format_text(context, sizeof context, format, arguments);
    va_end(arguments);
    return error_set(error, code, "%s: %s", context,
                     strerror_r(errno_value, reason, sizeof reason));
}

enum error_code error_context(struct error *error, const char *format, ...)
{
    char before[ERROR_TEXT_BYTES / 2];
    char text[ERROR_TEXT_BYTES];
    va_list arguments;

    if (!error)
        return ERROR_IO;
    va_start(arguments, format);
    format_text(before, sizeof before, format, arguments);
    va_end(arguments);
    memcpy(text, error->text, sizeof text);
    return error_set(error, error->code, "%s: %s", before, text);
}

const char *error_code_name(enum error_code code)
{
    static const char *const names[ERROR_CODE_COUNT] = {
        [ERROR_NONE] = "none",
        [ERROR_INVALID] = "invalid",
        [ERROR_NOT_FOUND] = "not found",
        [ERROR_EXISTS] = "exists",
        [ERROR_DENIED] = "denied",
        [ERROR_TOO_LARGE] = "too large",
        [ERROR_NO_SPACE] = "no space",
        [ERROR_BUSY] = "busy",
        [ERROR_CHANGED] = "changed",
        [ERROR_UNREACHABLE] = "unreachable",
        [ERROR_TIMEOUT] = "timeout",
        [ERROR_CANCELLED] = "cancelled",
        [ERROR_UNSUPPORTED] = "unsupported",
        [ERROR_CORRUPT] = "corrupt",
        [ERROR_IO] = "input/output",
    };

    return (unsigned)code < ERROR_CODE_COUNT ? names[code] : "unknown";
}
