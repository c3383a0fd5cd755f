/*
 * Settings as a table: one row a key drives the default, the JSON file, the environment, the
 * flags, the checks, the help text and the freeing.
 *
 * A program has a struct of settings and a table whose rows name its fields. Sources are applied
 * in rising order of strength by the program: defaults, file, environment, flags.
 * Errors are one line that names the source (file, variable or flag) and the key.
 */
#pragma once

#include "common/buffer.h"
#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_FILE_MAX_BYTES (1 << 20) /* a configuration has a few hundred bytes */

#define CONFIG_INTEGER_UNSET INT64_MIN /* what a number without a preset holds until it is set */

enum config_type {
    CONFIG_STRING,  /* char *: owned by the settings, NULL when unset */
    CONFIG_INTEGER, /* int64_t, within [min, max] */
    CONFIG_BOOLEAN, /* bool */
    CONFIG_RATE,    /* int64_t bytes per second; a number, or text as byte_rate.h has it */
    CONFIG_STRINGS, /* struct config_strings; from text: separated by commas */
};

struct config_strings {
    char **items; /* owned by the settings */
    size_t count;
};

struct config_key {
    const char *name; /* "api_url" in the file, PREFIX_API_URL, --api-url */
    enum config_type type;
    size_t offset;          /* of the field in the settings */
    const char *preset;     /* default as text, NULL for none */
    bool required;          /* config_check refuses settings without it */
    int64_t min, max;       /* CONFIG_INTEGER only */
    bool or_one;            /* CONFIG_STRINGS in JSON: a string alone is a list of one */
    const char *value_name; /* in the help: "FILE" */
    const char *help;
    /* Further check of a text value; NULL for none. The error text needs no key. */
    enum error_code (*check)(const char *value, struct error *error);
};

struct config_table {
    const struct config_key *keys;
    size_t count;
};

/* Sets every field from its preset; the settings must be all zero before. A preset that its own row
 * refuses is a bug: asserts. */
void config_init(const struct config_table *table, void *settings);
void config_done(const struct config_table *table, void *settings);

/* Called for each key of a file that no row has. A key that is null stays as it was. */
typedef void config_unknown_fn(const char *source, const char *key);

/* ERROR_INVALID (shape, type, range), or file_read's errors. Settings may be half set then. */
MUST_CHECK enum error_code config_read_file(const struct config_table *table, void *settings,
                                            const char *path, config_unknown_fn *unknown,
                                            struct error *error);
/* The same from memory; source names it in errors. */
MUST_CHECK enum error_code config_read_text(const struct config_table *table, void *settings,
                                            const char *source, const char *text, size_t length,
                                            config_unknown_fn *unknown, struct error *error);

/* Reads PREFIX + the key's name in capitals, for every row that has such a variable. */
MUST_CHECK enum error_code config_read_environment(const struct config_table *table, void *settings,
                                                   const char *prefix, struct error *error);

/* Sets one key from text; source names it in errors. ERROR_NOT_FOUND: no such key. */
MUST_CHECK enum error_code config_set(const struct config_table *table, void *settings,
                                      const char *source, const char *key, const char *value,
                                      struct error *error);

/* ERROR_INVALID names the first required key that is unset. */
MUST_CHECK enum error_code config_check(const struct config_table *table, const void *settings,
                                        const char *source, struct error *error);

/* The row whose flag is --FLAG (given without the dashes, '-' stands for '_'), or NULL. */
const struct config_key *config_find_flag(const struct config_table *table, const char *flag);

/* One line a flag: "  --listen ADDR:PORT   help (default ...)". */
void config_describe(const struct config_table *table, struct buffer *out);
