/* The table of routes without HTTP: this program has exchanges of its own. */
#include "unit.h"

#include "common/clock.h"
#include "common/json.h"
#include "common/memory.h"
#include "directory/descriptions.h"
#include "directory/index.h"
#include "directory/replies.h"
#include "directory/routes.h"
#include "directory/search.h"
#include "directory/secrets.h"

enum { EXPIRY_MS = 30000 };

struct http_exchange {
    struct http_request request;
};

struct http_request *http_request(struct http_exchange *exchange)
{
    return &exchange->request;
}

void http_answer(struct http_exchange *exchange, const struct http_reply *reply)
{
    (void)exchange;
    (void)reply;
    fail_msg("nothing here is answered later");
}

struct fixture {
    char folder[UNIT_PATH_BYTES];
    char path[UNIT_PATH_BYTES];
    struct index *index;
    struct index_reader *reader;
    struct routes routes;
    struct health health;
};

static int start(void **state)
{
    struct fixture *fixture = memory_new(1, sizeof *fixture);

    unit_folder_make(fixture->folder);
    unit_path(fixture->folder, "index.db", fixture->path);
    *state = fixture;
    if (secrets_init(NULL) || index_open(fixture->path, &fixture->index, NULL))
        return -1;
    fixture->routes.login.registry = registry_new(EXPIRY_MS);
    fixture->routes.health = &fixture->health;
    return index_reader_open(fixture->path, NULL, &fixture->reader, NULL) ? -1 : 0;
}

static int stop(void **state)
{
    struct fixture *fixture = *state;

    index_reader_close(fixture->reader);
    index_close(fixture->index);
    registry_free(fixture->routes.login.registry);
    unit_folder_remove(fixture->folder);
    free(fixture);
    return 0;
}

/* The reply, which is due at once; the caller's. */
static struct http_reply ask(struct fixture *fixture, struct http_request request)
{
    struct http_exchange exchange = {.request = request};
    struct http_reply reply = {0};

    assert_true(routes_handle(&fixture->routes, fixture->reader, &exchange, &reply));
    return reply;
}

static void reply_done(struct http_reply *reply)
{
    buffer_done(&reply->body);
    if (reply->stream)
        reply->stream_free(reply->stream_context);
}

static struct http_reply get(struct fixture *fixture, const char *method, const char *target)
{
    char text[256];

    snprintf(text, sizeof text, "%s", target);
    return ask(fixture, (struct http_request){
                            .method = method, .target = text, .target_length = strlen(text)});
}

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void methods_and_paths(void **state)
{
    static const struct {
        const char *method, *target;
        unsigned status;
        const char *allow; /* NULL: none */
        const char *body;  /* a part of it; NULL: streamed */
    } rows[] = {
        {"GET", "/", 200, NULL, "{\"mensaje\":"},
        {"HEAD", "/", 200, NULL, "{\"mensaje\":"},
        {"GET", "/?x=1", 200, NULL, "{\"mensaje\":"},
        {"POST", "/", 405, "GET, HEAD", "{\"detail\":\"Method Not Allowed\"}"},
        {"get", "/", 405, "GET, HEAD", "{\"detail\":\"Method Not Allowed\"}"},
        {"POST", "/login", 422, NULL, "\"loc\":[\"query\",\"username\"]"},
        {"GET", "/login", 405, "POST", "{\"detail\":\"Method Not Allowed\"}"},
        {"HEAD", "/login", 405, "POST", "{\"detail\":\"Method Not Allowed\"}"},
        {"GET", "/peers_activos", 200, NULL, "{\"peers\":[]}"},
        {"HEAD", "/peers_activos", 200, NULL, "{\"peers\":[]}"},
        {"OPTIONS", "/peers_activos", 405, "GET, HEAD", "{\"detail\":\"Method Not Allowed\"}"},
        {"GET", "/peers_activos?limit=0", 400, NULL, TEXT_BAD_LIMIT},
        {"GET", "/peers_activos?cursor=x", 400, NULL, TEXT_BAD_CURSOR},
        {"GET", "/ver_archivos", 200, NULL, NULL},
        {"DELETE", "/ver_archivos", 405, "GET, HEAD", "{\"detail\":\"Method Not Allowed\"}"},
        {"GET", "/ver_archivos?limit=1%00", 400, NULL, TEXT_BAD_LIMIT},
        {"GET", "/ver_archivos?content=" ID, 200, NULL, NULL},
        {"GET", "/ver_archivos?content=" ID "%00", 400, NULL, TEXT_BAD_CONTENT},
        {"GET", "/ver_archivos?content=" ID "0", 400, NULL, TEXT_BAD_CONTENT},
        {"GET", "/ver_archivos?content=", 400, NULL, TEXT_BAD_CONTENT},
        {"GET", "/buscar_archivos", 422, NULL, "\"loc\":[\"query\",\"filename\"]"},
        {"PUT", "/buscar_archivos", 405, "GET, HEAD, POST", "{\"detail\":\"Method Not Allowed\"}"},
        {"GET", "/buscar%5farchivos?filename=a+b", 404, NULL, "Archivo 'a b' no encontrado"},
        {"GET", "/buscar_archivos?filename=", 404, NULL, "Archivo '' no encontrado"},
        {"GET", "/buscar_archivos?filename=%2e%2e", 400, NULL, "inválido"},
        {"GET", "/buscar_archivos?filename=%zz", 400, NULL, TEXT_BAD_ENCODING},
        {"POST", "/buscar_archivos", 400, NULL, TEXT_BAD_BODY},
        {"POST", "/buscar_archivos?partial=2", 400, NULL, TEXT_BAD_PARTIAL},
        {"POST", "/buscar_archivos?folders=2", 400, NULL, TEXT_BAD_FOLDERS},
        {"GET", "http://h:8000/peers_activos", 200, NULL, "{\"peers\":[]}"},
        {"GET", "/healthz", 200, NULL, "{\"status\":\"OK\"}"},
        {"GET", "/readyz", 200, NULL, "{\"status\":\"OK\"}"},
        {"HEAD", "/readyz", 200, NULL, "{\"status\":\"OK\"}"},
        {"GET", "/nope", 404, NULL, "{\"detail\":\"Not Found\"}"},
        {"POST", "/nope", 404, NULL, "{\"detail\":\"Not Found\"}"},
        {"GET", "/peers_activos/", 404, NULL, "{\"detail\":\"Not Found\"}"},
        {"GET", "/peers_activos%00", 404, NULL, "{\"detail\":\"Not Found\"}"},
        {"GET", "/Login", 404, NULL, "{\"detail\":\"Not Found\"}"},
        {"GET", "", 404, NULL, "{\"detail\":\"Not Found\"}"},
        {"OPTIONS", "*", 404, NULL, "{\"detail\":\"Not Found\"}"},
        {"GET", "/%4", 400, NULL, TEXT_BAD_ENCODING},
    };

    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct http_reply reply = get(*state, rows[i].method, rows[i].target);
        check_row(i, reply.status == rows[i].status);
        check_row(i, rows[i].allow ? reply.allow && strcmp(reply.allow, rows[i].allow) == 0
                                   : !reply.allow);
        check_row(i, rows[i].body ? strstr(reply.body.data, rows[i].body) != NULL : !!reply.stream);
        reply_done(&reply);
    }
}

static void what_could_not_be_read_whole(void **state)
{
    static const struct {
        struct http_request request;
        unsigned status;
        const char *text;
    } rows[] = {
        {{.refused = ERROR_TOO_LARGE, .target_too_long = true}, 414, TEXT_TARGET_TOO_LONG},
        {{.refused = ERROR_TOO_LARGE}, 413, TEXT_BODY_TOO_LARGE},
        {{.refused = ERROR_BUSY}, 503, TEXT_BUSY},
    };

    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct http_reply reply = ask(*state, rows[i].request);
        check_row(i, reply.status == rows[i].status);
        check_row(i, strstr(reply.body.data, rows[i].text) != NULL);
        reply_done(&reply);
    }
}

static void ignore_added(void *context, const char *name)
{
    (void)context;
    (void)name;
}

/* A peer that logged in at that time shares one file. */
static void share(struct fixture *fixture, const char *peer, const char *list, int64_t seen_ms)
{
    struct registry *registry = fixture->routes.login.registry;
    struct files_index *files = NULL;
    struct registry_record record;
    struct registry_login login;

    assert_int_equal(files_index_parse(list, strlen(list), "h", &files, NULL), ERROR_NONE);
    const struct registry_claim claim = {
        .etag = files_index_sum(files), .brings_list = true, .host = "h"};
    registry_log_in(registry, peer, &claim, seen_ms, &login);
    assert_true(registry_get(registry, login.id, &record));
    assert_int_equal(index_begin(fixture->index, NULL), ERROR_NONE);
    assert_int_equal(index_peers_store(index_peers(fixture->index), &record, NULL), ERROR_NONE);
    assert_int_equal(index_replace_files(fixture->index, login.id, files, ignore_added, NULL, NULL),
                     ERROR_NONE);
    assert_int_equal(index_commit(fixture->index, NULL), ERROR_NONE);
    const struct registry_list stored = {
        .etag = claim.etag, .host = "", .urls = files_index_usual_urls(files)};
    registry_set_index(registry, login.id, &stored);
    registry_record_done(&record);
    files_index_free(files);
}

static void a_search_joins_files_and_liveness(void **state)
{
    static const struct {
        const char *target, *body;
    } rows[] = {
        {"/buscar_archivos?filename=F",
         "{\"archivo\":\"F\",\"disponible_en\":[{\"peer\":\"Alive\",\"url\":[\"h:1\"]}]}"},
        {"/buscar_archivos?filename=G",
         "{\"detail\":\"Archivo 'G' encontrado pero los peers no están activos\"}"},
        {"/buscar_archivos?filename=f", "{\"detail\":\"Archivo 'f' no encontrado\"}"},
    };
    int64_t now_ms = clock_boot_ms();

    share(*state, "Gone", "[{\"filename\":\"F\"},{\"filename\":\"G\"}]", now_ms - EXPIRY_MS);
    share(*state, "Alive", "[{\"filename\":\"F\",\"url\":[\"h:1\"]}]", now_ms);
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct http_reply reply = get(*state, "GET", rows[i].target);
        check_row(i, strcmp(reply.body.data, rows[i].body) == 0);
        reply_done(&reply);
    }
}

static struct http_reply post_from(struct fixture *fixture, const char *host, const char *query,
                                   const char *body)
{
    char text[256];
    auto_free char *copy = memory_copy_string(body);
    struct http_request request = {.method = "POST", .target = text, .body = copy};

    snprintf(text, sizeof text, "/buscar_archivos%s", query);
    snprintf(request.client_host, sizeof request.client_host, "%s", host);
    request.target_length = strlen(text);
    request.body_length = strlen(body);
    return ask(fixture, request);
}

static struct http_reply post(struct fixture *fixture, const char *query, const char *body)
{
    return post_from(fixture, "", query, body);
}

#define CONTENT "0b3fd030637ec63bd6313b9915a1b02c9e8176ea69d1cfb0bb0fa830dbc6802f"
#define F       "{\"archivo\":\"F\",\"disponible_en\":[{\"peer\":\"Alive\",\"url\":[\"h:1\"]}]}"
#define SUB                                                                                       \
    "{\"archivo\":\"sub/H\",\"disponible_en\":[{\"peer\":\"Alive\",\"url\":[\"h:1\"],\"size\":7," \
    "\"content\":\"" CONTENT "\",\"partial\":true}]}"

static void many_names_are_one_question(void **state)
{
    static const struct {
        const char *query, *names;
        unsigned status;
        const char *body;
    } rows[] = {
        {"", "{\"filenames\":[\"F\"]}", 200, "{\"archivos\":[" F "]}"},
        {"", "{\"filenames\":[\"x\",\"G\",\"F\",\"\",\"F\"],\"more\":1}", 200,
         "{\"archivos\":[" F "]}"},
        {"?folders=1&partial=1", "{\"filenames\":[\"sub/H\",\"F\"]}", 200,
         "{\"archivos\":[" F "," SUB "]}"},
        {"?folders=1", "{\"filenames\":[\"sub/H\"]}", 200, "{\"archivos\":[]}"},
        {"", "{\"filenames\":[]}", 200, "{\"archivos\":[]}"},
        {"", "{\"filenames\":[\"F\",\"sub/H\"]}", 400,
         "{\"detail\":\"Nombre de archivo inválido: contiene '/'\"}"},
        {"", "{\"filenames\":[\"F\",7]}", 400, "{\"detail\":\"" TEXT_BAD_FILENAMES "\"}"},
        {"", "{\"filenames\":\"F\"}", 400, "{\"detail\":\"" TEXT_BAD_FILENAMES "\"}"},
        {"", "{\"filenames\":null}", 400, "{\"detail\":\"" TEXT_BAD_FILENAMES "\"}"},
        {"", "{\"filenames\":[\"F\"]", 400, "{\"detail\":\"" TEXT_BAD_BODY "\"}"},
        {"", "[\"F\"]", 400, "{\"detail\":\"" TEXT_BAD_BODY "\"}"},
        {"", "{}", 422,
         "{\"detail\":[{\"type\":\"missing\",\"loc\":[\"body\",\"filenames\"],\"msg\":\"Field "
         "required\",\"input\":null}]}"},
    };
    int64_t now_ms = clock_boot_ms();

    share(*state, "Gone", "[{\"filename\":\"F\"},{\"filename\":\"G\"}]", now_ms - EXPIRY_MS);
    share(*state, "Alive",
          "[{\"filename\":\"F\",\"url\":[\"h:1\"]},{\"filename\":\"sub/H\",\"url\":[\"h:1\"],"
          "\"size\":7,\"content\":\"" CONTENT "\",\"partial\":true}]",
          now_ms);
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct http_reply reply = post(*state, rows[i].query, rows[i].names);
        check_row(i, reply.status == rows[i].status);
        if (strcmp(reply.body.data, rows[i].body) != 0)
            fail_msg("row %zu: %s", i, reply.body.data);
        reply_done(&reply);
    }
}

static void a_question_has_an_end(void **state)
{
    auto_buffer names;

    buffer_init(&names, SIZE_MAX);
    buffer_append_string(&names, "{\"filenames\":[\"a\"");
    for (int i = 1; i < SEARCH_NAMES_MAX; i++)
        buffer_append_string(&names, ",\"a\"");
    size_t length = names.length;
    buffer_append_string(&names, "]}");
    struct http_reply reply = post(*state, "", names.data);
    assert_int_equal(reply.status, 200);
    reply_done(&reply);
    names.length = length;
    buffer_append_string(&names, ",\"a\"]}");
    reply = post(*state, "", names.data);
    assert_int_equal(reply.status, 400);
    assert_non_null(strstr(reply.body.data, TEXT_BAD_FILENAMES));
    reply_done(&reply);
    while (names.length <= SEARCH_BODY_MAX_BYTES)
        buffer_append_string(&names, "        ");
    reply = post(*state, "", names.data);
    assert_int_equal(reply.status, 413);
    reply_done(&reply);
}

static size_t count_of(const char *text, const char *part)
{
    size_t count = 0;

    for (const char *at = strstr(text, part); at; at = strstr(at + 1, part))
        count++;
    return count;
}

/* More peers than are told of one of many names. */
static void a_popular_name_is_cut(void **state)
{
    struct fixture *fixture = *state;
    int64_t now_ms = clock_boot_ms();
    char name[32];

    for (int i = 0; i <= SEARCH_SOURCES_MAX; i++) {
        snprintf(name, sizeof name, "Peer%d", i);
        share(fixture, name, "[{\"filename\":\"F\"}]", now_ms);
    }
    share(fixture, "Last", "[{\"filename\":\"F\"},{\"filename\":\"G\"}]", now_ms);
    struct http_reply reply = post(fixture, "", "{\"filenames\":[\"F\",\"G\"]}");
    assert_int_equal(reply.status, 200);
    assert_non_null(strstr(reply.body.data,
                           "\"url\":[]}],\"truncated\":true},"
                           "{\"archivo\":\"G\",\"disponible_en\":[{\"peer\":\"Last\""));
    assert_int_equal(count_of(reply.body.data, "\"peer\":"), SEARCH_SOURCES_MAX + 1);
    reply_done(&reply);
    reply = get(fixture, "GET", "/buscar_archivos?filename=F");
    assert_non_null(strstr(reply.body.data, "{\"peer\":\"Last\",\"url\":[]}]}"));
    reply_done(&reply);
}

/* Peers with very long lists of addresses. */
static void a_long_reply_is_cut(void **state)
{
    enum { FILES = 150, URLS = 64, URL_BYTES = 1000 };
    struct fixture *fixture = *state;
    auto_buffer urls;
    auto_buffer list;
    auto_buffer names;

    buffer_init(&urls, SIZE_MAX);
    buffer_init(&list, SIZE_MAX);
    buffer_init(&names, SIZE_MAX);
    for (int i = 0; i < URLS; i++)
        buffer_printf(&urls, "%s\"%0*d\"", i ? "," : "", URL_BYTES, i);
    for (int i = 0; i < FILES; i++) {
        buffer_printf(&list, "%s{\"filename\":\"f%03d\",\"url\":[%s]}", i ? "," : "[", i,
                      urls.data);
        buffer_printf(&names, "%s\"f%03d\"", i ? "," : "{\"filenames\":[", i);
    }
    buffer_append_string(&list, "]");
    buffer_append_string(&names, "]}");
    share(fixture, "Peer1", list.data, clock_boot_ms());
    struct http_reply reply = post(fixture, "", names.data);
    assert_int_equal(reply.status, 200);
    assert_in_range(reply.body.length, SEARCH_REPLY_BYTES, SEARCH_REPLY_BYTES + 2 * URLS * 1024);
    assert_non_null(strstr(reply.body.data, "{\"archivo\":\"f000\",\"disponible_en\":[{"));
    assert_non_null(strstr(reply.body.data,
                           "{\"archivo\":\"f149\",\"disponible_en\":[],\"truncated\":true}]}"));
    reply_done(&reply);
}

/* Names of which only the first peer is there: the look for others goes over all who are away, and
 * the one in which the question's rows run out finds less than the first look did. What it has
 * looked at counts all the same: there are none left for the names after it. */
static void looks_for_others_have_an_end_together(void **state)
{
    enum { PEERS = 220 };
    /* By its hash, which says where others are looked for first: after the second of the peers. */
    static const char host[] = "10.1.0.112";
    struct fixture *fixture = *state;
    int64_t now_ms = clock_boot_ms();
    auto_buffer list;
    auto_buffer names;
    char name[32];

    buffer_init(&list, SIZE_MAX);
    buffer_init(&names, SIZE_MAX);
    for (int i = 0; i < SEARCH_NAMES_MAX; i++) {
        buffer_printf(&list, "%s{\"filename\":\"f%03d\"}", i ? "," : "[", i);
        buffer_printf(&names, "%s\"f%03d\"", i ? "," : "{\"filenames\":[", i);
    }
    buffer_append_string(&list, "]");
    buffer_append_string(&names, "]}");
    for (int i = 1; i <= PEERS; i++) {
        snprintf(name, sizeof name, "Peer%d", i);
        share(fixture, name, list.data, i == 1 ? now_ms : now_ms - EXPIRY_MS);
    }
    struct http_reply reply = post_from(fixture, host, "?limit=1", names.data);
    assert_int_equal(reply.status, 200);
    /* Each takes one row in the first look, and all but one in the second. */
    assert_int_equal(count_of(reply.body.data, "\"peer\":\"Peer1\""), SEARCH_ROWS_MAX / PEERS + 1);
    assert_non_null(strstr(reply.body.data,
                           "{\"archivo\":\"f499\",\"disponible_en\":[],\"truncated\":true}]}"));
    reply_done(&reply);
}

static size_t count_operations(const struct json *paths)
{
    size_t count = 0;

    for (const struct json *path = json_first(paths); path; path = json_next(path))
        count += json_count(path);
    return count;
}

/* A route without a description in openapi.json.in, or the other way round. */
static void every_route_is_described(void **state)
{
    auto_json *document = NULL;
    const char *method = NULL;
    const char *path;
    size_t rows = 0;

    (void)state;
    assert_int_equal(
        json_parse((const char *)directory_openapi, directory_openapi_bytes, &document, NULL),
        ERROR_NONE);
    const struct json *paths = json_find(document, "paths");
    for (; (path = routes_describe(rows, &method)) != NULL; rows++) {
        const char *key = strcmp(method, "GET") == 0 ? "get" : "post";
        if (!json_find(json_find(paths, path), key))
            fail_msg("directory/openapi.json.in does not describe %s %s", method, path);
    }
    assert_int_equal(count_operations(paths), rows);
}

#define test(function) cmocka_unit_test_setup_teardown(function, start, stop)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        test(methods_and_paths),
        test(what_could_not_be_read_whole),
        test(a_search_joins_files_and_liveness),
        test(many_names_are_one_question),
        test(a_question_has_an_end),
        test(a_popular_name_is_cut),
        test(a_long_reply_is_cut),
        test(looks_for_others_have_an_end_together),
        test(every_route_is_described),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
