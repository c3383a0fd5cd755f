#include "unit.h"

#include "common/clock.h"
#include "common/memory.h"
#include "http_stub.h"
#include "peer/network/directory_client.h"

#include <pthread.h>
#include <stdatomic.h>

#define OURS      "{\"status\":\"OK\",\"token\":\"t\",\"expiry_s\":30,\"heartbeat_s\":10}"
#define REFERENCE "{\"status\":\"OK\",\"token\":\"123abc\"}"
#define MISSING   "{\"detail\":[{\"type\":\"missing\",\"loc\":[\"query\",\"username\"]}]}"

/* What the stub answers. */
struct fixture {
    struct http_stub *stub;
    struct stop_event *stop;
    struct directory_client *client;
    atomic_bool is_reference;
    atomic_int status; /* not 0: this and body, whatever is asked */
    const char *_Atomic body;
};

static void answer(void *context, const struct http_stub_request *request, int *status, char *body,
                   size_t body_size)
{
    struct fixture *fixture = context;
    bool has_query = strstr(request->head, "?username=") != NULL;

    if (fixture->status) {
        *status = fixture->status > 0 ? fixture->status : 0;
        snprintf(body, body_size, "%s", fixture->body);
    } else if (fixture->is_reference && !has_query) {
        *status = 422;
        snprintf(body, body_size, MISSING);
    } else {
        snprintf(body, body_size, "%s", fixture->is_reference ? REFERENCE : OURS);
    }
}

static int set_up(void **state)
{
    struct fixture *fixture = memory_new(1, sizeof *fixture);

    fixture->stub = http_stub_start(answer, fixture);
    fixture->stop = stop_event_new();
    auto_free char *login = memory_format("%s/login", http_stub_url(fixture->stub));
    auto_free char *search = memory_format("%s/buscar_archivos", http_stub_url(fixture->stub));
    fixture->client = directory_client_new(&(struct directory_client_options){
        .login_url = login, .search_url = search, .stop = fixture->stop});
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    directory_client_free(fixture->client);
    stop_event_free(fixture->stop);
    http_stub_stop(fixture->stub);
    free(fixture);
    return 0;
}

static struct share_list make_list(size_t count)
{
    struct share_list list = {.count = 0};
    char name[32];

    for (size_t i = 0; i < count; i++) {
        snprintf(name, sizeof name, "file %zu.txt", i);
        share_list_add(&list, &(struct share_file){.name = name});
    }
    return list;
}

static enum error_code log_in(struct fixture *fixture, const struct share_list *files,
                              struct directory_session *session, struct error *error)
{
    struct directory_login login = {.username = "Peer1",
                                    .password = "secret pass",
                                    .advertise = "1.2.3.4:8001",
                                    .files = files};

    return directory_login(fixture->client, &login, session, error);
}

static bool begins_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static void logs_in_to_ours_with_a_body(void **state)
{
    struct fixture *fixture = *state;
    struct share_list files = make_list(2);
    struct directory_session session;
    const struct http_stub_request *request;

    assert_int_equal(log_in(fixture, NULL, &session, NULL), ERROR_NONE);
    assert_string_equal(session.token, "t");
    assert_int_equal(session.heartbeat_ms, 10000);
    assert_int_equal(log_in(fixture, &files, &session, NULL), ERROR_NONE);
    assert_int_equal(http_stub_wait(fixture->stub, 2), 2);
    request = http_stub_request(fixture->stub, 0);
    assert_true(begins_with(request->head, "POST /login HTTP/1.1\r\n"));
    assert_non_null(strstr(request->head, "Content-Type: application/x-www-form-urlencoded"));
    assert_string_equal(request->body, "username=Peer1&password=secret%20pass&folders=1");
    request = http_stub_request(fixture->stub, 1);
    assert_non_null(strstr(request->body, "&files_index=%5B%7B%22filename%22%3A%22file%200.txt"));
    assert_int_equal(request->connection, 1); /* the connection was kept */
    share_list_done(&files);
}

static void tells_the_reference_from_ours(void **state)
{
    struct fixture *fixture = *state;
    struct directory_session session;

    fixture->is_reference = true;
    assert_int_equal(log_in(fixture, NULL, &session, NULL), ERROR_NONE);
    assert_string_equal(session.token, "123abc");
    assert_int_equal(session.heartbeat_ms, 10000);
    assert_int_equal(log_in(fixture, NULL, &session, NULL), ERROR_NONE);
    assert_int_equal(http_stub_wait(fixture->stub, 3), 3); /* body, query, and query from then on */
    for (size_t i = 1; i < 3; i++) {
        const struct http_stub_request *request = http_stub_request(fixture->stub, i);
        check_row(i, begins_with(request->head,
                                 "POST /login?username=Peer1&password=secret%20pass HTTP/1.1"));
        check_row(i, request->body[0] == '\0');
    }
    /* Ours in its place takes the query too, but must not get an index in parts. */
    fixture->is_reference = false;
    struct share_list files = make_list(2000);
    assert_int_equal(log_in(fixture, &files, &session, NULL), ERROR_NONE);
    assert_int_equal(http_stub_wait(fixture->stub, 5), 5);
    assert_non_null(strstr(http_stub_request(fixture->stub, 4)->body, "file%201999.txt"));
    share_list_done(&files);
}

static void sends_a_long_index_to_the_reference_in_parts(void **state)
{
    struct fixture *fixture = *state;
    struct share_list files = make_list(2000);
    struct directory_session session;
    size_t entries = 0;

    fixture->is_reference = true;
    assert_int_equal(log_in(fixture, &files, &session, NULL), ERROR_NONE);
    size_t count = http_stub_wait(fixture->stub, 1);
    assert_in_range(count, 3, 10);
    for (size_t i = 1; i < count; i++) {
        const char *head = http_stub_request(fixture->stub, i)->head;
        check_row(i, strstr(head, " HTTP/1.1") - head < 60100);
        for (const char *at = head; (at = strstr(at, "filename")); at++)
            entries++;
    }
    assert_int_equal(entries, 2000);
    share_list_done(&files);
}

static void tells_failures_apart(void **state)
{
    static const struct {
        int status;
        const char *body;
        enum error_code code;
        const char *text;
    } rows[] = {
        {401, "{\"detail\":\"Usuario o contraseña incorrectos\"}", ERROR_DENIED,
         "Usuario o contraseña incorrectos"},
        {400, "{\"detail\":\"Formato inválido en files_index\"}", ERROR_INVALID,
         "Formato inválido en files_index"},
        {413, "", ERROR_TOO_LARGE, "El directorio respondió HTTP 413"},
        {503, "<html>busy</html>", ERROR_BUSY, "El directorio respondió HTTP 503"},
        {500, "Internal Server Error", ERROR_UNSUPPORTED, "El directorio respondió HTTP 500"},
        {307, "", ERROR_UNSUPPORTED, "El directorio respondió HTTP 307"},
        {404, "{\"detail\":\"Not Found\"}", ERROR_NOT_FOUND, "Not Found"},
        {200, "hello", ERROR_CORRUPT, "La respuesta del directorio no se entiende"},
    };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct directory_session session;
        struct error error = {0};
        fixture->status = rows[i].status;
        fixture->body = rows[i].body;
        check_row(i, log_in(fixture, NULL, &session, &error) == rows[i].code);
        if (strcmp(error.text, rows[i].text) != 0)
            fail_msg("row %zu: %s", i, error.text);
    }
    assert_int_equal(http_stub_wait(fixture->stub, 8), 8); /* nothing followed the redirect */
}

static void ends_when_neither_way_works(void **state)
{
    struct fixture *fixture = *state;
    struct directory_session session;

    fixture->status = 422;
    fixture->body = MISSING;
    assert_int_equal(log_in(fixture, NULL, &session, NULL), ERROR_INVALID);
    assert_int_equal(http_stub_wait(fixture->stub, 2), 2);
}

static void logs_out(void **state)
{
    struct fixture *fixture = *state;
    struct error error;

    fixture->status = 200;
    fixture->body = "{\"status\":\"OK\"}";
    stop_event_raise(fixture->stop); /* that is when */
    assert_int_equal(directory_logout(fixture->client, "t0k", 5000, NULL), ERROR_NONE);
    assert_int_equal(directory_logout(fixture->client, "", 5000, NULL), ERROR_DENIED);
    assert_int_equal(directory_logout(fixture->client, "a\r\nX: y", 5000, NULL), ERROR_DENIED);
    assert_int_equal(http_stub_wait(fixture->stub, 1), 1);
    const struct http_stub_request *request = http_stub_request(fixture->stub, 0);
    assert_true(begins_with(request->head, "POST /logout HTTP/1.1\r\n"));
    assert_non_null(strstr(request->head, "Authorization: Bearer t0k"));
    fixture->status = -1; /* no answer ever comes */
    int64_t start = clock_boot_ms();
    assert_int_equal(directory_logout(fixture->client, "t0k", 300, &error), ERROR_TIMEOUT);
    assert_in_range(clock_boot_ms() - start, 200, 4000);
    assert_true(begins_with(error.text, "El directorio no responde: sin respuesta en "));
}

static void searches_many(void **state)
{
    static const struct file_name names[] = {{"b"}, {"ñ \"a\""}, {"sub/c"}, {"b"}};
    static const int unknown[] = {404, 405, 422};
    struct fixture *fixture = *state;
    const struct file_name *items[] = {&names[0], &names[1], &names[2], &names[3]};
    struct directory_sources sources[4];
    struct error error = {0};

    fixture->status = 200;
    fixture->body = "{\"archivos\":[{\"archivo\":\"b\",\"disponible_en\":[{\"peer\":\"P\"}]}]}";
    assert_int_equal(directory_search_many(fixture->client, items, 4, sources, NULL), ERROR_NONE);
    for (size_t i = 0; i < 4; i++) {
        check_row(i, sources[i].count == (strcmp(names[i].text, "b") == 0));
        directory_sources_done(&sources[i]);
    }
    assert_int_equal(directory_search_many(fixture->client, items, 2, sources, NULL), ERROR_NONE);
    directory_sources_done(&sources[0]);
    assert_int_equal(http_stub_wait(fixture->stub, 2), 2);
    const struct http_stub_request *request = http_stub_request(fixture->stub, 0);
    assert_true(begins_with(request->head, "POST /buscar_archivos?folders=1 HTTP/1.1"));
    assert_non_null(strstr(request->head, "Content-Type: application/json\r\n"));
    assert_string_equal(request->body, "{\"filenames\":[\"b\",\"ñ \\\"a\\\"\",\"sub/c\",\"b\"]}");
    request = http_stub_request(fixture->stub, 1);
    assert_true(begins_with(request->head, "POST /buscar_archivos HTTP/1.1"));
    for (size_t i = 0; i < ARRAY_LENGTH(unknown); i++) {
        fixture->status = unknown[i];
        fixture->body = "{\"detail\":\"Method Not Allowed\"}";
        check_row(i, directory_search_many(fixture->client, items, 2, sources, &error) ==
                         ERROR_UNSUPPORTED);
        check_row(i, sources[0].count == 0 && sources[1].count == 0);
    }
    fixture->status = 503;
    assert_int_equal(directory_search_many(fixture->client, items, 2, sources, &error), ERROR_BUSY);
    fixture->status = 200;
    fixture->body = "{\"archivos\":7}";
    assert_int_equal(directory_search_many(fixture->client, items, 2, sources, &error),
                     ERROR_CORRUPT);
}

static void searches(void **state)
{
    struct fixture *fixture = *state;
    struct directory_sources sources;
    struct file_name name = {"ñ a+b&c.txt"};
    struct error error = {0};

    fixture->status = 200;
    fixture->body = "{\"archivo\":\"F\",\"disponible_en\":[{\"peer\":\"P\",\"url\":[\"h:1\"]}]}";
    assert_int_equal(directory_search(fixture->client, &name, false, &sources, NULL), ERROR_NONE);
    assert_int_equal(sources.count, 1);
    assert_string_equal(sources.items[0].peer, "P");
    directory_sources_done(&sources);
    assert_int_equal(http_stub_wait(fixture->stub, 1), 1);
    assert_true(
        begins_with(http_stub_request(fixture->stub, 0)->head,
                    "GET /buscar_archivos?filename=%C3%B1%20a%2Bb%26c.txt&limit=1000 HTTP/1.1"));
    fixture->status = 404;
    fixture->body = "{\"detail\":\"Archivo 'F' no encontrado\"}";
    assert_int_equal(directory_search(fixture->client, &name, false, &sources, &error),
                     ERROR_NOT_FOUND);
    assert_string_equal(error.text, "Archivo 'F' no encontrado");
    assert_int_equal(sources.count, 0);
    /* A search and a login may follow each other on one client. */
    struct directory_session session;
    fixture->status = 0;
    assert_int_equal(log_in(fixture, NULL, &session, NULL), ERROR_NONE);
    assert_true(begins_with(http_stub_request(fixture->stub, 2)->head, "POST /login "));
    fixture->status = 200;
    fixture->body = "{\"disponible_en\":[]}";
    assert_int_equal(directory_search(fixture->client, &name, false, &sources, NULL), ERROR_NONE);
    assert_true(begins_with(http_stub_request(fixture->stub, 3)->head, "GET /buscar_archivos?"));
    directory_sources_done(&sources);
}

static void ignores_the_environments_proxy(void **state)
{
    struct fixture *fixture = *state;
    struct directory_session session;

    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("all_proxy", "http://127.0.0.1:1", 1);
    assert_int_equal(log_in(fixture, NULL, &session, NULL), ERROR_NONE);
    unsetenv("http_proxy");
    unsetenv("all_proxy");
}

static void says_who_is_away_without_the_password(void **state)
{
    struct directory_client_options options = {.login_url = "http://127.0.0.1:1/login",
                                               .search_url = "http://127.0.0.1:1/s"};
    struct fixture fixture = {.client = directory_client_new(&options)};
    struct directory_session session;
    struct error error = {0};

    (void)state;
    assert_int_equal(log_in(&fixture, NULL, &session, &error), ERROR_UNREACHABLE);
    assert_non_null(strstr(error.text, "No se puede conectar con el directorio: "));
    assert_null(strstr(error.text, "secret"));
    assert_int_equal(log_in(&fixture, NULL, &session, NULL), ERROR_UNREACHABLE);
    directory_client_free(fixture.client);
    directory_client_free(NULL);
}

static void *raise_soon(void *context)
{
    struct fixture *fixture = context;

    http_stub_wait(fixture->stub, 1);
    stop_event_raise(fixture->stop);
    return NULL;
}

static void stops_in_the_middle(void **state)
{
    struct fixture *fixture = *state;
    struct directory_session session;
    struct error error = {0};
    pthread_t thread;

    fixture->status = -1; /* no answer ever comes */
    fixture->body = "";
    assert_int_equal(pthread_create(&thread, NULL, raise_soon, fixture), 0);
    int64_t start = clock_boot_ms();
    assert_int_equal(log_in(fixture, NULL, &session, &error), ERROR_CANCELLED);
    assert_in_range(clock_boot_ms() - start, 0, 8000); /* for an answer it would be ten seconds */
    pthread_join(thread, NULL);
    assert_int_equal(log_in(fixture, NULL, &session, NULL), ERROR_CANCELLED);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(logs_in_to_ours_with_a_body),
        TEST(tells_the_reference_from_ours),
        TEST(sends_a_long_index_to_the_reference_in_parts),
        TEST(tells_failures_apart),
        TEST(ends_when_neither_way_works),
        TEST(logs_out),
        TEST(searches),
        TEST(searches_many),
        TEST(ignores_the_environments_proxy),
        cmocka_unit_test(says_who_is_away_without_the_password),
        TEST(stops_in_the_middle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
