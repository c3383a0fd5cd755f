#include "directory/settings.h"

#include "common/memory.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static enum error_code check_listen(const char *value, struct error *error)
{
    struct address address;

    return address_parse(value, true, &address, error);
}

static enum error_code check_log_level(const char *value, struct error *error)
{
    enum log_level level;

    if (!log_level_parse(value, &level))
        return error_set(error, ERROR_INVALID, "'%s' is not error, warning, info or debug", value);
    return ERROR_NONE;
}

static enum error_code check_path(const char *value, struct error *error)
{
    if (!*value)
        return error_set(error, ERROR_INVALID, "is empty");
    return ERROR_NONE;
}

static const struct config_key keys[] = {
    {
        .name = "listen",
        .type = CONFIG_STRING,
        .offset = offsetof(struct settings, listen),
        .preset = "0.0.0.0:8000",
        .required = true,
        .value_name = "ADDR:PORT",
        .help = "where to serve; port 0 takes a free one",
        .check = check_listen,
    },
    {
        .name = "database",
        .type = CONFIG_STRING,
        .offset = offsetof(struct settings, database),
        .preset = "p2p-directory.db",
        .required = true,
        .value_name = "FILE",
        .help = "the index; made if it does not exist",
        .check = check_path,
    },
    {
        .name = "users",
        .type = CONFIG_STRING,
        .offset = offsetof(struct settings, users),
        .preset = "p2p-directory.users",
        .required = true,
        .value_name = "FILE",
        .help = "who may log in",
        .check = check_path,
    },
    {
        .name = "expiry",
        .type = CONFIG_INTEGER,
        .offset = offsetof(struct settings, expiry),
        .preset = "30",
        .min = 1,
        .max = 86400,
        .value_name = "SECONDS",
        .help = "a peer that has not logged in for so long is away",
    },
    {
        .name = "access_log",
        .type = CONFIG_STRING,
        .offset = offsetof(struct settings, access_log),
        .value_name = "FILE",
        .help = "a line for each request, without its arguments; none unless it is given",
        .check = check_path,
    },
    {
        .name = "retention",
        .type = CONFIG_INTEGER,
        .offset = offsetof(struct settings, retention),
        .preset = "7",
        .min = 0,
        .max = 36500,
        .value_name = "DAYS",
        .help = "files of a peer away for so long are dropped; 0: never",
    },
    {
        .name = "log_level",
        .type = CONFIG_STRING,
        .offset = offsetof(struct settings, log_level),
        .preset = "info",
        .required = true,
        .value_name = "LEVEL",
        .help = "error, warning, info or debug",
        .check = check_log_level,
    },
};

static const struct config_table table = {.keys = keys, .count = ARRAY_LENGTH(keys)};

static const struct {
    const char *flag;
    enum settings_action action;
} action_flags[] = {
    {"check-config", SETTINGS_CHECK},
    {"version", SETTINGS_VERSION},
    {"help", SETTINGS_HELP},
};

static bool take_action(const char *flag, enum settings_action *action)
{
    for (size_t i = 0; i < ARRAY_LENGTH(action_flags); i++) {
        if (strcmp(flag, action_flags[i].flag) == 0) {
            *action = action_flags[i].action;
            return true;
        }
    }
    return false;
}

/* Splits "--flag=value" or "--flag value"; *value is NULL when none follows. Moves *place past what
 * was taken but the value of its own, which only take_value takes. */
static enum error_code next_flag(char **argv, int place, char **flag, const char **value,
                                 struct error *error)
{
    const char *argument = strcmp(argv[place], "-h") == 0 ? "--help" : argv[place];

    if (strncmp(argument, "--", 2) != 0 || argument[2] == '\0')
        return error_set(error, ERROR_INVALID, "unexpected argument '%s' (see --help)", argument);
    const char *equals = strchr(argument, '=');
    size_t length = equals ? (size_t)(equals - argument) - 2 : strlen(argument) - 2;
    *flag = memory_copy(argument + 2, length);
    *value = equals ? equals + 1 : NULL;
    return ERROR_NONE;
}

typedef enum error_code flag_fn(struct settings *settings, const char *flag, const char *value,
                                struct error *error);

/* Goes over the command line and gives each flag with its value to the function. */
static enum error_code each_flag(int argc, char **argv, struct settings *settings,
                                 enum settings_action *action, flag_fn *take, struct error *error)
{
    enum error_code code = ERROR_NONE;

    for (int place = 1; place < argc && !code; place++) {
        auto_free char *flag = NULL;
        const char *value = NULL;
        code = next_flag(argv, place, &flag, &value, error);
        if (code || (!value && take_action(flag, action)))
            continue;
        if (strcmp(flag, "config") != 0 && !config_find_flag(&table, flag))
            return error_set(error, ERROR_INVALID, "unknown flag --%s (see --help)", flag);
        if (!value && ++place < argc)
            value = argv[place];
        if (!value)
            return error_set(error, ERROR_INVALID, "--%s needs a value", flag);
        code = take(settings, flag, value, error);
    }
    return code;
}

static enum error_code ignore_flag(struct settings *settings, const char *flag, const char *value,
                                   struct error *error)
{
    (void)settings;
    (void)flag;
    (void)value;
    (void)error;
    return ERROR_NONE;
}

static enum error_code set_flag(struct settings *settings, const char *flag, const char *value,
                                struct error *error)
{
    auto_free char *source = memory_format("--%s", flag);

    if (strcmp(flag, "config") == 0)
        return ERROR_NONE;
    return config_set(&table, settings, source, config_find_flag(&table, flag)->name, value, error);
}

/* The last --config, or the environment's; NULL: none. */
static const char *find_config_file(int argc, char **argv)
{
    static const char with_value[] = "--config=";
    const char *path = getenv("P2P_DIRECTORY_CONFIG");

    for (int place = 1; place < argc; place++) {
        if (strncmp(argv[place], with_value, sizeof with_value - 1) == 0)
            path = argv[place] + sizeof with_value - 1;
        else if (strcmp(argv[place], "--config") == 0 && place + 1 < argc)
            path = argv[place + 1];
    }
    return path;
}

enum error_code settings_read(int argc, char **argv, struct settings *settings,
                              enum settings_action *action, config_unknown_fn *unknown,
                              struct error *error)
{
    *action = SETTINGS_RUN;
    config_init(&table, settings);
    enum error_code code = each_flag(argc, argv, settings, action, ignore_flag, error);
    if (code || *action == SETTINGS_VERSION || *action == SETTINGS_HELP)
        return code;
    const char *path = find_config_file(argc, argv);
    if (path)
        code = config_read_file(&table, settings, path, unknown, error);
    if (!code)
        code = config_read_environment(&table, settings, "P2P_DIRECTORY_", error);
    if (!code)
        code = each_flag(argc, argv, settings, action, set_flag, error);
    if (!code)
        code = config_check(&table, settings, path ? path : "settings", error);
    return code;
}

void settings_done(struct settings *settings)
{
    config_done(&table, settings);
}

void settings_describe(struct buffer *out)
{
    buffer_append_string(out,
                         "  --config FILE            settings as a JSON object, keys as the flags "
                         "with _ for -\n");
    config_describe(&table, out);
    buffer_append_string(out, "  --check-config           check the settings and exit\n"
                              "  --version                show the version and exit\n"
                              "  --help, -h               show this and exit\n");
}
