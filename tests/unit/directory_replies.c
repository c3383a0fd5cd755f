#include "unit.h"

#include "directory/replies.h"
#include "directory/version.h"

static void check(struct http_reply *reply, unsigned status, const char *body)
{
    assert_false(reply->body.failed);
    assert_int_equal(reply->status, status);
    assert_string_equal(reply->body.data, body);
    buffer_done(&reply->body);
}

static void golden_replies(void **state)
{
    static const char *const names[] = {"username", "password"};
    static const struct file_content unknown = {.size_bytes = FILE_SIZE_UNKNOWN};
    struct http_reply reply;
    struct json_writer json;

    (void)state;
    reply_greeting(&reply);
    check(&reply, 200,
          "{\"mensaje\":\"Directorio P2P en funcionamiento\",\"version\":\"" P2P_VERSION "\"}");
    reply_detail(&reply, 404, TEXT_NOT_FOUND);
    check(&reply, 404, "{\"detail\":\"Not Found\"}");
    reply_method_not_allowed(&reply, "POST");
    assert_string_equal(reply.allow, "POST");
    check(&reply, 405, "{\"detail\":\"Method Not Allowed\"}");
    reply_missing(&reply, "query", names, 2);
    check(&reply, 422,
          "{\"detail\":[{\"type\":\"missing\",\"loc\":[\"query\",\"username\"],\"msg\":\"Field "
          "required\",\"input\":null},{\"type\":\"missing\",\"loc\":[\"query\",\"password\"],"
          "\"msg\":\"Field required\",\"input\":null}]}");
    reply_login(&reply, &(struct login_answer){.token = "abc", .expiry_s = 30});
    check(&reply, 200, "{\"status\":\"OK\",\"token\":\"abc\",\"expiry_s\":30,\"heartbeat_s\":10}");
    reply_login(&reply,
                &(struct login_answer){.token = "abc", .expiry_s = 2, .index_needed = true});
    check(&reply, 200, "{\"status\":\"OK\",\"token\":\"abc\",\"expiry_s\":2,\"heartbeat_s\":1}");
    reply_login(&reply, &(struct login_answer){.token = "abc",
                                               .expiry_s = 30,
                                               .folders = true,
                                               .says_index = true,
                                               .index_needed = true});
    check(&reply, 200,
          "{\"status\":\"OK\",\"token\":\"abc\",\"expiry_s\":30,\"heartbeat_s\":10,\"folders\":"
          "true,\"index_needed\":true}");
    reply_begin(&reply, 200);
    json_writer_init(&json, &reply.body);
    reply_search_name(&json, "ñ \"x\".txt");
    reply_search_add(&json, "Peer1", "[]", &unknown);
    reply_search_add(&json, "Peer2", "[\"1.2.3.4:8002\"]", &unknown);
    reply_search_end(&json, false);
    check(&reply, 200,
          "{\"archivo\":\"ñ \\\"x\\\".txt\",\"disponible_en\":[{\"peer\":\"Peer1\",\"url\":[]},"
          "{\"peer\":\"Peer2\",\"url\":[\"1.2.3.4:8002\"]}]}");
    reply_searches_begin(&reply, &json);
    reply_search_name(&json, "F");
    reply_search_add(&json, "Peer1", "[]", &unknown);
    reply_search_end(&json, false);
    reply_search_name(&json, "G");
    reply_search_end(&json, true);
    reply_searches_end(&json);
    check(&reply, 200,
          "{\"archivos\":[{\"archivo\":\"F\",\"disponible_en\":[{\"peer\":\"Peer1\",\"url\":[]}]},"
          "{\"archivo\":\"G\",\"disponible_en\":[],\"truncated\":true}]}");
    reply_search_nothing(&reply, "F", false);
    check(&reply, 404, "{\"detail\":\"Archivo 'F' no encontrado\"}");
    reply_search_nothing(&reply, "F", true);
    check(&reply, 404, "{\"detail\":\"Archivo 'F' encontrado pero los peers no están activos\"}");
    reply_begin(&reply, 200);
    json_writer_init(&json, &reply.body);
    reply_peers_begin(&json);
    reply_peers_end(&json, NULL);
    check(&reply, 200, "{\"peers\":[]}");
    reply_begin(&reply, 200);
    json_writer_init(&json, &reply.body);
    reply_peers_begin(&json);
    reply_peers_add(&json, "Peer1");
    reply_peers_add(&json, "Peer2");
    reply_peers_end(&json, "7");
    check(&reply, 200, "{\"peers\":[\"Peer1\",\"Peer2\"],\"cursor\":\"7\"}");
    reply_begin(&reply, 200);
    json_writer_init(&json, &reply.body);
    reply_files_begin(&json);
    reply_files_add(&json, "Peer1", "a.txt", "[]", &unknown);
    reply_files_add(&json, "Peer2", "b.txt", "[\"h:1\"]", &unknown);
    reply_files_end(&json, NULL);
    check(&reply, 200,
          "{\"archivos\":[{\"peer\":\"Peer1\",\"filename\":\"a.txt\",\"url\":[]},"
          "{\"peer\":\"Peer2\",\"filename\":\"b.txt\",\"url\":[\"h:1\"]}]}");
}

#define ID "0b3fd030637ec63bd6313b9915a1b02c9e8176ea69d1cfb0bb0fa830dbc6802f"

static void what_is_known_of_contents(void **state)
{
    struct content_id id;
    struct file_content rows[] = {{.size_bytes = FILE_SIZE_UNKNOWN},
                                  {.size_bytes = 0},
                                  {.size_bytes = FILE_SIZE_UNKNOWN, .id = &id},
                                  {.size_bytes = 3670016, .id = &id}};
    struct http_reply reply;
    struct json_writer json;

    (void)state;
    assert_true(content_id_parse(ID, &id));
    reply_begin(&reply, 200);
    json_writer_init(&json, &reply.body);
    reply_search_name(&json, "F");
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
        reply_search_add(&json, "P", "[]", &rows[i]);
    reply_search_end(&json, false);
    check(&reply, 200,
          "{\"archivo\":\"F\",\"disponible_en\":[{\"peer\":\"P\",\"url\":[]},"
          "{\"peer\":\"P\",\"url\":[],\"size\":0},"
          "{\"peer\":\"P\",\"url\":[],\"content\":\"" ID "\"},"
          "{\"peer\":\"P\",\"url\":[],\"size\":3670016,\"content\":\"" ID "\"}]}");
    reply_begin(&reply, 200);
    json_writer_init(&json, &reply.body);
    reply_files_begin(&json);
    reply_files_add(&json, "P", "F", "[]", &rows[3]);
    reply_files_end(&json, NULL);
    check(&reply, 200,
          "{\"archivos\":[{\"peer\":\"P\",\"filename\":\"F\",\"url\":[],\"size\":3670016,"
          "\"content\":\"" ID "\"}]}");
}

static void every_failure_has_a_status(void **state)
{
    static const struct {
        enum error_code code;
        unsigned status;
    } rows[] = {
        {ERROR_INVALID, 400}, {ERROR_DENIED, 401},    {ERROR_TOO_LARGE, 413}, {ERROR_NO_SPACE, 503},
        {ERROR_BUSY, 503},    {ERROR_CANCELLED, 503}, {ERROR_IO, 503},        {ERROR_CORRUPT, 503},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct error error = {0};
        struct http_reply reply;
        error_set(&error, rows[i].code, "why");
        reply_failure(&reply, rows[i].code, &error);
        check_row(i, reply.status == rows[i].status);
        check_row(i, strncmp(reply.body.data, "{\"detail\":\"", 11) == 0);
        buffer_done(&reply.body);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_replies),
        cmocka_unit_test(what_is_known_of_contents),
        cmocka_unit_test(every_failure_has_a_status),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
