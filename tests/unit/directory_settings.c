#include "unit.h"

#include "directory/settings.h"

static char unknown_key[64];

static void note_unknown(const char *source, const char *key)
{
    (void)source;
    snprintf(unknown_key, sizeof unknown_key, "%s", key);
}

/* Arguments separated by spaces. */
static enum error_code read_line(const char *line, struct settings *settings,
                                 enum settings_action *action, struct error *error)
{
    static char text[512];
    char *argv[16] = {text};
    int argc = 1;
    char *rest = NULL;

    snprintf(text, sizeof text, "p2p-directory %s", line);
    strtok_r(text, " ", &rest);
    while ((argv[argc] = strtok_r(NULL, " ", &rest)) && argc < 15)
        argc++;
    *settings = (struct settings){0};
    return settings_read(argc, argv, settings, action, note_unknown, error);
}

static void defaults(void **state)
{
    struct settings settings;
    enum settings_action action;

    (void)state;
    assert_int_equal(read_line("", &settings, &action, NULL), ERROR_NONE);
    assert_int_equal(action, SETTINGS_RUN);
    assert_string_equal(settings.listen, "0.0.0.0:8000");
    assert_string_equal(settings.database, "p2p-directory.db");
    assert_string_equal(settings.users, "p2p-directory.users");
    assert_int_equal(settings.expiry, 30);
    assert_string_equal(settings.log_level, "info");
    settings_done(&settings);
}

static void actions(void **state)
{
    static const struct {
        const char *line;
        enum settings_action action;
    } rows[] = {
        {"--version", SETTINGS_VERSION},
        {"--help", SETTINGS_HELP},
        {"-h", SETTINGS_HELP},
        {"--check-config", SETTINGS_CHECK},
        {"--check-config --expiry 5", SETTINGS_CHECK},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct settings settings;
        enum settings_action action;
        check_row(i, read_line(rows[i].line, &settings, &action, NULL) == ERROR_NONE);
        check_row(i, action == rows[i].action);
        settings_done(&settings);
    }
}

static void wrong_lines_say_what_is_wrong(void **state)
{
    static const struct {
        const char *line;
        const char *says;
    } rows[] = {
        {"extra", "extra"},
        {"-x", "-x"},
        {"--", "--"},
        {"--nonsense 1", "--nonsense"},
        {"--expiry", "--expiry"},
        {"--expiry x", "--expiry"},
        {"--expiry 0", "--expiry"},
        {"--expiry=86401", "--expiry"},
        {"--listen nowhere", "--listen"},
        {"--listen 1.2.3.4:70000", "--listen"},
        {"--log-level loud", "--log-level"},
        {"--database=", "--database"},
        {"--config /nonexistent/x.json", "/nonexistent/x.json"},
        {"--check-config --expiry x", "--expiry"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct settings settings;
        enum settings_action action;
        struct error error = {0};
        check_row(i, read_line(rows[i].line, &settings, &action, &error) != ERROR_NONE);
        if (!strstr(error.text, rows[i].says))
            fail_msg("row %zu: %s", i, error.text);
        settings_done(&settings);
    }
}

static void flags_over_environment_over_file(void **state)
{
    static const char file[] = "{\"expiry\": 11, \"listen\": \"127.0.0.1:1\", \"users\": \"file\","
                               " \"color\": \"red\"}";
    char folder[UNIT_PATH_BYTES];
    char path[UNIT_PATH_BYTES];
    char line[UNIT_PATH_BYTES + 64];
    struct settings settings;
    enum settings_action action;

    (void)state;
    unit_folder_make(folder);
    unit_file_write(unit_path(folder, "c.json", path), file, sizeof file - 1);
    setenv("P2P_DIRECTORY_EXPIRY", "22", 1);
    setenv("P2P_DIRECTORY_USERS", "environment", 1);
    snprintf(line, sizeof line, "--users=flag --config %s", path);
    assert_int_equal(read_line(line, &settings, &action, NULL), ERROR_NONE);
    assert_string_equal(settings.listen, "127.0.0.1:1");
    assert_int_equal(settings.expiry, 22);
    assert_string_equal(settings.users, "flag");
    assert_string_equal(unknown_key, "color");
    settings_done(&settings);
    setenv("P2P_DIRECTORY_CONFIG", path, 1);
    assert_int_equal(read_line("--expiry 33", &settings, &action, NULL), ERROR_NONE);
    assert_string_equal(settings.listen, "127.0.0.1:1");
    assert_int_equal(settings.expiry, 33);
    assert_string_equal(settings.users, "environment");
    settings_done(&settings);
    unsetenv("P2P_DIRECTORY_CONFIG");
    unsetenv("P2P_DIRECTORY_EXPIRY");
    unsetenv("P2P_DIRECTORY_USERS");
    unit_folder_remove(folder);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(actions),
        cmocka_unit_test(wrong_lines_say_what_is_wrong),
        cmocka_unit_test(flags_over_environment_over_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
