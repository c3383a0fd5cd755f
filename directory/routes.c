#include "directory/routes.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "directory/descriptions.h"
#include "directory/listing.h"
#include "directory/logout.h"
#include "directory/metrics.h"
#include "directory/query.h"
#include "directory/replies.h"
#include "directory/search.h"
#include "directory/word_search.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* One request on its way through the table. */
struct call {
    const struct routes *routes;
    struct index_reader *reader;
    struct http_exchange *exchange;
    char *query; /* NUL-terminated, "" for none */
    size_t query_length;
};

typedef bool route_fn(const struct call *call, struct http_reply *reply);

static bool answer_root(const struct call *call, struct http_reply *reply);
static bool answer_login(const struct call *call, struct http_reply *reply);
static bool answer_logout(const struct call *call, struct http_reply *reply);
static bool answer_search(const struct call *call, struct http_reply *reply);
static bool answer_searches(const struct call *call, struct http_reply *reply);
static bool answer_words(const struct call *call, struct http_reply *reply);
static bool answer_peers(const struct call *call, struct http_reply *reply);
static bool answer_files(const struct call *call, struct http_reply *reply);
static bool answer_alive(const struct call *call, struct http_reply *reply);
static bool answer_ready(const struct call *call, struct http_reply *reply);
static bool answer_metrics(const struct call *call, struct http_reply *reply);
static bool answer_openapi(const struct call *call, struct http_reply *reply);
static bool answer_docs(const struct call *call, struct http_reply *reply);

enum { READS = 1, POSTS = 2 }; /* GET and HEAD; POST */

static const struct route {
    const char *path;
    unsigned methods;
    route_fn *answer;
} table[] = {
    {"/buscar_archivos", READS, answer_search},
    {"/buscar_archivos", POSTS, answer_searches}, /* Differs: ours */
    {"/buscar", READS, answer_words},             /* Differs: ours */
    {"/login", POSTS, answer_login},
    {"/logout", POSTS, answer_logout}, /* Differs: ours */
    {"/peers_activos", READS, answer_peers},
    {"/ver_archivos", READS, answer_files},
    {"/", READS, answer_root},
    {"/healthz", READS, answer_alive}, /* Differs: this and what follows are ours */
    {"/readyz", READS, answer_ready},
    {"/metrics", READS, answer_metrics},
    {"/openapi.json", READS, answer_openapi},
    {"/docs", READS, answer_docs},
};

static const char *const allowed[] = {
    [READS] = "GET, HEAD", [POSTS] = "POST", [READS | POSTS] = "GET, HEAD, POST"};

const char *routes_describe(size_t row, const char **method)
{
    if (row >= ARRAY_LENGTH(table))
        return NULL;
    *method = table[row].methods == READS ? "GET" : "POST";
    return table[row].path;
}

static bool method_fits(const struct route *route, const char *method)
{
    if (route->methods == READS)
        return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    return strcmp(method, "POST") == 0;
}

static bool dispatch(struct call *call, char *path, size_t path_length, struct http_reply *reply)
{
    unsigned methods = 0; /* of that path */

    if (!query_decode_path(path, &path_length)) {
        reply_detail(reply, 400, TEXT_BAD_ENCODING);
        return true;
    }
    for (size_t i = 0; i < ARRAY_LENGTH(table); i++) {
        const struct route *route = &table[i];
        if (strlen(route->path) != path_length || memcmp(route->path, path, path_length) != 0)
            continue;
        if (method_fits(route, http_request(call->exchange)->method)) {
            http_request(call->exchange)->route = i + 1;
            return route->answer(call, reply);
        }
        methods |= route->methods;
    }
    if (methods)
        reply_method_not_allowed(reply, allowed[methods]);
    else
        reply_detail(reply, 404, TEXT_NOT_FOUND);
    return true;
}

/* Past the scheme and host of a target in absolute form (RFC 9112 3.2.2). */
static char *skip_authority(char *target)
{
    static const char scheme[] = "http://";

    if (strncmp(target, scheme, sizeof scheme - 1) != 0)
        return target;
    target += sizeof scheme - 1;
    return target + strcspn(target, "/?");
}

bool routes_handle(void *context, void *thread, struct http_exchange *exchange,
                   struct http_reply *reply)
{
    const struct http_request *request = http_request(exchange);
    struct call call = {.routes = context, .reader = thread, .exchange = exchange};

    if (request->target_too_long) {
        reply_detail(reply, 414, TEXT_TARGET_TOO_LONG);
        return true;
    }
    if (request->refused == ERROR_INVALID) {
        reply_detail(reply, 400, request->wrong_host ? TEXT_WRONG_HOST : TEXT_AMBIGUOUS_LENGTH);
        reply->close = true;
        return true;
    }
    if (request->refused) {
        reply_failure(reply, request->refused, NULL);
        return true;
    }
    char *path = skip_authority(request->target);
    size_t path_length = strcspn(path, "?");
    call.query = path + path_length + (path[path_length] == '?');
    call.query_length = strlen(call.query);
    path[path_length] = '\0';
    return dispatch(&call, path, path_length, reply);
}

static bool answer_root(const struct call *call, struct http_reply *reply)
{
    (void)call;
    reply_greeting(reply);
    return true;
}

static bool answer_login(const struct call *call, struct http_reply *reply)
{
    return login_handle(&call->routes->login, call->exchange, call->query, call->query_length,
                        reply);
}

static bool answer_logout(const struct call *call, struct http_reply *reply)
{
    return logout_handle(&call->routes->login, call->exchange, reply);
}

static bool answer_failure(struct http_reply *reply, enum error_code code,
                           const struct error *error)
{
    if (code != ERROR_INVALID)
        log_line(LOG_ERROR, "directory", "cannot read the index: %s", error->text);
    reply_failure(reply, code, error);
    return true;
}

static struct search_request begin_search(const struct call *call)
{
    const struct http_request *request = http_request(call->exchange);

    return (struct search_request){
        .registry = call->routes->login.registry,
        .reader = call->reader,
        .query = call->query,
        .query_length = call->query_length,
        .client_host = request->client_host,
        .body = request->body,
        .body_length = request->body_length,
    };
}

static bool answer_search(const struct call *call, struct http_reply *reply)
{
    const struct search_request request = begin_search(call);
    struct error error;
    enum error_code code = search_one(&request, reply, &error);

    return code ? answer_failure(reply, code, &error) : true;
}

static bool answer_searches(const struct call *call, struct http_reply *reply)
{
    const struct search_request request = begin_search(call);
    struct error error;
    enum error_code code = search_many(&request, reply, &error);

    return code ? answer_failure(reply, code, &error) : true;
}

static bool answer_words(const struct call *call, struct http_reply *reply)
{
    const struct search_request request = begin_search(call);
    struct error error;
    enum error_code code = word_search(&request, &word_search_limits, reply, &error);

    return code ? answer_failure(reply, code, &error) : true;
}

/* ---- the lists ---- */

/* An argument that is 1, or 0 as without it; otherwise the text says so. */
static enum error_code take_flag(const struct query_field *field, const char *text, bool *value,
                                 struct error *error)
{
    return query_flag(field, value) ? ERROR_NONE : error_set(error, ERROR_INVALID, "%s", text);
}

/* The arguments that the lists take. */
static enum error_code take_page(const struct call *call, bool of_files, struct listing_page *page,
                                 struct error *error)
{
    struct query_field fields[] = {{.name = "limit"},
                                   {.name = "cursor"},
                                   {.name = "partial"},
                                   {.name = "folders"},
                                   {.name = "content"}};
    enum error_code code =
        query_parse(call->query, call->query_length, fields, ARRAY_LENGTH(fields), error);
    int64_t limit = 0;

    *page = (struct listing_page){0};
    if (code)
        return code;
    if (!query_number(&fields[0], 1, LISTING_LIMIT_MAX, &limit))
        return error_set(error, ERROR_INVALID, TEXT_BAD_LIMIT);
    page->limit = (size_t)limit;
    page->cursor = fields[1].value;
    if (!of_files)
        return ERROR_NONE;
    page->has_content = fields[4].value != NULL;
    if (page->has_content && (strlen(fields[4].value) != fields[4].length ||
                              !content_id_parse(fields[4].value, &page->content)))
        return error_set(error, ERROR_INVALID, TEXT_BAD_CONTENT);
    code = take_flag(&fields[2], TEXT_BAD_PARTIAL, &page->partial, error);
    return code ? code : take_flag(&fields[3], TEXT_BAD_FOLDERS, &page->folders, error);
}

static bool answer_peers(const struct call *call, struct http_reply *reply)
{
    struct listing_page page;
    struct error error;
    enum error_code code = take_page(call, false, &page, &error);

    if (!code)
        code = listing_peers(call->routes->login.registry, &page, reply, &error);
    return code ? answer_failure(reply, code, &error) : true;
}

static bool answer_files(const struct call *call, struct http_reply *reply)
{
    struct listing_page page;
    struct error error;
    enum error_code code = take_page(call, true, &page, &error);

    if (!code)
        code = listing_files(call->routes->login.registry, call->reader, &page, reply, &error);
    return code ? answer_failure(reply, code, &error) : true;
}

/* ---- for who watches the directory ---- */

static bool answer_alive(const struct call *call, struct http_reply *reply)
{
    (void)call;
    reply_ok(reply);
    return true;
}

static bool ignore_file(void *context, const struct index_file *file)
{
    (void)context;
    (void)file;
    return false;
}

/* One row, wherever the table begins. */
static bool can_read(struct index_reader *reader)
{
    const struct index_place beginning = {0};

    return index_list(reader, &beginning, 1, ignore_file, NULL, NULL) == ERROR_NONE;
}

static unsigned find_faults(const struct call *call)
{
    unsigned faults = health_faults(call->routes->health);

    if (!can_read(call->reader))
        faults |= 1U << HEALTH_UNREADABLE;
    return faults;
}

static bool answer_ready(const struct call *call, struct http_reply *reply)
{
    reply_ready(reply, find_faults(call));
    return true;
}

static bool answer_metrics(const struct call *call, struct http_reply *reply)
{
    const struct routes *routes = call->routes;
    struct metrics_state state = {
        .live_peers = registry_active_count(routes->login.registry, clock_boot_ms()),
        .indexed_files = index_file_count(routes->index),
        .stalled_ms = atomic_load(routes->stalled_ms),
        .ready = find_faults(call) == 0,
        .started_ms = routes->started_ms,
        .route = routes_describe,
    };

    index_writer_queued(routes->login.writer, &state.queued_entries, &state.queued_bytes);
    reply_begin(reply, 200);
    reply->type = "text/plain; version=0.0.4; charset=utf-8";
    metrics_write(&state, &reply->body);
    return true;
}

static bool answer_openapi(const struct call *call, struct http_reply *reply)
{
    (void)call;
    reply_begin(reply, 200);
    buffer_append(&reply->body, directory_openapi, directory_openapi_bytes);
    return true;
}

static bool answer_docs(const struct call *call, struct http_reply *reply)
{
    (void)call;
    reply_begin(reply, 200);
    reply->type = "text/html; charset=utf-8";
    buffer_append(&reply->body, directory_docs_page, directory_docs_page_bytes);
    return true;
}
