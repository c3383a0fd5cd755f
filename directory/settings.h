/*
 * The directory's settings: one table drives defaults, file, environment (P2P_DIRECTORY_...),
 * flags, checks and help. Flags go over the environment, that over the file, that over the
 * defaults.
 */
#pragma once

#include "common/address.h"
#include "common/buffer.h"
#include "common/config.h"
#include "common/error.h"
#include "common/log.h"

#include <stdbool.h>
#include <stdint.h>

struct settings {
    char *listen; /* checked: address_parse takes it */
    char *database;
    char *users;
    int64_t expiry;    /* seconds */
    int64_t retention; /* days; 0: for ever */
    char *access_log;  /* NULL: none */
    char *log_level;   /* checked: log_level_parse takes it */
};

enum settings_action {
    SETTINGS_RUN,
    SETTINGS_CHECK,   /* --check-config: they are good */
    SETTINGS_VERSION, /* --version */
    SETTINGS_HELP,    /* --help */
};

/* Reads the command line (argv[0] is the program) and what it names. *settings must be zero, and
 * settings_done is due in every case. ERROR_INVALID and file_read's errors name the source and key.
 * unknown is told of keys in the file that no row has. */
MUST_CHECK enum error_code settings_read(int argc, char **argv, struct settings *settings,
                                         enum settings_action *action, config_unknown_fn *unknown,
                                         struct error *error);
void settings_done(struct settings *settings);

void settings_describe(struct buffer *out);
