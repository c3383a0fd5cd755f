/*
 * The one set of outcomes that every layer of both programs speaks.
 *
 * A function that can fail for a reason from outside returns an enum error_code and takes, last, a
 * struct error that the caller owns (or NULL). The text is made once, where the fact is known; on
 * the way up a few words of context may be put before it. Codes become HTTP statuses, gRPC
 * statuses and exit statuses at one place each (directory/replies, peer/rpc, peer/terminal).
 *
 * Any thread may use its own struct error; nothing here is shared.
 */
#pragma once

#include "common/compiler.h"

enum error_code {
    ERROR_NONE = 0,
    ERROR_INVALID,     /* what came in is not what was agreed: shape, range, encoding */
    ERROR_NOT_FOUND,   /* the named thing does not exist */
    ERROR_EXISTS,      /* the name is taken, with other content */
    ERROR_DENIED,      /* wrong credentials, or not allowed */
    ERROR_TOO_LARGE,   /* over a cap */
    ERROR_NO_SPACE,    /* disk or quota is full */
    ERROR_BUSY,        /* a bounded queue is full; later may work */
    ERROR_CHANGED,     /* the file is no longer what it was when we began */
    ERROR_UNREACHABLE, /* no connection, or it broke */
    ERROR_TIMEOUT,     /* a deadline passed */
    ERROR_CANCELLED,   /* somebody asked us to stop */
    ERROR_UNSUPPORTED, /* the other side, or the system, cannot do this */
    ERROR_CORRUPT,     /* stored data is damaged */
    ERROR_IO,          /* any other failure of disk or system */
    ERROR_CODE_COUNT
};

#define ERROR_TEXT_BYTES 512

struct error {
    enum error_code code;
    char text[ERROR_TEXT_BYTES]; /* UTF-8, never cut inside a character, no newline at the end */
};

/* Fills *error (which may be NULL) and returns code, so that `return error_set(...)` is one line.
 */
enum error_code error_set(struct error *error, enum error_code code, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* Like error_set, with ": " and the system's words for errno_value appended, and the code that
 * fits errno_value (ENOENT is ERROR_NOT_FOUND, ENOSPC is ERROR_NO_SPACE, ...). */
enum error_code error_set_errno(struct error *error, int errno_value, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* Puts "CONTEXT: " before the text that is there. Returns error->code (ERROR_IO for NULL). */
enum error_code error_context(struct error *error, const char *format, ...) PRINTF_LIKE(2, 3);

/* A short English name such as "not found", for logs and --json. Never NULL. */
const char *error_code_name(enum error_code code);
