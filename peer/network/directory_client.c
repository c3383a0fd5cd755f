#include "peer/network/directory_client.h"

#include "common/buffer.h"
#include "common/memory.h"
#include "peer/network/directory_replies.h"
#include "peer/network/directory_requests.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define REQUEST_MAX_BYTES ((size_t)256 << 20) /* 300,000 of the longest names */

/* The reference's server resets a connection whose request line passes 64 KiB. */
#define REFERENCE_URL_MAX_BYTES 60000

/* Once in each direction: to the reference's way and, when ours took its place, back. */
#define MODE_CHANGES_MAX 2

struct directory_client {
    CURL *easy;
    CURLM *multi; /* it keeps the connection */
    struct stop_event *stop;
    char *login_url;
    char *search_url;
    long timeout_ms;
    int64_t retry_ms; /* of the last answer */
    bool query_mode;  /* the directory takes no body: the reference's */
    struct buffer reply;
    char reason[CURL_ERROR_SIZE];
};

struct request {
    const char *url;
    const char *body; /* NULL: GET */
    size_t body_bytes;
    bool is_json;      /* the body; else form fields */
    const char *token; /* NULL: none */
};

static void start_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static size_t take_reply(char *data, size_t size, size_t count, void *context)
{
    struct buffer *reply = context;

    buffer_append(reply, data, size * count);
    return reply->failed ? 0 : size * count;
}

static void set_options(struct directory_client *client)
{
    CURL *easy = client->easy;

    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L); /* the password goes nowhere else */
    /* Nor through a proxy that the environment names for the web at large. */
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* a stop waits for no name server */
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "p2p-peer");
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_reply);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &client->reply);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, client->reason);
}

struct directory_client *directory_client_new(const struct directory_client_options *options)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct directory_client *client = memory_new(1, sizeof *client);

    pthread_once(&once, start_curl);
    client->easy = curl_easy_init();
    client->multi = curl_multi_init();
    if (!client->easy || !client->multi) {
        fputs("out of memory\n", stderr);
        abort();
    }
    client->login_url = memory_copy_string(options->login_url);
    client->search_url = memory_copy_string(options->search_url);
    buffer_init(&client->reply, DIRECTORY_REPLY_MAX_BYTES);
    set_options(client);
    directory_client_prepare(client, options);
    return client;
}

void directory_client_prepare(struct directory_client *client,
                              const struct directory_client_options *options)
{
    int64_t connect_ms = options->connect_ms ? options->connect_ms : DIRECTORY_CONNECT_MS;

    client->stop = options->stop;
    client->timeout_ms = (long)(options->timeout_ms ? options->timeout_ms : DIRECTORY_TIMEOUT_MS);
    curl_easy_setopt(client->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
}

void directory_client_free(struct directory_client *client)
{
    if (!client)
        return;
    curl_easy_cleanup(client->easy);
    curl_multi_cleanup(client->multi);
    buffer_done(&client->reply);
    free(client->login_url);
    free(client->search_url);
    free(client);
}

static bool is_stopped(const struct directory_client *client)
{
    return client->stop && stop_event_raised(client->stop);
}

/* Runs the transfer; CURLE_ABORTED_BY_CALLBACK when told to stop. */
static CURLcode transfer(struct directory_client *client)
{
    struct curl_waitfd stop = {.fd = client->stop ? stop_event_descriptor(client->stop) : -1,
                               .events = CURL_WAIT_POLLIN};
    CURLcode result = CURLE_ABORTED_BY_CALLBACK;
    int running = 1;
    int left;

    if (curl_multi_add_handle(client->multi, client->easy) != CURLM_OK)
        return CURLE_FAILED_INIT;
    while (!is_stopped(client) && curl_multi_perform(client->multi, &running) == CURLM_OK &&
           running > 0)
        curl_multi_poll(client->multi, &stop, stop.fd >= 0 ? 1 : 0, 1000, NULL);
    CURLMsg *message = running > 0 ? NULL : curl_multi_info_read(client->multi, &left);
    if (message && message->msg == CURLMSG_DONE)
        result = message->data.result;
    curl_multi_remove_handle(client->multi, client->easy);
    return result;
}

static enum error_code transfer_error(const struct directory_client *client, CURLcode result,
                                      struct error *error)
{
    const char *reason = client->reason[0] ? client->reason : curl_easy_strerror(result);

    if (is_stopped(client))
        return error_set(error, ERROR_CANCELLED, "Cancelado");
    if (result == CURLE_OPERATION_TIMEDOUT)
        return error_set(error, ERROR_TIMEOUT, "El directorio no responde: %s", reason);
    if (client->reply.failed)
        return error_set(error, ERROR_TOO_LARGE, "La respuesta del directorio es demasiado grande");
    if (result == CURLE_URL_MALFORMAT || result == CURLE_UNSUPPORTED_PROTOCOL)
        return error_set(error, ERROR_INVALID, "La dirección del directorio no es válida: %s",
                         reason);
    return error_set(error, ERROR_UNREACHABLE, "No se puede conectar con el directorio: %s",
                     reason);
}

static void note_retry(struct directory_client *client)
{
    curl_off_t seconds = 0;

    curl_easy_getinfo(client->easy, CURLINFO_RETRY_AFTER, &seconds);
    if (seconds > DIRECTORY_RETRY_MAX_MS / 1000)
        seconds = DIRECTORY_RETRY_MAX_MS / 1000;
    client->retry_ms = seconds > 0 ? (int64_t)seconds * 1000 : 0;
}

/* One request and its reply; *status is the HTTP status. */
static enum error_code exchange(struct directory_client *client, const struct request *request,
                                long *status, struct error *error)
{
    long timeout_ms = client->timeout_ms + (long)(request->body_bytes >> 20) * 1000;
    struct curl_slist *headers = curl_slist_append(NULL, "Expect:"); /* saves a round trip */

    if (request->is_json)
        headers = curl_slist_append(headers, "Content-Type: application/json");
    if (request->token) {
        auto_free char *bearer = memory_format("Authorization: Bearer %s", request->token);
        headers = curl_slist_append(headers, bearer);
    }
    buffer_clear(&client->reply);
    client->retry_ms = 0;
    client->reason[0] = '\0';
    curl_easy_setopt(client->easy, CURLOPT_URL, request->url);
    curl_easy_setopt(client->easy, CURLOPT_TIMEOUT_MS, timeout_ms);
    curl_easy_setopt(client->easy, CURLOPT_HTTPHEADER, headers);
    if (request->body) {
        curl_easy_setopt(client->easy, CURLOPT_POSTFIELDSIZE_LARGE,
                         (curl_off_t)request->body_bytes);
        curl_easy_setopt(client->easy, CURLOPT_POSTFIELDS, request->body);
    } else {
        curl_easy_setopt(client->easy, CURLOPT_HTTPGET, 1L);
    }
    CURLcode result = transfer(client);
    curl_easy_setopt(client->easy, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(headers);
    if (result != CURLE_OK)
        return transfer_error(client, result, error);
    curl_easy_getinfo(client->easy, CURLINFO_RESPONSE_CODE, status);
    note_retry(client);
    return ERROR_NONE;
}

/* The one place where HTTP statuses become errors; 200 is none. */
static enum error_code status_error(const struct directory_client *client, long status,
                                    struct error *error)
{
    static const struct {
        long status;
        enum error_code code;
    } codes[] = {
        {400, ERROR_INVALID},   {401, ERROR_DENIED},  {403, ERROR_DENIED},
        {404, ERROR_NOT_FOUND}, {408, ERROR_TIMEOUT}, {413, ERROR_TOO_LARGE},
        {414, ERROR_TOO_LARGE}, {422, ERROR_INVALID}, {429, ERROR_BUSY},
        {503, ERROR_BUSY},
    };
    enum error_code code = ERROR_UNSUPPORTED;
    char detail[256];

    if (status == 200)
        return ERROR_NONE;
    for (size_t i = 0; i < ARRAY_LENGTH(codes); i++)
        if (codes[i].status == status)
            code = codes[i].code;
    directory_parse_detail(client->reply.data ? client->reply.data : "", client->reply.length,
                           detail, sizeof detail);
    if (detail[0])
        return error_set(error, code, "%s", detail);
    return error_set(error, code, "El directorio respondió HTTP %ld", status);
}

/* Posts fields in the body, or in the query string of the reference's way. */
static enum error_code post_fields(struct directory_client *client, const struct buffer *fields,
                                   const char *token, long *status, struct error *error)
{
    if (fields->failed)
        return error_set(error, ERROR_TOO_LARGE, "El índice de archivos es demasiado grande");
    if (!client->query_mode) {
        struct request request = {.url = client->login_url,
                                  .body = fields->data,
                                  .body_bytes = fields->length,
                                  .token = token};
        return exchange(client, &request, status, error);
    }
    auto_free char *url = memory_format("%s%c%s", client->login_url,
                                        strchr(client->login_url, '?') ? '&' : '?', fields->data);
    struct request request = {.url = url, .body = ""};
    return exchange(client, &request, status, error);
}

/* Who it is, and what else ours wants to know. With a token, no password. */
static void append_peer(const struct directory_client *client, const struct directory_login *login,
                        struct buffer *fields)
{
    if (login->token) {
        buffer_append_string(fields, "username=");
        directory_encode(fields, login->username);
    } else {
        directory_append_user(fields, login);
    }
    if (client->query_mode)
        return;
    buffer_append_string(fields, "&folders=1");
    if (login->etag)
        directory_append_etag(fields, login->etag);
    if (login->changes)
        directory_append_changes(fields, login);
}

/* Logs in once, or as often as the index has batches. *other_way: the directory turned out to be of
 * the other kind; nothing is certain then. */
static enum error_code login_in_mode(struct directory_client *client,
                                     const struct directory_login *login,
                                     struct directory_session *session, bool *other_way,
                                     struct error *error)
{
    struct directory_login told = *login;
    size_t url_bytes = strlen(client->login_url) + 1;
    size_t max_bytes = client->query_mode ? REFERENCE_URL_MAX_BYTES - url_bytes : REQUEST_MAX_BYTES;
    size_t next = 0;

    told.names_only = login->names_only || client->query_mode;
    told.folders = login->folders && !client->query_mode;
    if (client->query_mode)
        told.token = NULL;
    if (login->ask_first && !client->query_mode)
        told.files = NULL;
    size_t count = told.files ? told.files->count : 0;
    do {
        auto_buffer fields;
        long status;
        buffer_init(&fields, REQUEST_MAX_BYTES);
        append_peer(client, &told, &fields);
        if (told.files)
            next = directory_append_index(&fields, &told, next, max_bytes);
        enum error_code code = post_fields(client, &fields, told.token, &status, error);
        *other_way = !code && status == 422 && !client->query_mode && !told.token;
        if (*other_way)
            return ERROR_NONE;
        if (!code)
            code = status_error(client, status, error);
        if (!code)
            code = directory_parse_login(client->reply.data ? client->reply.data : "",
                                         client->reply.length, session, error);
        if (code)
            return code;
        /* To ours, each batch would be the whole index. */
        *other_way = client->query_mode && session->tells_expiry;
    } while (!*other_way && next < count);
    return ERROR_NONE;
}

static enum error_code login_in_any_mode(struct directory_client *client,
                                         const struct directory_login *login,
                                         struct directory_session *session, struct error *error)
{
    enum error_code code = ERROR_NONE;
    bool other_way = true; /* not tried yet */

    for (int changes = 0; other_way && changes <= MODE_CHANGES_MAX; changes++) {
        other_way = false;
        code = login_in_mode(client, login, session, &other_way, error);
        if (!code && other_way)
            client->query_mode = !client->query_mode;
    }
    if (!code && other_way)
        code = error_set(error, ERROR_UNSUPPORTED, "El directorio no acepta el inicio de sesión");
    return code;
}

/* By the token, where there is one. Who does not know of tokens misses the password (422). */
static enum error_code login_somehow(struct directory_client *client,
                                     const struct directory_login *login,
                                     struct directory_session *session, struct error *error)
{
    struct directory_login told = *login;
    enum error_code code = ERROR_DENIED;

    if (!told.token || !directory_is_bearer(told.token))
        told.token = NULL;
    if (told.token)
        code = login_in_any_mode(client, &told, session, error);
    told.token = NULL;
    if (code == ERROR_DENIED || (code == ERROR_INVALID && login->token))
        code = login_in_any_mode(client, &told, session, error);
    return code;
}

enum error_code directory_login(struct directory_client *client,
                                const struct directory_login *login,
                                struct directory_session *session, struct error *error)
{
    struct directory_login told = *login;

    told.ask_first = (login->ask_first || login->changes) && login->etag && login->files;
    enum error_code code = login_somehow(client, &told, session, error);
    bool is_answered = code == ERROR_NONE || (told.changes && code == ERROR_INVALID);
    bool has_files =
        !code && (client->query_mode || (session->says_index && !session->index_needed));
    if (is_answered && told.ask_first && !has_files) {
        told.ask_first = false;
        told.changes = NULL;
        code = login_somehow(client, &told, session, error);
    }
    buffer_done(&client->reply); /* between heartbeats nothing is kept */
    return code;
}

/* "http://HOST:8000/NAME" beside that one. */
static void append_beside(const char *beside, const char *name, struct buffer *url)
{
    size_t length = strcspn(beside, "?");

    while (length > 0 && beside[length - 1] != '/')
        length--;
    buffer_append(url, beside, length);
    buffer_append_string(url, name);
}

enum error_code directory_logout(struct directory_client *client, const char *token,
                                 int64_t timeout_ms, struct error *error)
{
    auto_buffer url;
    long status;

    if (!directory_is_bearer(token))
        return error_set(error, ERROR_DENIED, "No hay sesión en el directorio");
    buffer_init(&url, (size_t)64 * 1024);
    append_beside(client->login_url, "logout", &url);
    directory_client_prepare(client, &(struct directory_client_options){.connect_ms = timeout_ms,
                                                                        .timeout_ms = timeout_ms});
    struct request request = {.url = url.data, .body = "", .token = token};
    enum error_code code = exchange(client, &request, &status, error);
    return code ? code : status_error(client, status, error);
}

int64_t directory_retry_ms(const struct directory_client *client)
{
    return client->retry_ms;
}

enum error_code directory_search(struct directory_client *client, const struct file_name *name,
                                 bool partial, struct directory_sources *sources,
                                 struct error *error)
{
    auto_buffer url;
    long status;

    *sources = (struct directory_sources){0};
    buffer_init(&url, strlen(client->search_url) + 3 * sizeof name->text + 32);
    buffer_append_string(&url, client->search_url);
    buffer_append_string(&url, strchr(client->search_url, '?') ? "&filename=" : "?filename=");
    directory_encode(&url, name->text);
    if (partial)
        buffer_append_string(&url, "&partial=1");
    if (file_name_in_folder(name))
        buffer_append_string(&url, "&folders=1");
    struct request request = {.url = url.data};
    enum error_code code = exchange(client, &request, &status, error);
    if (!code)
        code = status_error(client, status, error);
    if (!code)
        code = directory_parse_search(client->reply.data ? client->reply.data : "",
                                      client->reply.length, sources, error);
    buffer_done(&client->reply);
    return code;
}

/* ---- many names ---- */

/* A directory of before (405), and what may stand in a reference's way (404, 422). */
static bool is_unknown_question(long status)
{
    return status == 404 || status == 405 || status == 422;
}

enum error_code directory_search_many(struct directory_client *client,
                                      const struct file_name *const *names, size_t count,
                                      struct directory_sources *sources, struct error *error)
{
    auto_buffer url;
    auto_buffer body;
    long status;

    memset(sources, 0, count * sizeof *sources);
    buffer_init(&url, strlen(client->search_url) + 32);
    buffer_append_string(&url, client->search_url);
    buffer_init(&body, DIRECTORY_NAMES_BYTES);
    if (directory_append_names(&body, names, count))
        buffer_append_string(&url, strchr(client->search_url, '?') ? "&folders=1" : "?folders=1");
    struct request request = {
        .url = url.data, .body = body.data, .body_bytes = body.length, .is_json = true};
    enum error_code code = exchange(client, &request, &status, error);
    if (!code && is_unknown_question(status))
        code = error_set(error, ERROR_UNSUPPORTED,
                         "El directorio no admite búsquedas de varios archivos");
    if (!code)
        code = status_error(client, status, error);
    if (!code) {
        struct directory_answers answers = {.names = names, .count = count, .sources = sources};
        code = directory_parse_many(client->reply.data ? client->reply.data : "",
                                    client->reply.length, &answers, error);
    }
    buffer_done(&client->reply);
    return code;
}

/* ---- all files, and words ---- */

/* Of a page: the longest names of all fit DIRECTORY_REPLY_MAX_BYTES. */
#define PAGE_FILES 5000

/* The reply is in client->reply. */
static enum error_code ask(struct directory_client *client, const char *url, struct error *error)
{
    struct request request = {.url = url};
    long status;

    enum error_code code = exchange(client, &request, &status, error);
    return code ? code : status_error(client, status, error);
}

static void append_words(struct buffer *url, const struct directory_words *words)
{
    buffer_printf(url, "?limit=%zu&folders=1&q=", words->limit);
    directory_encode(url, words->words);
    if (words->ending) {
        buffer_append_string(url, "&ext=");
        directory_encode(url, words->ending);
    }
    if (words->min_bytes >= 0)
        buffer_printf(url, "&min_size=%" PRId64, words->min_bytes);
    if (words->max_bytes >= 0)
        buffer_printf(url, "&max_size=%" PRId64, words->max_bytes);
    if (words->cursor) {
        buffer_append_string(url, "&cursor=");
        directory_encode(url, words->cursor);
    }
}

enum error_code directory_search_words(struct directory_client *client,
                                       const struct directory_words *words,
                                       struct directory_hits *hits, struct error *error)
{
    auto_buffer url;
    long status;

    *hits = (struct directory_hits){0};
    buffer_init(&url, (size_t)64 * 1024);
    append_beside(client->search_url, "buscar", &url);
    append_words(&url, words);
    if (url.failed)
        return error_set(error, ERROR_TOO_LARGE, "La búsqueda es demasiado larga");
    struct request request = {.url = url.data};
    enum error_code code = exchange(client, &request, &status, error);
    if (!code && (status == 404 || status == 405))
        code =
            error_set(error, ERROR_UNSUPPORTED, "El directorio no admite búsquedas por palabras");
    if (!code)
        code = status_error(client, status, error);
    if (!code)
        code = directory_parse_hits(client->reply.data ? client->reply.data : "",
                                    client->reply.length, hits, error);
    buffer_done(&client->reply);
    return code;
}

void directory_hits_done(struct directory_hits *hits)
{
    for (size_t i = 0; i < hits->count; i++)
        directory_sources_done(&hits->items[i].sources);
    free(hits->items);
    free(hits->cursor);
    *hits = (struct directory_hits){0};
}

static enum error_code find_active(struct directory_client *client, struct directory_peers *peers,
                                   struct error *error)
{
    auto_buffer url;

    buffer_init(&url, (size_t)64 * 1024);
    append_beside(client->search_url, "peers_activos", &url);
    enum error_code code = ask(client, url.data, error);
    if (!code)
        code = directory_parse_peers(client->reply.data ? client->reply.data : "",
                                     client->reply.length, peers, error);
    return code;
}

static enum error_code take_page(struct directory_client *client, const char *cursor,
                                 struct directory_files_page *page, struct error *error)
{
    auto_buffer url;

    buffer_init(&url, (size_t)64 * 1024);
    append_beside(client->search_url, "ver_archivos", &url);
    buffer_printf(&url, "?limit=%d%s", PAGE_FILES, page->taker->folders ? "&folders=1" : "");
    if (page->taker->content) {
        char id[CONTENT_ID_DIGITS + 1];
        buffer_printf(&url, "&content=%s", content_id_format(page->taker->content, id));
    }
    if (cursor) {
        buffer_append_string(&url, "&cursor=");
        directory_encode(&url, cursor);
    }
    enum error_code code = ask(client, url.data, error);
    if (!code)
        code = directory_parse_files(client->reply.data ? client->reply.data : "",
                                     client->reply.length, page, error);
    if (!code && page->files > DIRECTORY_FILES_MAX)
        code = error_set(error, ERROR_TOO_LARGE, "El directorio tiene más de %d archivos",
                         DIRECTORY_FILES_MAX);
    return code;
}

enum error_code directory_files(struct directory_client *client,
                                const struct directory_files_taker *taker, struct error *error)
{
    struct directory_peers active = {0};
    auto_free char *cursor = NULL;
    struct directory_files_page page = {.taker = taker, .peers = &active};

    enum error_code code = find_active(client, &active, error);
    if (!code) {
        do {
            code = take_page(client, cursor, &page, error);
            free(cursor);
            cursor = take_pointer(&page.cursor);
        } while (!code && cursor && !page.enough);
    }
    directory_peers_done(&active);
    buffer_done(&client->reply);
    return code;
}

void directory_sources_done(struct directory_sources *sources)
{
    for (size_t i = 0; i < sources->count; i++) {
        free(sources->items[i].peer);
        free(sources->items[i].addresses);
    }
    free(sources->items);
    *sources = (struct directory_sources){0};
}
