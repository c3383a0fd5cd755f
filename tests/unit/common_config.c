#include "unit.h"

#include "common/config.h"
#include "common/file_io.h"

struct settings {
    char *peer_name;
    char *mode;
    int64_t port;
    int64_t limit;
    bool auth_enabled;
    int64_t rate;
    struct config_strings peer_urls;
};

static enum error_code check_no_x(const char *value, struct error *error)
{
    return strchr(value, 'x') ? error_set(error, ERROR_INVALID, "'%s' holds an x", value)
                              : ERROR_NONE;
}

static const struct config_key keys[] = {
    {.name = "peer_name",
     .type = CONFIG_STRING,
     .offset = offsetof(struct settings, peer_name),
     .required = true,
     .value_name = "NAME",
     .help = "name in the network"},
    {.name = "mode",
     .type = CONFIG_STRING,
     .offset = offsetof(struct settings, mode),
     .preset = "fast",
     .check = check_no_x,
     .value_name = "MODE",
     .help = "how"},
    {.name = "port",
     .type = CONFIG_INTEGER,
     .offset = offsetof(struct settings, port),
     .min = 0,
     .max = 65535,
     .required = true,
     .value_name = "PORT",
     .help = "where"},
    {.name = "limit",
     .type = CONFIG_INTEGER,
     .offset = offsetof(struct settings, limit),
     .preset = "7",
     .min = -10,
     .max = 10,
     .value_name = "N",
     .help = "how many"},
    {.name = "auth_enabled",
     .type = CONFIG_BOOLEAN,
     .offset = offsetof(struct settings, auth_enabled),
     .preset = "true",
     .value_name = "YES",
     .help = "whether"},
    {.name = "rate",
     .type = CONFIG_RATE,
     .offset = offsetof(struct settings, rate),
     .value_name = "RATE",
     .help = "how fast"},
    {.name = "peer_urls",
     .type = CONFIG_STRINGS,
     .offset = offsetof(struct settings, peer_urls),
     .check = check_no_x,
     .value_name = "URLS",
     .help = "others"},
};
static const struct config_table table = {keys, ARRAY_LENGTH(keys)};

static char unknown_seen[128];

static void unknown(const char *source, const char *key)
{
    size_t used = strlen(unknown_seen);

    snprintf(unknown_seen + used, sizeof unknown_seen - used, "%s:%s;", source, key);
}

static enum error_code read_text(struct settings *settings, const char *text, struct error *error)
{
    return config_read_text(&table, settings, "peer.json", text, strlen(text), unknown, error);
}

static void presets(void **state)
{
    struct settings settings = {0};

    (void)state;
    config_init(&table, &settings);
    assert_null(settings.peer_name);
    assert_string_equal(settings.mode, "fast");
    assert_true(settings.port == CONFIG_INTEGER_UNSET);
    assert_int_equal(settings.limit, 7);
    assert_true(settings.auth_enabled);
    assert_int_equal(settings.peer_urls.count, 0);
    config_done(&table, &settings);
    config_done(&table, &settings); /* twice does no harm */
}

static void a_file_sets_all_types(void **state)
{
    struct settings settings = {0};

    (void)state;
    config_init(&table, &settings);
    assert_int_equal(
        read_text(&settings,
                  "{\"peer_name\":\"Peer1\",\"mode\":\"ñ\",\"port\":8001,\"limit\":-10,"
                  "\"rate\":\"5k\",\"auth_enabled\":false,\"peer_urls\":[\"a\",\"b\"]}",
                  NULL),
        ERROR_NONE);
    assert_string_equal(settings.peer_name, "Peer1");
    assert_string_equal(settings.mode, "ñ");
    assert_int_equal(settings.port, 8001);
    assert_int_equal(settings.limit, -10);
    assert_false(settings.auth_enabled);
    assert_int_equal(settings.rate, 5120);
    assert_int_equal(settings.peer_urls.count, 2);
    assert_string_equal(settings.peer_urls.items[1], "b");
    assert_int_equal(config_check(&table, &settings, "peer.json", NULL), ERROR_NONE);
    /* A second source replaces, it does not add. */
    assert_int_equal(read_text(&settings, "{\"peer_urls\":[\"c\"],\"peer_name\":\"P\"}", NULL),
                     ERROR_NONE);
    assert_int_equal(settings.peer_urls.count, 1);
    assert_string_equal(settings.peer_name, "P");
    config_done(&table, &settings);
}

static void wrong_files_say_where(void **state)
{
    static const char *const rows[][2] = {
        {"", "peer.json: JSON: wrong at byte 0"},
        {"{\"port\":}", "peer.json: JSON: wrong at byte 8"},
        {"[]", "peer.json: must be a JSON object, not a list"},
        {"\"x\"", "peer.json: must be a JSON object, not a string"},
        {"{\"peer_name\":1}", "peer.json: peer_name: must be a string, not a number"},
        {"{\"port\":\"8001\"}", "peer.json: port: must be a whole number, not a string"},
        {"{\"port\":1.5}", "peer.json: port: must be a whole number, not a number"},
        {"{\"port\":-1}", "peer.json: port: -1 is not within 0 to 65535"},
        {"{\"port\":65536}", "peer.json: port: 65536 is not within 0 to 65535"},
        {"{\"rate\":\"5 MB\"}",
         "peer.json: rate: '5 MB' is no limit such as 500000, 500k, \"2 MiB/s\" or none"},
        {"{\"rate\":5}", "peer.json: rate: 5 is neither 0 (no limit) nor within 1024 and "
                         "1099511627776 bytes per second"},
        {"{\"rate\":1.5}", "peer.json: rate: must be a rate, not a number"},
        {"{\"auth_enabled\":1}", "peer.json: auth_enabled: must be a boolean, not a number"},
        {"{\"auth_enabled\":\"no\"}", "peer.json: auth_enabled: must be a boolean, not a string"},
        {"{\"peer_urls\":\"a\"}", "peer.json: peer_urls: must be a list of strings, not a string"},
        {"{\"peer_urls\":[\"a\",2]}",
         "peer.json: peer_urls: must be a list of strings, not a number"},
        {"{\"peer_urls\":[\"a\",\"xy\"]}", "peer.json: peer_urls: 'xy' holds an x"},
        {"{\"mode\":\"xy\"}", "peer.json: mode: 'xy' holds an x"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct settings settings = {0};
        struct error error = {0};
        config_init(&table, &settings);
        check_row(i, read_text(&settings, rows[i][0], &error) == ERROR_INVALID);
        assert_string_equal(error.text, rows[i][1]);
        config_done(&table, &settings);
    }
}

static void null_leaves_a_key_as_it_was(void **state)
{
    struct settings settings = {0};

    (void)state;
    config_init(&table, &settings);
    assert_int_equal(read_text(&settings, "{\"peer_name\":\"P\",\"port\":5}", NULL), ERROR_NONE);
    assert_int_equal(
        read_text(&settings, "{\"peer_name\":null,\"port\":null,\"auth_enabled\":null}", NULL),
        ERROR_NONE);
    assert_string_equal(settings.peer_name, "P");
    assert_int_equal(settings.port, 5);
    config_done(&table, &settings);
}

static void unknown_keys_are_reported_only(void **state)
{
    struct settings settings = {0};

    (void)state;
    config_init(&table, &settings);
    unknown_seen[0] = '\0';
    assert_int_equal(read_text(&settings, "{\"new\":{},\"port\":1,\"Port\":2}", NULL), ERROR_NONE);
    assert_string_equal(unknown_seen, "peer.json:new;peer.json:Port;");
    assert_int_equal(settings.port, 1);
    config_done(&table, &settings);
}

static void missing_keys_are_named(void **state)
{
    static const char *const rows[][2] = {
        {"{}", "peer.json: peer_name: missing"},
        {"{\"peer_name\":\"\",\"port\":1}", "peer.json: peer_name: missing"},
        {"{\"peer_name\":null,\"port\":1}", "peer.json: peer_name: missing"},
        {"{\"peer_name\":\"a\"}", "peer.json: port: missing"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct settings settings = {0};
        struct error error = {0};
        config_init(&table, &settings);
        check_row(i, read_text(&settings, rows[i][0], NULL) == ERROR_NONE);
        check_row(i, config_check(&table, &settings, "peer.json", &error) == ERROR_INVALID);
        assert_string_equal(error.text, rows[i][1]);
        config_done(&table, &settings);
    }
}

static void a_file_on_disk(void **state)
{
    struct settings settings = {0};
    struct error error = {0};
    char folder[UNIT_PATH_BYTES];
    char path[UNIT_PATH_BYTES];
    static char huge[CONFIG_FILE_MAX_BYTES + 1];

    (void)state;
    unit_path(unit_folder_make(folder), "peer.json", path);
    config_init(&table, &settings);
    assert_int_equal(config_read_file(&table, &settings, path, unknown, &error), ERROR_NOT_FOUND);
    assert_non_null(strstr(error.text, path));
    unit_file_write(path, "{\"port\":9}", 10);
    assert_int_equal(config_read_file(&table, &settings, path, unknown, NULL), ERROR_NONE);
    assert_int_equal(settings.port, 9);
    unit_file_write(path, "{\"port\":-9}", 11);
    assert_int_equal(config_read_file(&table, &settings, path, unknown, &error), ERROR_INVALID);
    assert_non_null(strstr(error.text, "peer.json: port: -9 is not within"));
    memset(huge, ' ', sizeof huge);
    unit_file_write(path, huge, sizeof huge);
    assert_int_equal(config_read_file(&table, &settings, path, unknown, NULL), ERROR_TOO_LARGE);
    config_done(&table, &settings);
    unit_folder_remove(folder);
}

static void the_environment(void **state)
{
    struct settings settings = {0};
    struct error error = {0};

    (void)state;
    config_init(&table, &settings);
    setenv("UNIT_PEER_NAME", "Peer2", 1);
    setenv("UNIT_PORT", "8002", 1);
    setenv("UNIT_AUTH_ENABLED", "0", 1);
    setenv("UNIT_PEER_URLS", "a,,b,", 1);
    assert_int_equal(config_read_environment(&table, &settings, "UNIT_", NULL), ERROR_NONE);
    assert_string_equal(settings.peer_name, "Peer2");
    assert_int_equal(settings.port, 8002);
    assert_false(settings.auth_enabled);
    assert_int_equal(settings.peer_urls.count, 2);
    assert_string_equal(settings.peer_urls.items[1], "b");
    assert_string_equal(settings.mode, "fast");
    setenv("UNIT_PORT", "many", 1);
    assert_int_equal(config_read_environment(&table, &settings, "UNIT_", &error), ERROR_INVALID);
    assert_string_equal(error.text, "UNIT_PORT: 'many' is not a whole number");
    unsetenv("UNIT_PORT");
    setenv("UNIT_AUTH_ENABLED", "maybe", 1);
    assert_int_equal(config_read_environment(&table, &settings, "UNIT_", &error), ERROR_INVALID);
    assert_string_equal(error.text, "UNIT_AUTH_ENABLED: 'maybe' is not true or false");
    config_done(&table, &settings);
}

static void flags(void **state)
{
    static const char *const bad[][3] = {
        {"port", "70000", "--port: 70000 is not within 0 to 65535"},
        {"port", "", "--port: '' is not a whole number"},
        {"port", "99999999999999999999", "--port: '99999999999999999999' is not a whole number"},
        {"mode", "x", "--port: 'x' holds an x"},
        {"peer_urls", "a,x", "--port: 'x' holds an x"},
    };
    struct settings settings = {0};
    struct error error = {0};

    (void)state;
    config_init(&table, &settings);
    assert_string_equal(config_find_flag(&table, "auth-enabled")->name, "auth_enabled");
    assert_null(config_find_flag(&table, "nothing"));
    assert_int_equal(config_set(&table, &settings, "--mode", "mode", "slow", NULL), ERROR_NONE);
    assert_string_equal(settings.mode, "slow");
    assert_int_equal(config_set(&table, &settings, "--a", "nothing", "1", &error), ERROR_NOT_FOUND);
    assert_string_equal(error.text, "--a: unknown key 'nothing'");
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        check_row(i, config_set(&table, &settings, "--port", bad[i][0], bad[i][1], &error) ==
                         ERROR_INVALID);
        assert_string_equal(error.text, bad[i][2]);
    }
    assert_string_equal(settings.mode, "slow"); /* what was refused changed nothing */
    config_done(&table, &settings);
}

static void help_text(void **state)
{
    auto_buffer out;

    (void)state;
    buffer_init(&out, 4096);
    config_describe(&table, &out);
    assert_non_null(strstr(out.data, "  --peer-name NAME         name in the network\n"));
    assert_non_null(strstr(out.data, "  --limit N                how many (default 7)\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(presets),
        cmocka_unit_test(a_file_sets_all_types),
        cmocka_unit_test(wrong_files_say_where),
        cmocka_unit_test(null_leaves_a_key_as_it_was),
        cmocka_unit_test(unknown_keys_are_reported_only),
        cmocka_unit_test(missing_keys_are_named),
        cmocka_unit_test(a_file_on_disk),
        cmocka_unit_test(the_environment),
        cmocka_unit_test(flags),
        cmocka_unit_test(help_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
