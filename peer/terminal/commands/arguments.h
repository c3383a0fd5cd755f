/*
 * The arguments of one command. Pure.
 */
#pragma once

#include "common/buffer.h"
#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>

enum argument_flags {
    ARGUMENT_JSON = 1,
    ARGUMENT_FROM = 2,
    ARGUMENT_OUTPUT = 4,
    ARGUMENT_RATES = 8,
    ARGUMENT_FOLLOW = 16,
    ARGUMENT_PRIORITY = 32,
    ARGUMENT_WORDS = 64, /* of a search; "-word" is a word, too, but not "-h" */
    ARGUMENT_TIMEOUT = 128,
};

#define ARGUMENTS_WORDS_MAX 32768 /* of "verify *", "get a b ..." */

/* What a command takes, --config and --help besides. */
struct argument_shape {
    unsigned flags; /* of enum argument_flags */
    size_t words_min, words_max;
};

struct arguments {
    bool help;
    bool json;
    bool follow;
    const char *config; /* all are borrowed from argv; NULL: not given */
    const char *from;
    const char *output;
    const char *priority;
    const char *timeout;
    const char *upload;
    const char *download;
    const char *upload_per_peer;
    const char *download_per_peer;
    bool by_words;
    bool exact;
    const char *min_size;
    const char *max_size;
    const char *ext;
    const char *limit;
    const char *words[ARGUMENTS_WORDS_MAX];
    size_t word_count;
};

/* argv[0] is the command itself. "--flag value" and "--flag=value"; "--" ends the flags; a lone
 * "-" is a word. ERROR_INVALID says what is wrong (not with --help). */
MUST_CHECK enum error_code arguments_parse(const struct argument_shape *shape, int argc,
                                           char *const *argv, struct arguments *arguments,
                                           struct error *error);

/* A line or two for each flag that the command takes. */
void arguments_describe(const struct argument_shape *shape, struct buffer *out);
