#include "directory/login.h"

#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "common/memory.h"
#include "directory/files_index.h"
#include "directory/query.h"
#include "directory/replies.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum field { USERNAME, PASSWORD, FILES_INDEX, FOLDERS, INDEX_ETAG, FIELD_COUNT };

/* One login that could not be answered at once. */
struct login {
    const struct login_services *services;
    struct http_exchange *exchange;
    struct query_field fields[FIELD_COUNT];
    struct json *body;       /* of a JSON body: what the fields point into */
    const struct json *list; /* files_index as a list in it, or NULL */
    bool parsed;             /* fields hold the arguments */
    bool folders;            /* the peer knows names with a '/' */
    bool has_etag;           /* it says what list it has */
    bool etag_differs;       /* from that of the list that came with it */
    struct index_sum etag;
    bool verified; /* the password is right */
    bool on_worker;
    struct files_index *files; /* NULL: none was given */
    struct registry_login registered;
    struct index_job index_job;
    char *query;
    size_t query_length;
};

/* ---- arguments ---- */

static bool content_is(const struct http_request *request, const char *type)
{
    size_t length = strlen(type);

    return request->content_type && strncasecmp(request->content_type, type, length) == 0 &&
           strchr(" ;", request->content_type[length]) != NULL;
}

/* As text; a JSON body may also have given a boolean. */
static enum error_code take_folders(struct login *login, struct error *error)
{
    const struct query_field *field = &login->fields[FOLDERS];

    if (query_flag(field, &login->folders))
        return ERROR_NONE;
    return error_set(error, ERROR_INVALID, TEXT_BAD_FOLDERS);
}

static enum error_code take_etag(struct login *login, struct error *error)
{
    const struct query_field *field = &login->fields[INDEX_ETAG];

    login->has_etag = field->value != NULL;
    if (!field->value || index_sum_parse(field->value, field->length, &login->etag))
        return ERROR_NONE;
    return error_set(error, ERROR_INVALID, TEXT_BAD_ETAG);
}

static enum error_code take_json_body(struct login *login, const struct http_request *request,
                                      struct error *error)
{
    if (files_index_check_size(request->body, request->body_length, NULL) ||
        json_parse(request->body, request->body_length, &login->body, NULL) ||
        !json_is_object(login->body))
        return error_set(error, ERROR_INVALID, TEXT_BAD_BODY);
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        const struct json *item = json_find(login->body, login->fields[i].name);
        const char *text = json_string(item);
        bool given = item && !json_is_null(item);
        if (login->fields[i].value || !given)
            continue;
        if (i == FILES_INDEX && !text) {
            login->list = item;
        } else if (text) {
            login->fields[i].length = strlen(text);
            /* The fields' values are changeable for the query's sake; this one is not changed. */
            memcpy(&login->fields[i].value, &text, sizeof text);
        } else if (i != FOLDERS || !json_boolean(item, &login->folders)) {
            return error_set(error, ERROR_INVALID, TEXT_BAD_BODY);
        }
    }
    return ERROR_NONE;
}

/* Arguments of the query go before those of the body. */
static enum error_code take_arguments(struct login *login, struct error *error)
{
    struct http_request *request = http_request(login->exchange);
    struct query_field body[FIELD_COUNT];

    login->parsed = true;
    enum error_code code =
        query_parse(login->query, login->query_length, login->fields, FIELD_COUNT, error);
    if (code || !request->body)
        return code;
    /* Differs: the reference takes the query only, and so about 2,000 files. */
    if (content_is(request, "application/json"))
        return take_json_body(login, request, error);
    if (!content_is(request, "application/x-www-form-urlencoded"))
        return ERROR_NONE; /* the reference reads no body either */
    for (size_t i = 0; i < FIELD_COUNT; i++)
        body[i] = (struct query_field){.name = login->fields[i].name};
    code = query_parse(request->body, request->body_length, body, FIELD_COUNT, error);
    for (size_t i = 0; i < FIELD_COUNT && !code; i++)
        if (!login->fields[i].value)
            login->fields[i] = body[i];
    return code;
}

static bool answer_missing(const struct login *login, struct http_reply *reply)
{
    const char *missing[2];
    size_t count = 0;

    for (size_t i = USERNAME; i <= PASSWORD; i++)
        if (!login->fields[i].value)
            missing[count++] = login->fields[i].name;
    if (count > 0)
        reply_missing(reply, "query", missing, count);
    return count > 0;
}

static enum error_code take_files(struct login *login, struct error *error)
{
    const struct query_field *field = &login->fields[FILES_INDEX];
    const char *host = http_request(login->exchange)->client_host;
    enum error_code code = ERROR_NONE;

    if (login->list)
        code = files_index_from_json(login->list, host, &login->files, error);
    else if (field->value)
        code = files_index_parse(field->value, field->length, host, &login->files, error);
    /* Who does not say that he knows such names has always been refused them. */
    if (!code && login->files && !login->folders && files_index_has_folders(login->files))
        code = error_set(error, ERROR_INVALID, TEXT_BAD_FILES_INDEX);
    if (!code && login->files)
        login->etag_differs = !index_sum_equal(files_index_sum(login->files), &login->etag);
    return code;
}

/* ---- log ---- */

static void log_presence(const struct login *login)
{
    const char *name = login->fields[USERNAME].value;

    if (login->registered.had_expired)
        log_line(LOG_INFO, "directory", "[API] Peer '%s' se ha desconectado por inactividad", name);
    if (login->registered.became_active)
        log_line(LOG_INFO, "directory", "[API] Peer '%s' se ha autenticado en la red", name);
}

static void log_added(const struct login *login)
{
    const struct index_job *job = &login->index_job;
    const char *name = login->fields[USERNAME].value;
    size_t shown =
        job->added_count < LOGIN_LOGGED_FILES ? job->added_count : (size_t)LOGIN_LOGGED_FILES;

    for (size_t i = 0; i < shown; i++)
        log_line(LOG_INFO, "directory", "[API] Peer '%s' indexó archivo: %s", name, job->added[i]);
    if (job->added_count > shown)
        log_line(LOG_INFO, "directory", "[API] Peer '%s' indexó %zu archivos más", name,
                 job->added_count - shown);
}

static void log_unchanged(const struct login *login)
{
    if (!log_enabled(LOG_DEBUG))
        return;
    for (size_t i = 0; i < files_index_count(login->files) && i < LOGIN_LOGGED_FILES; i++)
        log_line(LOG_DEBUG, "directory", "[API] Archivo ya indexado: %s",
                 files_index_name(login->files, i));
}

/* ---- steps ---- */

/* Whether the login brings more than an HTTP thread should parse. */
static bool is_long(const struct login *login)
{
    const struct query_field *field = &login->fields[FILES_INDEX];

    return (field->value && field->length > LOGIN_SHORT_BYTES) ||
           http_request(login->exchange)->body_length > LOGIN_SHORT_BYTES;
}

static void free_login(struct login *login)
{
    bool was_long = is_long(login);

    index_job_done(&login->index_job);
    files_index_free(login->files);
    json_free(login->body);
    free(login);
    /* A hundred thousand files leave tens of MiB of small free blocks behind. */
    if (was_long)
        malloc_trim(0);
}

static void answer_good(const struct login *login, struct http_reply *reply)
{
    const struct login_answer answer = {
        .token = login->registered.token,
        .expiry_s = login->services->expiry_s,
        .folders = login->folders,
        .says_index = login->has_etag,
        .index_needed = !login->registered.is_stored || login->etag_differs,
    };

    reply_login(reply, &answer);
}

/* On the writer's thread, after the commit or without one. */
static void on_stored(struct index_job *job, enum error_code code, const struct error *error)
{
    struct login *login = (struct login *)((char *)job - offsetof(struct login, index_job));
    const struct login_services *services = login->services;
    struct http_reply reply;

    if (code)
        log_line(LOG_ERROR, "directory", "cannot store a login: %s", error->text);
    if (code && login->registered.must_store_record)
        registry_collect_again(services->registry, login->registered.id);
    if (code && login->files)
        registry_keep_index(services->registry, login->registered.id);
    if (!code && login->files) {
        const struct registry_list list = {.etag = files_index_sum(login->files),
                                           .host = files_index_host(login->files),
                                           .urls = files_index_usual_urls(login->files)};
        registry_set_index(services->registry, login->registered.id, &list);
        login->registered.is_stored = true;
        log_added(login);
    }
    /* Liveness is in memory: a full disk must not drop a peer that brought nothing to store. */
    if (code && login->files)
        reply_failure(&reply, code, error);
    else
        answer_good(login, &reply);
    struct http_exchange *exchange = login->exchange;
    free_login(login);
    http_answer(exchange, &reply);
}

static bool answer_failure(struct login *login, struct http_reply *reply, enum error_code code,
                           const struct error *error)
{
    reply_failure(reply, code, error);
    free_login(login);
    return true;
}

static bool submit_to_writer(struct login *login, struct http_reply *reply)
{
    const struct login_services *services = login->services;
    struct index_job *job = &login->index_job;

    job->peer_id = login->registered.id;
    job->with_record = login->registered.must_store_record;
    job->files = login->files;
    job->done = on_stored;
    enum error_code code = index_writer_submit(services->writer, job);
    if (!code)
        return false;
    if (login->files)
        registry_keep_index(services->registry, login->registered.id);
    if (login->registered.must_store_record)
        registry_collect_again(services->registry, login->registered.id);
    return answer_failure(login, reply, code, NULL);
}

static void run_on_worker(void *context);

static bool submit_to_worker(struct login *login, struct http_reply *reply)
{
    enum error_code code = thread_pool_submit(login->services->worker, run_on_worker, login, NULL);

    return code ? answer_failure(login, reply, code, NULL) : false;
}

/* The password was right and the list, if any, is good. */
static bool register_peer(struct login *login, struct http_reply *reply)
{
    struct registry_login *registered = &login->registered;
    const struct registry_claim claim = {
        .etag = login->files      ? files_index_sum(login->files)
                : login->has_etag ? &login->etag
                                  : NULL,
        .brings_list = login->files != NULL,
        .host = http_request(login->exchange)->client_host,
    };

    registry_log_in(login->services->registry, login->fields[USERNAME].value, &claim,
                    clock_boot_ms(), registered);
    log_presence(login);
    if (login->files && !registered->must_store) {
        log_unchanged(login);
        files_index_free(login->files);
        login->files = NULL;
    }
    if (registered->must_store_record || login->files)
        return submit_to_writer(login, reply);
    answer_good(login, reply);
    free_login(login);
    return true;
}

/* All steps from wherever the login is; on the HTTP thread it leaves for the worker before what
 * takes long. True with the reply (the login is freed), or false: somebody else has it. */
static bool proceed(struct login *login, struct http_reply *reply)
{
    struct error error = {0};
    enum error_code code;

    if (!login->parsed) {
        if (!login->on_worker && is_long(login))
            return submit_to_worker(login, reply);
        code = take_arguments(login, &error);
        if (code)
            return answer_failure(login, reply, code, &error);
        if (answer_missing(login, reply)) {
            free_login(login);
            return true;
        }
    }
    const struct credentials credentials = {
        .name = login->fields[USERNAME].value,
        .name_length = login->fields[USERNAME].length,
        .password = login->fields[PASSWORD].value,
        .password_length = login->fields[PASSWORD].length,
    };
    if (!login->verified)
        login->verified = users_verify_quickly(login->services->users, &credentials);
    if (!login->on_worker && (!login->verified || is_long(login)))
        return submit_to_worker(login, reply);
    if (!login->verified && !users_verify(login->services->users, &credentials))
        return answer_failure(login, reply, ERROR_DENIED, NULL);
    login->verified = true;
    code = take_folders(login, &error);
    if (!code)
        code = take_etag(login, &error);
    if (code)
        return answer_failure(login, reply, code, &error);
    if (take_files(login, &error)) {
        /* Differs: a wrong shape is 400 like wrong JSON; the reference answers 500. */
        error_set(&error, ERROR_INVALID, TEXT_BAD_FILES_INDEX);
        return answer_failure(login, reply, ERROR_INVALID, &error);
    }
    return register_peer(login, reply);
}

static void run_on_worker(void *context)
{
    struct login *login = context;
    struct http_exchange *exchange = login->exchange;
    struct http_reply reply;

    login->on_worker = true;
    bool answered = atomic_load(login->services->stopping)
                        ? answer_failure(login, &reply, ERROR_CANCELLED, NULL)
                        : proceed(login, &reply);
    if (answered)
        http_answer(exchange, &reply);
}

bool login_handle(const struct login_services *services, struct http_exchange *exchange,
                  char *query, size_t query_length, struct http_reply *reply)
{
    struct login *login = memory_new(1, sizeof *login);

    login->services = services;
    login->exchange = exchange;
    login->query = query;
    login->query_length = query_length;
    login->fields[USERNAME].name = "username";
    login->fields[PASSWORD].name = "password";
    login->fields[FILES_INDEX].name = "files_index";
    login->fields[FOLDERS].name = "folders";
    login->fields[INDEX_ETAG].name = "index_etag";
    return proceed(login, reply);
}
