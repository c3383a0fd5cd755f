#include "unit.h"

#include "common/buffer.h"
#include "peer/network/directory_replies.h"

#define BIG "0123456789012345678901234567890123456789012345678901234567890123456789"

static void reads_login_replies(void **state)
{
    static const struct {
        const char *text;
        bool good;
        const char *token;
        bool tells_expiry;
        int64_t expiry_ms, heartbeat_ms;
    } rows[] = {
        {"{\"status\":\"OK\",\"token\":\"123abc\"}", true, "123abc", false, 30000, 10000},
        {"{\"status\":\"OK\",\"token\":\"t\",\"expiry_s\":60,\"heartbeat_s\":20}", true, "t", true,
         60000, 20000},
        {"{\"status\":\"OK\",\"token\":\"t\",\"expiry_s\":9}", true, "t", true, 9000, 3000},
        {"{\"status\":\"OK\"}", true, "", false, 30000, 10000},
        {"{\"status\":\"OK\",\"token\":7,\"more\":[{}]}", true, "", false, 30000, 10000},
        /* Values of no sense count as not there. */
        {"{\"status\":\"OK\",\"token\":\"t\",\"expiry_s\":0}", true, "t", false, 30000, 10000},
        {"{\"status\":\"OK\",\"token\":\"t\",\"expiry_s\":-5}", true, "t", false, 30000, 10000},
        {"{\"status\":\"OK\",\"token\":\"t\",\"expiry_s\":99999999999}", true, "t", false, 30000,
         10000},
        {"{\"status\":\"OK\",\"token\":\"t\",\"expiry_s\":\"9\"}", true, "t", false, 30000, 10000},
        {"{\"status\":\"OK\",\"token\":\"t\",\"expiry_s\":9,\"heartbeat_s\":9}", true, "t", true,
         9000, 3000},
        {"{\"status\":\"OK\",\"token\":\"" BIG BIG "\"}", true, "", false, 30000, 10000},
        {"{\"status\":\"NO\",\"token\":\"t\"}", false, "", false, 0, 0},
        {"{\"token\":\"t\"}", false, "", false, 0, 0},
        {"[\"OK\"]", false, "", false, 0, 0},
        {"\"OK\"", false, "", false, 0, 0},
        {"<html>OK</html>", false, "", false, 0, 0},
        {"{\"status\":\"OK\"", false, "", false, 0, 0},
        {"", false, "", false, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct directory_session session;
        struct error error = {0};
        enum error_code code =
            directory_parse_login(rows[i].text, strlen(rows[i].text), &session, &error);
        check_row(i, code == (rows[i].good ? ERROR_NONE : ERROR_CORRUPT));
        if (code)
            continue;
        check_row(i, strcmp(session.token, rows[i].token) == 0);
        check_row(i, session.tells_expiry == rows[i].tells_expiry);
        check_row(i, session.expiry_ms == rows[i].expiry_ms);
        check_row(i, session.heartbeat_ms == rows[i].heartbeat_ms);
    }
}

static void reads_where_the_other_one_is(void **state)
{
    static const struct {
        const char *value;
        const char *address;
    } rows[] = {
        {"\"10.0.0.7\"", "10.0.0.7"},
        {"\"2001:db8::7\"", "2001:db8::7"},
        {"\"\\u001b[1m\"", ""},
        {"7", ""},
        {"null", ""},
        {"\"" BIG "\"", ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct directory_session session;
        char text[256];
        int length =
            snprintf(text, sizeof text, "{\"status\":\"OK\",\"other_address\":%s}", rows[i].value);
        check_row(i, !directory_parse_login(text, (size_t)length, &session, NULL));
        check_row(i, strcmp(session.other_address, rows[i].address) == 0);
    }
}

static void reads_answers_for_many_names(void **state)
{
    static const struct file_name names[] = {{"b"}, {"a"}, {"b"}, {"c"}};
    static const struct {
        const char *text;
        bool good;
        size_t counts[4];
    } rows[] = {
        {"{\"archivos\":[]}", true, {0}},
        {"{\"archivos\":[{\"archivo\":\"b\",\"disponible_en\":[{\"peer\":\"P\"},{\"peer\":\"Q\"}]},"
         "{\"archivo\":\"c\",\"disponible_en\":[],\"truncated\":true}]}",
         true,
         {2, 0, 2, 0}},
        /* Not asked for; twice; malformed. */
        {"{\"archivos\":[{\"archivo\":\"d\",\"disponible_en\":[{\"peer\":\"P\"}]},7,null,{},[],"
         "{\"archivo\":\"a\",\"disponible_en\":[7,{\"peer\":7}]},"
         "{\"archivo\":\"a\",\"disponible_en\":[{\"peer\":\"P\"}]},"
         "{\"archivo\":\"a\",\"disponible_en\":[{\"peer\":\"P\"},{\"peer\":\"Q\"}]},"
         "{\"archivo\":\"c\",\"disponible_en\":{}},{\"archivo\":7,\"disponible_en\":[]}]}",
         true,
         {0, 1, 0, 0}},
        {"{}", false, {0}},
        {"[]", false, {0}},
        {"", false, {0}},
        {"{\"archivos\":{}}", false, {0}},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        const struct file_name *items[] = {&names[0], &names[1], &names[2], &names[3]};
        struct directory_sources sources[4] = {{0}};
        struct directory_answers answers = {.names = items, .count = 4, .sources = sources};
        enum error_code code =
            directory_parse_many(rows[i].text, strlen(rows[i].text), &answers, NULL);
        check_row(i, code == (rows[i].good ? ERROR_NONE : ERROR_CORRUPT));
        for (size_t k = 0; k < 4; k++) {
            check_row(i, sources[k].count == rows[i].counts[k]);
            directory_sources_done(&sources[k]);
        }
    }
}

static void reads_hits(void **state)
{
    static const char text[] =
        "{\"archivos\":[{\"archivo\":\"Canción.mp3\",\"size\":7,\"content\":\"0b3f\",\"peers\":12,"
        "\"disponible_en\":[{\"peer\":\"P\",\"url\":[\"h:1\"]},{\"x\":1}],\"truncated\":true},"
        "{\"archivo\":\"../x\",\"peers\":1,\"disponible_en\":[]},{\"archivo\":\"y\"},7,"
        "{\"archivo\":\"s/z\",\"size\":-1,\"peers\":-4,\"disponible_en\":[{\"peer\":\"Q\"}]}],"
        "\"cursor\":\"7.1\"}";
    static const char *const bad[] = {"", "{}", "[]", "{\"archivos\":{}}", "{\"archivos\":[}"};
    struct directory_hits hits;

    (void)state;
    assert_int_equal(directory_parse_hits(text, strlen(text), &hits, NULL), ERROR_NONE);
    assert_int_equal(hits.count, 2);
    assert_string_equal(hits.cursor, "7.1");
    assert_string_equal(hits.items[0].name.text, "Canción.mp3");
    assert_int_equal(hits.items[0].size_bytes, 7);
    assert_false(hits.items[0].has_content);
    assert_int_equal(hits.items[0].peers, 12);
    assert_int_equal(hits.items[0].sources.count, 1);
    assert_true(hits.items[0].truncated);
    assert_string_equal(hits.items[1].name.text, "s/z");
    assert_int_equal(hits.items[1].size_bytes, -1);
    assert_int_equal(hits.items[1].peers, 1);
    directory_hits_done(&hits);
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        check_row(i, directory_parse_hits(bad[i], strlen(bad[i]), &hits, NULL) == ERROR_CORRUPT);
        check_row(i, hits.count == 0 && !hits.items && !hits.cursor);
    }
}

static void reads_active_peers(void **state)
{
    struct directory_peers peers;
    const char *const text = "{\"peers\":[\"Peer3\",7,\"ñ\",null,\"Peer1\"]}";
    static const char *const bad[] = {"", "[]", "{}", "{\"peers\":\"Peer1\"}", "{\"peers\":[\"a\""};

    (void)state;
    assert_int_equal(directory_parse_peers(text, strlen(text), &peers, NULL), ERROR_NONE);
    assert_int_equal(peers.count, 3);
    assert_true(directory_peers_has(&peers, "Peer1"));
    assert_true(directory_peers_has(&peers, "ñ"));
    assert_false(directory_peers_has(&peers, "Peer2"));
    directory_peers_done(&peers);
    assert_false(directory_peers_has(&peers, "Peer1"));
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++)
        check_row(i, directory_parse_peers(bad[i], strlen(bad[i]), &peers, NULL) == ERROR_CORRUPT);
}

/* "Peer2=1.2.3.4:8002,[::1]:8003;Peer3=" */
static void describe(const struct directory_sources *sources, char *out, size_t size)
{
    size_t used = 0;

    out[0] = '\0';
    for (size_t i = 0; i < sources->count; i++) {
        const struct directory_source *source = &sources->items[i];
        used += (size_t)snprintf(out + used, size - used, "%s%s=", i ? ";" : "", source->peer);
        for (size_t a = 0; a < source->address_count; a++) {
            char text[ADDRESS_TEXT_BYTES];
            used += (size_t)snprintf(out + used, size - used, "%s%s", a ? "," : "",
                                     address_format(&source->addresses[a], text));
        }
    }
}

static void reads_search_replies(void **state)
{
    static const struct {
        const char *text;
        const char *expected; /* NULL: no search reply */
    } rows[] = {
        {"{\"archivo\":\"F\",\"disponible_en\":[{\"peer\":\"Peer2\",\"url\":[]}]}", "Peer2="},
        {"{\"archivo\":\"F\",\"disponible_en\":[{\"peer\":\"Peer2\",\"url\":[\"1.2.3.4:8002\","
         "\"[::1]:8003\",\"http://h.x:1/"
         "\"],\"size\":5},{\"url\":[\"5.6.7.8:1\"],\"peer\":\"P3\"}]}",
         "Peer2=1.2.3.4:8002,[::1]:8003,h.x:1;P3=5.6.7.8:1"},
        {"{\"disponible_en\":[]}", ""},
        /* Malformed entries and addresses are left out, the others stay. */
        {"{\"disponible_en\":[7,null,[],\"x\",{},{\"peer\":\"\"},{\"peer\":5,\"url\":[\"a:1\"]},"
         "{\"peer\":\"P\",\"url\":[1,null,\"\",\"nonsense\",\"a:0\",\"a:99999\",\"0.0.0.0:8001\","
         "\"a:b:1\",\"ok:1\",{}]},{\"peer\":\"Q\",\"url\":\"a:1\"},{\"peer\":\"R\"}]}",
         "P=ok:1;Q=;R="},
        {"{\"disponible_en\":{\"peer\":\"P\"}}", NULL},
        {"{\"archivo\":\"F\"}", NULL},
        {"[]", NULL},
        {"", NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct directory_sources sources;
        char text[1024];
        enum error_code code =
            directory_parse_search(rows[i].text, strlen(rows[i].text), &sources, NULL);
        check_row(i, code == (rows[i].expected ? ERROR_NONE : ERROR_CORRUPT));
        describe(&sources, text, sizeof text);
        if (rows[i].expected && strcmp(text, rows[i].expected) != 0)
            fail_msg("row %zu: %s", i, text);
        directory_sources_done(&sources);
    }
}

static void reads_sizes_and_ids(void **state)
{
#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    static const struct {
        const char *more;
        int64_t size_bytes;
        bool has_content;
    } rows[] = {
        {"", -1, false},
        {",\"size\":0", 0, false},
        {",\"size\":1234567890123,\"content\":\"" ID "\"", 1234567890123, true},
        {",\"content\":\"" ID "\"", -1, true},
        {",\"size\":-5,\"content\":\"" ID "0\"", -1, false},
        {",\"size\":\"5\",\"content\":7", -1, false},
        {",\"size\":1.5,\"content\":null", -1, false},
        {",\"size\":1e300,\"content\":[]", -1, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct directory_sources sources;
        char text[512];
        snprintf(text, sizeof text, "{\"disponible_en\":[{\"peer\":\"P\",\"url\":[]%s}]}",
                 rows[i].more);
        assert_int_equal(directory_parse_search(text, strlen(text), &sources, NULL), ERROR_NONE);
        check_row(i, sources.items[0].size_bytes == rows[i].size_bytes);
        check_row(i, sources.items[0].has_content == rows[i].has_content);
        check_row(i, !rows[i].has_content || sources.items[0].content.bytes[1] == 0x23);
        directory_sources_done(&sources);
    }
#undef ID
}

static void caps_the_addresses_of_a_peer(void **state)
{
    struct directory_sources sources;
    char text[4096] = "{\"disponible_en\":[{\"peer\":\"P\",\"url\":[\"h:1\"";

    (void)state;
    for (int i = 0; i < 100; i++)
        strcat(text, ",\"h:2\"");
    strcat(text, "]}]}");
    assert_int_equal(directory_parse_search(text, strlen(text), &sources, NULL), ERROR_NONE);
    assert_int_equal(sources.items[0].address_count, DIRECTORY_ADDRESSES_MAX);
    directory_sources_done(&sources);
}

static bool take_holder(void *context, const struct file_name *name,
                        struct directory_source *source)
{
    struct buffer *out = context;

    buffer_printf(out, "%s:%s:%zu ", source->peer, name->text, source->address_count);
    return strcmp(name->text, "enough") != 0;
}

static void finds_holders_of_a_content(void **state)
{
#define ID    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER "1123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    static const char *const peers_text = "{\"peers\":[\"P\",\"Q\"]}";
    static const char *const text =
        "{\"archivos\":["
        "{\"peer\":\"P\",\"filename\":\"a\",\"url\":[\"h:1\",\"h:2\"],\"content\":\"" ID "\"},"
        "{\"peer\":\"P\",\"filename\":\"b\",\"url\":[\"h:1\"],\"content\":\"" OTHER "\"},"
        "{\"peer\":\"P\",\"filename\":\"c\",\"url\":[\"h:1\"]},"
        "{\"peer\":\"P\",\"filename\":\"d\",\"content\":\"" ID "\",\"partial\":true},"
        "{\"peer\":\"R\",\"filename\":\"away\",\"content\":\"" ID "\"},"
        "{\"peer\":\"Q\",\"filename\":\"..\",\"content\":\"" ID "\"},"
        "{\"peer\":\"Q\",\"filename\":\"x/y\",\"url\":[],\"content\":\"" ID "\"},"
        "{\"peer\":\"Q\",\"filename\":\"enough\",\"content\":\"" ID "\"},"
        "{\"peer\":\"Q\",\"filename\":\"more\",\"content\":\"" ID "\"}]}";
    auto_buffer found;
    struct content_id content;
    struct directory_peers peers;

    (void)state;
    buffer_init(&found, 1000);
    assert_true(content_id_parse(ID, &content));
    assert_int_equal(directory_parse_peers(peers_text, strlen(peers_text), &peers, NULL),
                     ERROR_NONE);
    const struct directory_files_taker taker = {
        .folders = true, .content = &content, .take_holder = take_holder, .context = &found};
    struct directory_files_page page = {.taker = &taker, .peers = &peers};
    assert_int_equal(directory_parse_files(text, strlen(text), &page, NULL), ERROR_NONE);
    assert_string_equal(found.data, "P:a:2 Q:x/y:0 Q:enough:0 ");
    assert_true(page.enough);
    directory_peers_done(&peers);
#undef ID
#undef OTHER
}

static void reads_details(void **state)
{
    static const struct {
        const char *text;
        const char *expected;
    } rows[] = {
        {"{\"detail\":\"Usuario o contraseña incorrectos\"}", "Usuario o contraseña incorrectos"},
        {"{\"detail\":\"a\\u001b[2Jb\"}", "a?[2Jb"},
        {"{\"detail\":[{\"type\":\"missing\"}]}", ""},
        {"{\"other\":1}", ""},
        {"oops", ""},
        {"", ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char out[64];
        directory_parse_detail(rows[i].text, strlen(rows[i].text), out, sizeof out);
        check_row(i, strcmp(out, rows[i].expected) == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_login_replies),
        cmocka_unit_test(reads_where_the_other_one_is),
        cmocka_unit_test(reads_active_peers),
        cmocka_unit_test(reads_hits),
        cmocka_unit_test(reads_answers_for_many_names),
        cmocka_unit_test(reads_search_replies),
        cmocka_unit_test(reads_sizes_and_ids),
        cmocka_unit_test(caps_the_addresses_of_a_peer),
        cmocka_unit_test(reads_details),
        cmocka_unit_test(finds_holders_of_a_content),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
