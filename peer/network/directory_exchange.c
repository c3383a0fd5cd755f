#include "peer/network/directory_exchange.h"

#include "common/buffer.h"
#include "common/memory.h"
#include "peer/network/directory_replies.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct directory_exchange {
    CURL *easy;
    CURLM *multi; /* it keeps the connection */
    struct stop_event *stop;
    long timeout_ms;
    int64_t retry_ms; /* of the last answer */
    struct buffer reply;
    char reason[CURL_ERROR_SIZE];
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

static void set_options(struct directory_exchange *exchange)
{
    CURL *easy = exchange->easy;

    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L); /* the password goes nowhere else */
    /* Nor through a proxy that the environment names for the web at large. */
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* a stop waits for no name server */
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "p2p-peer");
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_reply);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &exchange->reply);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, exchange->reason);
}

struct directory_exchange *directory_exchange_new(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct directory_exchange *exchange = memory_new(1, sizeof *exchange);

    pthread_once(&once, start_curl);
    exchange->easy = curl_easy_init();
    exchange->multi = curl_multi_init();
    if (!exchange->easy || !exchange->multi) {
        fputs("out of memory\n", stderr);
        abort();
    }
    buffer_init(&exchange->reply, DIRECTORY_REPLY_MAX_BYTES);
    set_options(exchange);
    return exchange;
}

void directory_exchange_prepare(struct directory_exchange *exchange,
                                const struct directory_client_options *options)
{
    int64_t connect_ms = options->connect_ms ? options->connect_ms : DIRECTORY_CONNECT_MS;

    exchange->stop = options->stop;
    exchange->timeout_ms = (long)(options->timeout_ms ? options->timeout_ms : DIRECTORY_TIMEOUT_MS);
    curl_easy_setopt(exchange->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
}

void directory_exchange_free(struct directory_exchange *exchange)
{
    if (!exchange)
        return;
    curl_easy_cleanup(exchange->easy);
    curl_multi_cleanup(exchange->multi);
    buffer_done(&exchange->reply);
    free(exchange);
}

static bool is_stopped(const struct directory_exchange *exchange)
{
    return exchange->stop && stop_event_raised(exchange->stop);
}

/* Runs the transfer; CURLE_ABORTED_BY_CALLBACK when told to stop. */
static CURLcode transfer(struct directory_exchange *exchange)
{
    struct curl_waitfd stop = {.fd = exchange->stop ? stop_event_descriptor(exchange->stop) : -1,
                               .events = CURL_WAIT_POLLIN};
    CURLcode result = CURLE_ABORTED_BY_CALLBACK;
    int running = 1;
    int left;

    if (curl_multi_add_handle(exchange->multi, exchange->easy) != CURLM_OK)
        return CURLE_FAILED_INIT;
    while (!is_stopped(exchange) && curl_multi_perform(exchange->multi, &running) == CURLM_OK &&
           running > 0)
        curl_multi_poll(exchange->multi, &stop, stop.fd >= 0 ? 1 : 0, 1000, NULL);
    CURLMsg *message = running > 0 ? NULL : curl_multi_info_read(exchange->multi, &left);
    if (message && message->msg == CURLMSG_DONE)
        result = message->data.result;
    curl_multi_remove_handle(exchange->multi, exchange->easy);
    return result;
}

/* curl's own text is English, and counts milliseconds and bytes. */
static enum error_code timeout_error(const struct directory_exchange *exchange, struct error *error)
{
    curl_off_t passed_us = 0;

    curl_easy_getinfo(exchange->easy, CURLINFO_TOTAL_TIME_T, &passed_us);
    return error_set(error, ERROR_TIMEOUT, "El directorio no responde: sin respuesta en %.1f s",
                     (double)passed_us / 1e6);
}

/* The same text at each try, where curl's counts milliseconds. */
static enum error_code connect_error(const struct directory_exchange *exchange, const char *reason,
                                     struct error *error)
{
    static const char text[] = "No se puede conectar con el directorio";
    struct error system = {0};
    long number = 0;

    if (curl_easy_getinfo(exchange->easy, CURLINFO_OS_ERRNO, &number) != CURLE_OK || number == 0)
        return error_set(error, ERROR_UNREACHABLE, "%s: %s", text, reason);
    (void)error_set_errno(&system, (int)number, "%s", text);
    return error_set(error, ERROR_UNREACHABLE, "%s", system.text);
}

static enum error_code transfer_error(const struct directory_exchange *exchange, CURLcode result,
                                      struct error *error)
{
    const char *reason = exchange->reason[0] ? exchange->reason : curl_easy_strerror(result);

    if (is_stopped(exchange))
        return error_set(error, ERROR_CANCELLED, "Cancelado");
    if (result == CURLE_OPERATION_TIMEDOUT)
        return timeout_error(exchange, error);
    if (exchange->reply.failed)
        return error_set(error, ERROR_TOO_LARGE, "La respuesta del directorio es demasiado grande");
    if (result == CURLE_URL_MALFORMAT || result == CURLE_UNSUPPORTED_PROTOCOL)
        return error_set(error, ERROR_INVALID, "La dirección del directorio no es válida: %s",
                         reason);
    if (result == CURLE_COULDNT_CONNECT)
        return connect_error(exchange, reason, error);
    return error_set(error, ERROR_UNREACHABLE, "No se puede conectar con el directorio: %s",
                     reason);
}

static void note_retry(struct directory_exchange *exchange)
{
    curl_off_t seconds = 0;

    curl_easy_getinfo(exchange->easy, CURLINFO_RETRY_AFTER, &seconds);
    if (seconds > DIRECTORY_RETRY_MAX_MS / 1000)
        seconds = DIRECTORY_RETRY_MAX_MS / 1000;
    exchange->retry_ms = seconds > 0 ? (int64_t)seconds * 1000 : 0;
}

enum error_code directory_exchange_run(struct directory_exchange *exchange,
                                       const struct directory_request *request, long *status,
                                       struct error *error)
{
    long timeout_ms = exchange->timeout_ms + (long)(request->body_bytes >> 20) * 1000;
    struct curl_slist *headers = curl_slist_append(NULL, "Expect:"); /* saves a round trip */

    if (request->is_json)
        headers = curl_slist_append(headers, "Content-Type: application/json");
    if (request->token) {
        auto_free char *bearer = memory_format("Authorization: Bearer %s", request->token);
        headers = curl_slist_append(headers, bearer);
    }
    buffer_clear(&exchange->reply);
    exchange->retry_ms = 0;
    exchange->reason[0] = '\0';
    curl_easy_setopt(exchange->easy, CURLOPT_URL, request->url);
    curl_easy_setopt(exchange->easy, CURLOPT_TIMEOUT_MS, timeout_ms);
    curl_easy_setopt(exchange->easy, CURLOPT_HTTPHEADER, headers);
    if (request->body) {
        curl_easy_setopt(exchange->easy, CURLOPT_POSTFIELDSIZE_LARGE,
                         (curl_off_t)request->body_bytes);
        curl_easy_setopt(exchange->easy, CURLOPT_POSTFIELDS, request->body);
    } else {
        curl_easy_setopt(exchange->easy, CURLOPT_HTTPGET, 1L);
    }
    CURLcode result = transfer(exchange);
    curl_easy_setopt(exchange->easy, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(headers);
    if (result != CURLE_OK)
        return transfer_error(exchange, result, error);
    curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, status);
    note_retry(exchange);
    return ERROR_NONE;
}

enum error_code directory_exchange_error(const struct directory_exchange *exchange, long status,
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
    directory_parse_detail(exchange->reply.data ? exchange->reply.data : "", exchange->reply.length,
                           detail, sizeof detail);
    if (detail[0])
        return error_set(error, code, "%s", detail);
    return error_set(error, code, "El directorio respondió HTTP %ld", status);
}

const char *directory_exchange_reply(const struct directory_exchange *exchange, size_t *length)
{
    *length = exchange->reply.length;
    return exchange->reply.data ? exchange->reply.data : "";
}

void directory_exchange_drop(struct directory_exchange *exchange)
{
    buffer_done(&exchange->reply);
}

int64_t directory_exchange_retry_ms(const struct directory_exchange *exchange)
{
    return exchange->retry_ms;
}

void directory_exchange_local(const struct directory_exchange *exchange,
                              char address[DIRECTORY_HOST_BYTES])
{
    char *local = NULL;

    address[0] = '\0';
    if (curl_easy_getinfo(exchange->easy, CURLINFO_LOCAL_IP, &local) == CURLE_OK && local)
        snprintf(address, DIRECTORY_HOST_BYTES, "%s", local);
}
