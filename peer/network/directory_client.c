#include "peer/network/directory_client.h"

#include "common/memory.h"
#include "peer/network/directory_client_private.h"
#include "peer/network/directory_replies.h"
#include "peer/network/directory_requests.h"

#include <stdlib.h>
#include <string.h>

#define REQUEST_MAX_BYTES ((size_t)256 << 20) /* 300,000 of the longest names */

/* The reference's server resets a connection whose request line passes 64 KiB. */
#define REFERENCE_URL_MAX_BYTES 60000

/* Once in each direction: to the reference's way and, when ours took its place, back. */
#define MODE_CHANGES_MAX 2

struct directory_client *directory_client_new(const struct directory_client_options *options)
{
    struct directory_client *client = memory_new(1, sizeof *client);

    client->exchange = directory_exchange_new();
    client->login_url = memory_copy_string(options->login_url);
    client->search_url = memory_copy_string(options->search_url);
    directory_client_prepare(client, options);
    return client;
}

void directory_client_prepare(struct directory_client *client,
                              const struct directory_client_options *options)
{
    directory_exchange_prepare(client->exchange, options);
}

void directory_client_free(struct directory_client *client)
{
    if (!client)
        return;
    directory_exchange_free(client->exchange);
    free(client->login_url);
    free(client->search_url);
    free(client);
}

/* Posts fields in the body, or in the query string of the reference's way. */
static enum error_code post_fields(struct directory_client *client, const struct buffer *fields,
                                   const char *token, long *status, struct error *error)
{
    if (fields->failed)
        return error_set(error, ERROR_TOO_LARGE, "El índice de archivos es demasiado grande");
    if (!client->query_mode) {
        struct directory_request request = {.url = client->login_url,
                                            .body = fields->data,
                                            .body_bytes = fields->length,
                                            .token = token};
        return directory_exchange_run(client->exchange, &request, status, error);
    }
    auto_free char *url = memory_format("%s%c%s", client->login_url,
                                        strchr(client->login_url, '?') ? '&' : '?', fields->data);
    struct directory_request request = {.url = url, .body = ""};
    return directory_exchange_run(client->exchange, &request, status, error);
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

static enum error_code parse_login(const struct directory_client *client,
                                   struct directory_session *session, struct error *error)
{
    size_t length;
    const char *reply = directory_exchange_reply(client->exchange, &length);

    enum error_code code = directory_parse_login(reply, length, session, error);
    if (!code)
        directory_exchange_local(client->exchange, session->local_address);
    return code;
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
            code = directory_exchange_error(client->exchange, status, error);
        if (!code)
            code = parse_login(client, session, error);
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
    session->list_kept = !code && told.changes && !has_files && session->other_address[0];
    if (is_answered && told.ask_first && !has_files && !session->list_kept) {
        told.ask_first = false;
        told.changes = NULL;
        code = login_somehow(client, &told, session, error);
    }
    directory_exchange_drop(client->exchange); /* between heartbeats nothing is kept */
    return code;
}

void directory_append_beside(const char *beside, const char *name, struct buffer *url)
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
    directory_append_beside(client->login_url, "logout", &url);
    directory_client_prepare(client, &(struct directory_client_options){.connect_ms = timeout_ms,
                                                                        .timeout_ms = timeout_ms});
    struct directory_request request = {.url = url.data, .body = "", .token = token};
    enum error_code code = directory_exchange_run(client->exchange, &request, &status, error);
    return code ? code : directory_exchange_error(client->exchange, status, error);
}

int64_t directory_retry_ms(const struct directory_client *client)
{
    return directory_exchange_retry_ms(client->exchange);
}
