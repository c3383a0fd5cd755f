#include "unit.h"

#include "common/address.h"

static void good_addresses(void **state)
{
    static const struct {
        const char *text;
        const char *host;
        unsigned port;
        const char *formatted;
    } rows[] = {
        {"127.0.0.1:8001", "127.0.0.1", 8001, "127.0.0.1:8001"},
        {"servidor:8000", "servidor", 8000, "servidor:8000"},
        {"a-b.example_1.org:1", "a-b.example_1.org", 1, "a-b.example_1.org:1"},
        {"http://172.28.0.3:8001", "172.28.0.3", 8001, "172.28.0.3:8001"},
        {"http://172.28.0.3:8001/", "172.28.0.3", 8001, "172.28.0.3:8001"},
        {"[::1]:65535", "::1", 65535, "[::1]:65535"},
        {"http://[fe80::1%eth0]:80/", "fe80::1%eth0", 80, "[fe80::1%eth0]:80"},
        {"0.0.0.0:8000", "0.0.0.0", 8000, "0.0.0.0:8000"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct address address;
        char text[ADDRESS_TEXT_BYTES];
        check_row(i, address_parse(rows[i].text, false, &address, NULL) == ERROR_NONE);
        check_row(i, strcmp(address.host, rows[i].host) == 0);
        check_row(i, address.port == rows[i].port);
        check_row(i, strcmp(address_format(&address, text), rows[i].formatted) == 0);
    }
}

static void bad_addresses(void **state)
{
    static const char *const rows[] = {
        "",
        ":",
        "host",
        "host:",
        ":80",
        "host:0",
        "host:-1",
        "host:65536",
        "host:80x",
        "host: 80",
        "host:+80",
        "host:123456789",
        "::1:80",
        "[::1]",
        "[::1:80",
        "::1]:80",
        "[]:80",
        "[host]:80",
        "[8%]:80",
        "a b:80",
        "a/b:80",
        "http://",
        "http://host",
        "http://:80",
        "https://h:80",
        "host:80/path",
        "ho\x1bst:80",
        "[::1]x:80",
        "ñ:80",
        "host:80//",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct address address;
        struct error error = {0};
        char expected[ERROR_TEXT_BYTES];
        check_row(i, address_parse(rows[i], false, &address, &error) == ERROR_INVALID);
        snprintf(expected, sizeof expected, "'%s' is not an address of the form host:port",
                 rows[i]);
        assert_string_equal(error.text, expected);
    }
}

static void port_0_only_where_allowed(void **state)
{
    struct address address;

    (void)state;
    assert_int_equal(address_parse("127.0.0.1:0", false, &address, NULL), ERROR_INVALID);
    assert_int_equal(address_parse("127.0.0.1:0", true, &address, NULL), ERROR_NONE);
    assert_int_equal(address.port, 0);
}

static void host_length_limit(void **state)
{
    char text[300];
    char formatted[ADDRESS_TEXT_BYTES];
    struct address address;

    (void)state;
    memset(text, 'h', sizeof text);
    strcpy(text + 253, ":65535");
    assert_int_equal(address_parse(text, false, &address, NULL), ERROR_NONE);
    assert_string_equal(address_format(&address, formatted), text);
    memset(text, 'h', sizeof text);
    strcpy(text + 254, ":65535");
    assert_int_equal(address_parse(text, false, &address, NULL), ERROR_INVALID);
}

static void wildcards(void **state)
{
    static const struct {
        const char *text;
        bool wildcard;
    } rows[] = {{"0.0.0.0:1", true}, {"[::]:1", true}, {"127.0.0.1:1", false}, {"[::1]:1", false}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct address address;
        check_row(i, address_parse(rows[i].text, false, &address, NULL) == ERROR_NONE);
        check_row(i, address_is_wildcard(&address) == rows[i].wildcard);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_addresses),
        cmocka_unit_test(bad_addresses),
        cmocka_unit_test(port_0_only_where_allowed),
        cmocka_unit_test(host_length_limit),
        cmocka_unit_test(wildcards),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
