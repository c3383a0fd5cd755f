#include "unit.h"

#include "peer/settings.h"

#include <sys/stat.h>

/* As the reference's peers have it. */
#define REFERENCE                                                                            \
    "{\"peer_name\":\"Peer1\",\"ip\":\"172.28.0.3\",\"port\":8001,\"directory\":\"/data\","  \
    "\"api_url\":\"http://172.28.0.2:8000/login\","                                          \
    "\"api_search_url\":\"http://172.28.0.2:8000/buscar_archivos\",\"password\":\"sd1234\"," \
    "\"auth_enabled\":true,\"peer_urls\":[\"http://172.28.0.4:8002\"],"                      \
    "\"grpc_urls\":[\"172.28.0.3:8001\",\"http://172.28.0.4:8002\"],"                        \
    "\"peer_amigo_titular\":\"http://172.28.0.4:8002\","                                     \
    "\"peer_amigo_suplente\":\"http://172.28.0.5:8003\"}"

/* A good minimum with something more, or something else: of equal keys the last one counts. */
#define WITH(more)                                                                           \
    "{\"peer_name\":\"P\",\"ip\":\"127.0.0.1\",\"port\":1,\"directory\":\"d\",\"password\":" \
    "\"p\",\"api_url\":\"http://h/login\",\"api_search_url\":\"http://h/search\"" more "}"

static enum error_code parse(const char *text, struct settings *settings, struct error *error)
{
    return settings_parse("peer.json", text, strlen(text), NULL, settings, error);
}

static void takes_a_reference_file(void **state)
{
    struct settings settings;
    struct address *addresses;
    size_t count;
    char text[ADDRESS_TEXT_BYTES];

    (void)state;
    assert_int_equal(parse(REFERENCE, &settings, NULL), ERROR_NONE);
    assert_string_equal(settings.peer_name, "Peer1");
    assert_string_equal(settings.directory, "/data");
    assert_string_equal(settings.api_url.items[0], "http://172.28.0.2:8000/login");
    assert_string_equal(settings.password, "sd1234");
    assert_true(settings.auth_enabled);
    assert_int_equal(settings.log_level, LOG_INFO);
    assert_string_equal(settings_listen_address(&settings, text), "172.28.0.3:8001");
    assert_string_equal(settings_advertise_address(&settings, 8001, text), "172.28.0.3:8001");
    addresses = settings_grpc_addresses(&settings, &count);
    assert_int_equal(count, 2);
    assert_string_equal(address_format(&addresses[1], text), "172.28.0.4:8002");
    free(addresses);
    settings_done(&settings);
}

static void names_file_and_key(void **state)
{
    static const struct {
        const char *text;
        const char *message; /* a part of it */
    } rows[] = {
        {"{}", "peer.json: peer_name: missing"},
        {"{\"peer_name\":\"P\"}", "peer.json: port: missing"},
        {"nonsense", "peer.json: "},
        {"[]", "peer.json: must be a JSON object"},
        {WITH(",\"port\":\"8001\""), "peer.json: port: must be a whole number, not a string"},
        {WITH(",\"port\":65536"), "peer.json: port: 65536 is not within 0 to 65535"},
        {WITH(",\"port\":-1"), "peer.json: port: -1 is not"},
        {WITH(",\"peer_name\":\"\""), "peer.json: peer_name: missing"},
        {WITH(",\"peer_name\":\"a\\nb\""), "peer.json: peer_name: "},
        {WITH(",\"ip\":\"http://x\""), "peer.json: ip: "},
        {WITH(",\"ip\":\"a b\""), "peer.json: ip: "},
        {WITH(",\"api_url\":\"ftp://h/login\""), "peer.json: api_url: "},
        {WITH(",\"api_search_url\":\"h:8000\""), "peer.json: api_search_url: "},
        {WITH(",\"api_url\":{}"), "peer.json: api_url: must be a string or a list of strings"},
        {WITH(",\"api_url\":[]"), "peer.json: api_url: missing"},
        {WITH(",\"api_url\":[\"http://h/login\",1]"), "peer.json: api_url: must be a list"},
        {WITH(",\"api_url\":[\"http://h/login\",\"h\"]"), "peer.json: api_url: 'h' is not"},
        {WITH(",\"api_url\":[\"http://h/login\",\"http://i/login\"]"),
         "peer.json: api_search_url: 1 of them, but api_url has 2: one for each"},
        {WITH(",\"api_url\":[\"http://1\",\"http://2\",\"http://3\",\"http://4\",\"http://5\","
              "\"http://6\",\"http://7\",\"http://8\",\"http://9\"]"),
         "peer.json: api_url: more than 8"},
        {WITH(",\"auth_enabled\":\"yes\""), "peer.json: auth_enabled: must be a boolean"},
        {WITH(",\"grpc_urls\":[\"nonsense\"]"), "peer.json: grpc_urls: "},
        {WITH(",\"grpc_urls\":\"a:1\""), "peer.json: grpc_urls: must be a list"},
        {WITH(",\"peer_urls\":[1]"), "peer.json: peer_urls: "},
        {WITH(",\"grpc_advertise\":\"host\""), "peer.json: grpc_advertise: "},
        {WITH(",\"upload_limit\":\"2MB\""), "peer.json: upload_limit: '2MB'"},
        {WITH(",\"download_limit\":5"), "peer.json: download_limit: 5 is neither"},
        {WITH(",\"upload_limit_per_peer\":true"),
         "peer.json: upload_limit_per_peer: must be a rate"},
        {WITH(",\"upload_slots\":0"), "peer.json: upload_slots: 0 is not within 1"},
        {WITH(",\"log_level\":\"loud\""), "peer.json: log_level: 'loud'"},
        {WITH(",\"peer_amigo_titular\":\"x\""), "peer.json: peer_amigo_titular: "},
        {WITH(",\"control_socket\":\"/123456789/123456789/123456789/123456789/123456789/"
              "123456789/123456789/123456789/123456789/123456789/12345678\""),
         "peer.json: control_socket: "},
        {"{\"peer_name\":\"P\",\"port\":1,\"directory\":\"d\",\"api_url\":\"http://h\","
         "\"api_search_url\":\"http://h\"}",
         "peer.json: password: missing"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct settings settings;
        struct error error = {0};
        check_row(i, parse(rows[i].text, &settings, &error) == ERROR_INVALID);
        if (!strstr(error.text, rows[i].message))
            fail_msg("row %zu: %s", i, error.text);
        check_row(i, !strchr(error.text, '\n'));
        settings_done(&settings); /* empty: harmless */
    }
}

static void makes_do_without_what_is_optional(void **state)
{
    struct settings settings;
    char text[ADDRESS_TEXT_BYTES];
    size_t count;

    (void)state;
    assert_int_equal(
        parse("{\"peer_name\":\"P\",\"port\":0,\"directory\":\"d\",\"auth_enabled\":false,"
              "\"api_url\":\"https://h\",\"api_search_url\":\"http://h\",\"password\":\"\","
              "\"peer_amigo_titular\":\"\",\"grpc_urls\":[]}",
              &settings, NULL),
        ERROR_NONE);
    assert_false(settings.auth_enabled);
    assert_string_equal(settings_listen_address(&settings, text), "0.0.0.0:0");
    assert_string_equal(settings_advertise_address(&settings, 1234, text), "0.0.0.0:1234");
    assert_null(settings_grpc_addresses(&settings, &count));
    assert_int_equal(count, 0);
    settings_done(&settings);
}

static void takes_limits(void **state)
{
    struct settings settings;

    (void)state;
    assert_int_equal(parse(WITH(""), &settings, NULL), ERROR_NONE);
    assert_int_equal(settings.upload_limit, 0);
    assert_int_equal(settings.download_limit_per_peer, 0);
    assert_int_equal(settings.upload_slots, 16);
    settings_done(&settings);
    assert_int_equal(parse(WITH(",\"upload_limit\":\"2 MiB/s\",\"download_limit\":5000,"
                                "\"upload_limit_per_peer\":0,\"download_limit_per_peer\":\"1k\","
                                "\"upload_slots\":3"),
                           &settings, NULL),
                     ERROR_NONE);
    assert_int_equal(settings.upload_limit, 2 << 20);
    assert_int_equal(settings.download_limit, 5000);
    assert_int_equal(settings.upload_limit_per_peer, 0);
    assert_int_equal(settings.download_limit_per_peer, 1024);
    assert_int_equal(settings.upload_slots, 3);
    settings_done(&settings);
}

static void needs_a_directory_or_a_friend(void **state)
{
    static const struct {
        const char *text;
        const char *message; /* NULL: it will do */
    } rows[] = {
        {"\"peer_amigo_titular\":\"http://172.28.0.4:8002\"", NULL},
        {"\"peer_amigo_suplente\":\"172.28.0.4:8002\",\"api_url\":[]", NULL},
        {"\"peer_amigo_titular\":\"\"", "peer.json: api_url: missing"},
        {"\"peer_amigo_titular\":\"h:1\",\"api_search_url\":\"http://h/s\"",
         "peer.json: api_url: missing"},
        {"\"peer_amigo_titular\":\"h:1\",\"api_url\":\"http://h/login\",\"password\":\"p\"",
         "peer.json: api_search_url: missing"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct settings settings;
        struct error error = {0};
        char text[512];
        snprintf(text, sizeof text, "{\"peer_name\":\"P\",\"port\":1,\"directory\":\"d\",%s}",
                 rows[i].text);
        enum error_code code = parse(text, &settings, &error);
        check_row(i, code == (rows[i].message ? ERROR_INVALID : ERROR_NONE));
        if (rows[i].message)
            assert_string_equal(error.text, rows[i].message);
        settings_done(&settings);
    }
}

static void takes_lists_of_directories(void **state)
{
    struct settings settings;

    (void)state;
    assert_int_equal(parse("{\"peer_name\":\"P\",\"port\":1,\"directory\":\"d\",\"password\":\"p\","
                           "\"api_url\":[\"http://h/login\",\"https://i/login\"],"
                           "\"api_search_url\":[\"http://h/s\",\"https://i/s\"]}",
                           &settings, NULL),
                     ERROR_NONE);
    assert_int_equal(settings.api_url.count, 2);
    assert_string_equal(settings.api_search_url.items[1], "https://i/s");
    settings_done(&settings);
}

static void advertises(void **state)
{
    static const struct {
        const char *text;
        const char *expected; /* when port 7 was taken */
    } rows[] = {
        {WITH(""), "127.0.0.1:7"},
        {WITH(",\"ip\":\"::1\""), "[::1]:7"},
        {WITH(",\"ip\":\"0.0.0.0\""), "0.0.0.0:7"},
        {WITH(",\"grpc_advertise\":\"p.example:9000\""), "p.example:9000"},
        {WITH(",\"grpc_advertise\":\"p.example:0\""), "p.example:7"},
        {WITH(",\"grpc_advertise\":\"[2001:db8::1]:0\""), "[2001:db8::1]:7"},
        {WITH(",\"grpc_advertise\":\"\""), "127.0.0.1:7"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct settings settings;
        char text[ADDRESS_TEXT_BYTES];
        check_row(i, parse(rows[i].text, &settings, NULL) == ERROR_NONE);
        settings_advertise_address(&settings, 7, text);
        if (strcmp(text, rows[i].expected) != 0)
            fail_msg("row %zu: %s", i, text);
        settings_done(&settings);
    }
}

static void keeps_peers_of_one_host_apart(void **state)
{
    struct settings first;
    struct settings second;

    (void)state;
    assert_int_equal(parse(WITH(",\"peer_name\":\"../a\""), &first, NULL), ERROR_NONE);
    assert_int_equal(parse(WITH(",\"peer_name\":\"b\""), &second, NULL), ERROR_NONE);
    assert_string_not_equal(first.state_directory, second.state_directory);
    assert_string_not_equal(first.control_socket, second.control_socket);
    assert_null(strstr(first.state_directory, ".."));
    assert_memory_equal(first.control_socket, first.state_directory, strlen(first.state_directory));
    settings_done(&first);
    settings_done(&second);
    assert_int_equal(
        parse(WITH(",\"state_directory\":\"/s\",\"control_socket\":\"/c\""), &first, NULL),
        ERROR_NONE);
    assert_string_equal(first.state_directory, "/s");
    assert_string_equal(first.control_socket, "/c");
    settings_done(&first);
}

static char unknown_key[64];

static void note_unknown(const char *source, const char *key)
{
    assert_string_equal(source, "peer.json");
    snprintf(unknown_key, sizeof unknown_key, "%s", key);
}

static void warns_of_unknown_keys(void **state)
{
    const char *text = WITH(",\"mistery\":{}");
    struct settings settings;

    (void)state;
    assert_int_equal(settings_parse("peer.json", text, strlen(text), note_unknown, &settings, NULL),
                     ERROR_NONE);
    assert_string_equal(unknown_key, "mistery");
    settings_done(&settings);
}

static void finds_the_file(void **state)
{
    char folder[UNIT_PATH_BYTES];
    char path[UNIT_PATH_BYTES];
    struct settings settings;
    struct error error = {0};

    (void)state;
    unit_path(unit_folder_make(folder), "own.json", path);
    unit_file_write(path, REFERENCE, strlen(REFERENCE));
    assert_int_equal(settings_load(path, NULL, &settings, NULL), ERROR_NONE);
    assert_string_equal(settings.source, path);
    settings_done(&settings);
    setenv(SETTINGS_VARIABLE, path, 1);
    assert_int_equal(settings_load(NULL, NULL, &settings, NULL), ERROR_NONE);
    settings_done(&settings);
    unlink(path);
    assert_int_equal(settings_load(NULL, NULL, &settings, &error), ERROR_NOT_FOUND);
    assert_non_null(strstr(error.text, path));
    settings_done(&settings);
    unit_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_a_reference_file),
        cmocka_unit_test(names_file_and_key),
        cmocka_unit_test(makes_do_without_what_is_optional),
        cmocka_unit_test(takes_limits),
        cmocka_unit_test(needs_a_directory_or_a_friend),
        cmocka_unit_test(takes_lists_of_directories),
        cmocka_unit_test(advertises),
        cmocka_unit_test(keeps_peers_of_one_host_apart),
        cmocka_unit_test(warns_of_unknown_keys),
        cmocka_unit_test(finds_the_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
