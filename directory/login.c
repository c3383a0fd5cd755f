#include "directory/login.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "directory/files_index.h"
#include "directory/login_arguments.h"
#include "directory/metrics.h"
#include "directory/replies.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

/* Which thread a login is on. */
enum place { ON_HTTP, ON_VERIFIER, ON_WORKER };

/* One login: on the HTTP thread's stack, and kept (keep_login) when it cannot be answered at once.
 */
struct login {
    bool is_kept;
    const struct login_services *services;
    struct http_exchange *exchange;
    struct login_arguments arguments;
    enum place place;
    bool has_query, has_body;   /* they are taken apart */
    int64_t waits_us;           /* since then, by clock_us, for a thread of the pools */
    bool verified;              /* the password or token is right */
    uint64_t mark;              /* of the user, */
    uint32_t mark_generation;   /* looked up when the users were these */
    int64_t peer_id;            /* where the token has told; else 0 */
    bool etag_differs;          /* from that of the list that came with it */
    struct files_index *files;  /* NULL: none was given */
    struct list_change *change; /* likewise */
    struct registry_login registered;
    struct index_job index_job;
};

static const char *name_of(const struct login *login)
{
    return login->arguments.fields[LOGIN_USERNAME].value;
}

/* ---- log ---- */

static void log_presence(const struct login *login)
{
    const char *name = name_of(login);

    if (login->registered.had_expired)
        metrics_add(METRICS_EXPIRIES, 1);
    if (login->registered.had_expired)
        log_line(LOG_INFO, "directory", "[API] Peer '%s' se ha desconectado por inactividad", name);
    if (login->registered.became_active)
        log_line(LOG_INFO, "directory", "[API] Peer '%s' se ha autenticado en la red", name);
    if (login->registered.is_news)
        log_line(LOG_WARNING, "directory", "'%s' logs in from %s and from %s: the last one counts",
                 name, login->registered.other_host, http_request(login->exchange)->client_host);
}

static void log_added(const struct login *login)
{
    const struct index_job *job = &login->index_job;
    const char *name = name_of(login);
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
    return http_request(login->exchange)->body_length > LOGIN_SHORT_BYTES;
}

static struct login *keep_login(struct login *login)
{
    if (login->is_kept)
        return login;
    struct login *kept = memory_new(1, sizeof *kept);
    *kept = *login;
    kept->is_kept = true;
    return kept;
}

static void free_login(struct login *login)
{
    bool was_long = is_long(login);

    index_job_done(&login->index_job);
    files_index_free(login->files);
    list_change_free(login->change);
    login_arguments_done(&login->arguments);
    if (login->is_kept)
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
        .folders = login->arguments.folders,
        .says_index = login->arguments.has_etag,
        .index_needed = !login->registered.is_stored || login->etag_differs,
        .other = login->registered.other_host,
    };

    reply_login(reply, &answer);
}

/* A list or a change of one, which is not stored yet. */
static bool brings_anything(const struct login *login)
{
    return login->files || login->change;
}

/* Tells the registry what became of the list. */
static void note_list(struct login *login, enum error_code code)
{
    struct registry *registry = login->services->registry;
    const struct index_job *job = &login->index_job;
    struct registry_list list = {.etag = &job->change.to};

    if (!brings_anything(login))
        return;
    if (code || (login->change && !job->fits)) {
        registry_keep_index(registry, login->registered.id);
        return;
    }
    if (login->files)
        list = (struct registry_list){.etag = files_index_sum(login->files),
                                      .host = files_index_host(login->files),
                                      .urls = files_index_usual_urls(login->files)};
    registry_set_index(registry, login->registered.id, &list);
    login->registered.is_stored = true;
    log_added(login);
}

/* That nothing can be stored: who comes then need not be told of one by one. */
static bool is_known(const struct login_services *services)
{
    const unsigned faults = 1U << HEALTH_DISK_FULL | 1U << HEALTH_UNWRITABLE;

    return services->health && (health_faults(services->health) & faults) != 0;
}

/* On the writer's thread, after the commit or without one. */
static void on_stored(struct index_job *job, enum error_code code, const struct error *error)
{
    struct login *login = (struct login *)((char *)job - offsetof(struct login, index_job));
    const struct login_services *services = login->services;
    struct http_reply reply;

    if (code)
        log_line(is_known(services) ? LOG_DEBUG : LOG_ERROR, "directory",
                 "cannot store a login: %s", error->text);
    if (code && login->registered.must_store_record)
        registry_collect_again(services->registry, login->registered.id);
    note_list(login, code);
    /* Liveness is in memory: a full disk must not drop a peer that brought nothing to store. */
    if (code && brings_anything(login))
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

static bool submit_to_writer(struct login *first, struct http_reply *reply)
{
    struct login *login = keep_login(first);
    const struct login_services *services = login->services;
    struct index_job *job = &login->index_job;

    job->peer_id = login->registered.id;
    job->with_record = login->registered.must_store_record;
    job->files = login->files;
    if (login->change)
        job->change = (struct index_change){
            .files = login->change, .from = login->arguments.base, .to = login->arguments.etag};
    job->done = on_stored;
    enum error_code code = index_writer_submit(services->writer, job);
    if (!code)
        return false;
    if (brings_anything(login))
        registry_keep_index(services->registry, login->registered.id);
    if (login->registered.must_store_record)
        registry_collect_again(services->registry, login->registered.id);
    return answer_failure(login, reply, code, NULL);
}

/* It is stored already, or it is a change of another list than the stored one. */
static void drop_list(struct login *login)
{
    if (login->files)
        log_unchanged(login);
    files_index_free(login->files);
    list_change_free(login->change);
    login->files = NULL;
    login->change = NULL;
}

/* The password was right and the list, if any, is good. */
static bool register_peer(struct login *login, struct http_reply *reply)
{
    const struct login_arguments *arguments = &login->arguments;
    struct registry_login *registered = &login->registered;
    const struct registry_claim claim = {
        .id = login->peer_id,
        .etag = login->files          ? files_index_sum(login->files)
                : arguments->has_etag ? &arguments->etag
                                      : NULL,
        .brings_list = login->files != NULL,
        .base = login->change ? &arguments->base : NULL,
        .host = http_request(login->exchange)->client_host,
        .mark = login->mark,
        .mark_generation = login->mark_generation,
    };

    registry_log_in(login->services->registry, name_of(login), &claim, clock_boot_ms(), registered);
    log_presence(login);
    if (!registered->must_store)
        drop_list(login);
    if (registered->must_store_record || brings_anything(login))
        return submit_to_writer(login, reply);
    answer_good(login, reply);
    free_login(login);
    return true;
}

static void run_on_verifier(void *context);
static void run_on_worker(void *context);

/* Goes on there; false, unless that has no room. */
static bool go_to(struct login *first, enum place place, struct http_reply *reply)
{
    struct login *login = keep_login(first);
    const struct login_services *services = login->services;
    login->waits_us = clock_us();
    enum error_code code =
        place == ON_VERIFIER ? thread_pool_submit(services->verifier, run_on_verifier, login, NULL)
                             : thread_pool_submit(services->worker, run_on_worker, login, NULL);

    return code ? answer_failure(login, reply, code, NULL) : false;
}

static void look_up_mark(struct login *login)
{
    const struct query_field *name = &login->arguments.fields[LOGIN_USERNAME];
    struct users *users = login->services->users;

    login->mark_generation = users_generation(users);
    login->mark = users_mark(users, name->value, name->length);
}

/* What came may have a NUL in it. */
static bool is_name(const struct query_field *field, const char *name)
{
    return strlen(name) == field->length && memcmp(name, field->value, field->length) == 0;
}

/* Who has a token need not be asked for his password, as long as he is the same user. */
static bool verify_token(struct login *login)
{
    struct registry_owner owner;

    if (!registry_find_token(login->services->registry, login->arguments.token, clock_boot_ms(),
                             &owner) ||
        !is_name(&login->arguments.fields[LOGIN_USERNAME], owner.name))
        return false;
    login->mark = owner.mark;
    login->mark_generation = owner.mark_generation;
    if (owner.mark_generation != users_generation(login->services->users))
        look_up_mark(login);
    login->verified = login->mark != 0 && login->mark == owner.mark;
    if (login->verified)
        login->peer_id = owner.id;
    return login->verified;
}

/* What is known without Argon2; false with *denied: nobody else need be asked. */
static bool verify_quickly(struct login *login, bool *denied)
{
    const struct query_field *name = &login->arguments.fields[LOGIN_USERNAME];
    const struct query_field *password = &login->arguments.fields[LOGIN_PASSWORD];
    const struct credentials credentials = {.name = name->value,
                                            .name_length = name->length,
                                            .password = password->value,
                                            .password_length = password->length};
    struct users *users = login->services->users;

    *denied = false;
    if (!password->value) {
        *denied = !verify_token(login);
        return !*denied;
    }
    look_up_mark(login);
    login->verified = users_verify_quickly(users, &credentials);
    if (!login->verified && login->place == ON_VERIFIER) {
        login->verified = users_verify(users, &credentials);
        *denied = !login->verified;
    }
    return login->verified;
}

enum outcome { GOES_ON, ANSWERED, ELSEWHERE };

static enum outcome verify(struct login *login, struct http_reply *reply)
{
    bool denied;

    if (verify_quickly(login, &denied))
        return GOES_ON;
    if (denied) {
        answer_failure(login, reply, ERROR_DENIED, NULL);
        return ANSWERED;
    }
    return go_to(login, ON_VERIFIER, reply) ? ANSWERED : ELSEWHERE;
}

static enum outcome take_body(struct login *login, struct http_reply *reply)
{
    struct error error;

    if (login->place != ON_WORKER && is_long(login))
        return go_to(login, ON_WORKER, reply) ? ANSWERED : ELSEWHERE;
    login->has_body = true;
    if (login_arguments_take_body(&login->arguments, http_request(login->exchange), &error)) {
        answer_failure(login, reply, ERROR_INVALID, &error);
        return ANSWERED;
    }
    return GOES_ON;
}

/* Who he is, as soon as that can be known: of who has a wrong password no body is taken apart, if
 * he gave it elsewhere. */
static enum outcome identify(struct login *login, struct http_reply *reply)
{
    const char *missing[2];
    struct error error;
    enum outcome outcome = GOES_ON;

    if (!login->has_query && login_arguments_take_query(&login->arguments, &error)) {
        answer_failure(login, reply, ERROR_INVALID, &error);
        return ANSWERED;
    }
    login->has_query = true;
    if (!login->verified && login_arguments_has_credentials(&login->arguments))
        outcome = verify(login, reply);
    if (outcome == GOES_ON && !login->has_body)
        outcome = take_body(login, reply);
    if (outcome != GOES_ON || login->verified)
        return outcome;
    size_t missing_count = login_arguments_missing(&login->arguments, missing);
    if (missing_count == 0)
        return verify(login, reply);
    reply_missing(reply, "query", missing, missing_count);
    free_login(login);
    return ANSWERED;
}

/* All steps from wherever the login is. True with the reply (the login is freed), or false: another
 * thread has it. */
static bool proceed(struct login *login, struct http_reply *reply)
{
    struct login_arguments *arguments = &login->arguments;
    const char *host = http_request(login->exchange)->client_host;
    struct error error = {0};
    enum outcome outcome = identify(login, reply);

    if (outcome != GOES_ON)
        return outcome == ANSWERED;
    if (login->place != ON_WORKER && is_long(login))
        return go_to(login, ON_WORKER, reply);
    enum error_code code = login_arguments_check(arguments, &error);
    if (!code)
        code = login_arguments_read_list(arguments, host, &login->files, &error);
    if (!code)
        code = login_arguments_read_change(arguments, &login->change, &error);
    if (code)
        return answer_failure(login, reply, code, &error);
    login->etag_differs =
        login->files && !index_sum_equal(files_index_sum(login->files), &arguments->etag);
    if (login->change && list_change_has_urls(login->change)) {
        list_change_free(login->change);
        login->change = NULL;
    }
    return register_peer(login, reply);
}

static void run_on(struct login *login, enum place place)
{
    struct http_exchange *exchange = login->exchange;
    struct http_reply reply;

    login->place = place;
    metrics_observe(METRICS_LOGIN_US, clock_us() - login->waits_us);
    bool answered = atomic_load(login->services->stopping)
                        ? answer_failure(login, &reply, ERROR_CANCELLED, NULL)
                        : proceed(login, &reply);
    if (answered)
        http_answer(exchange, &reply);
}

static void run_on_verifier(void *context)
{
    run_on(context, ON_VERIFIER);
}

static void run_on_worker(void *context)
{
    run_on(context, ON_WORKER);
}

bool login_handle(const struct login_services *services, struct http_exchange *exchange,
                  char *query, size_t query_length, struct http_reply *reply)
{
    struct login login = {.services = services, .exchange = exchange};

    login_arguments_init(&login.arguments, http_request(exchange), query, query_length);
    return proceed(&login, reply);
}
