#include "directory/replies.h"

#include "common/memory.h"
#include "directory/health.h"
#include "directory/version.h"

void reply_begin(struct http_reply *reply, unsigned status)
{
    *reply = (struct http_reply){.status = status};
    buffer_init(&reply->body, REPLY_MAX_BYTES);
}

void reply_greeting(struct http_reply *reply)
{
    struct json_writer json;

    reply_begin(reply, 200);
    json_writer_init(&json, &reply->body);
    json_begin_object(&json, NULL);
    /* Differs: our own greeting, and a version after it. */
    json_write_string(&json, "mensaje", "Directorio P2P en funcionamiento");
    json_write_string(&json, "version", P2P_VERSION);
    json_end_object(&json);
}

void reply_detail(struct http_reply *reply, unsigned status, const char *text)
{
    struct json_writer json;

    reply_begin(reply, status);
    json_writer_init(&json, &reply->body);
    json_begin_object(&json, NULL);
    json_write_string(&json, "detail", text);
    json_end_object(&json);
}

void reply_method_not_allowed(struct http_reply *reply, const char *allow)
{
    reply_detail(reply, 405, TEXT_WRONG_METHOD);
    reply->allow = allow;
}

static void reply_later(struct http_reply *reply, unsigned retry_s, const char *text)
{
    reply_detail(reply, 503, text);
    reply->retry_s = retry_s;
}

void reply_failure(struct http_reply *reply, enum error_code code, const struct error *error)
{
    switch (code) {
    case ERROR_DENIED:
        reply_detail(reply, 401, TEXT_WRONG_CREDENTIALS);
        return;
    case ERROR_INVALID:
        reply_detail(reply, 400, error->text);
        return;
    case ERROR_BUSY:
        reply_later(reply, RETRY_BUSY_S, TEXT_BUSY);
        return;
    case ERROR_CANCELLED:
        reply_later(reply, RETRY_BUSY_S, TEXT_STOPPING);
        return;
    case ERROR_TOO_LARGE:
        reply_detail(reply, 413, TEXT_BODY_TOO_LARGE);
        return;
    case ERROR_NO_SPACE:
        reply_later(reply, RETRY_BROKEN_S,
                    "No se pudo guardar: el disco del directorio está lleno");
        return;
    default:
        break;
    }
    /* The operator's words are in the log. */
    reply_later(reply, RETRY_BROKEN_S,
                "No se pudo leer o guardar en la base de datos del directorio");
}

void reply_ok(struct http_reply *reply)
{
    struct json_writer json;

    reply_begin(reply, 200);
    json_writer_init(&json, &reply->body);
    json_begin_object(&json, NULL);
    json_write_string(&json, "status", "OK");
    json_end_object(&json);
}

static const char *const fault_texts[HEALTH_FAULT_COUNT] = {
    [HEALTH_STARTING] = "El directorio está arrancando",
    [HEALTH_STOPPING] = TEXT_STOPPING,
    [HEALTH_DISK_FULL] = "No se puede guardar: el disco del directorio está lleno",
    [HEALTH_UNWRITABLE] = "No se puede guardar en la base de datos del directorio",
    [HEALTH_UNREADABLE] = "No se puede leer la base de datos del directorio",
    [HEALTH_DAMAGED] = "La base de datos del directorio está dañada",
};

void reply_ready(struct http_reply *reply, unsigned faults)
{
    auto_buffer text;

    buffer_init(&text, 4096);
    if (!faults) {
        reply_ok(reply);
        return;
    }
    for (size_t i = 0; i < HEALTH_FAULT_COUNT; i++) {
        if (!(faults >> i & 1))
            continue;
        if (text.length > 0)
            buffer_append_string(&text, "; ");
        buffer_append_string(&text, fault_texts[i]);
    }
    reply_later(reply, RETRY_BUSY_S, text.data);
}

void reply_missing(struct http_reply *reply, const char *where, const char *const *names,
                   size_t count)
{
    struct json_writer json;

    reply_begin(reply, 422);
    json_writer_init(&json, &reply->body);
    json_begin_object(&json, NULL);
    json_begin_array(&json, "detail");
    for (size_t i = 0; i < count; i++) {
        json_begin_object(&json, NULL);
        json_write_string(&json, "type", "missing");
        json_begin_array(&json, "loc");
        json_write_string(&json, NULL, where);
        json_write_string(&json, NULL, names[i]);
        json_end_array(&json);
        json_write_string(&json, "msg", "Field required");
        json_write_null(&json, "input");
        json_end_object(&json);
    }
    json_end_array(&json);
    json_end_object(&json);
}

void reply_login(struct http_reply *reply, const struct login_answer *answer)
{
    struct json_writer json;
    int64_t expiry_s = answer->expiry_s;

    reply_begin(reply, 200);
    json_writer_init(&json, &reply->body);
    json_begin_object(&json, NULL);
    json_write_string(&json, "status", "OK");
    json_write_string(&json, "token", answer->token);
    /* Differs: the reference's reply ends with the token. */
    json_write_integer(&json, "expiry_s", expiry_s);
    json_write_integer(&json, "heartbeat_s", expiry_s < 3 ? 1 : expiry_s / 3);
    if (answer->folders)
        json_write_boolean(&json, "folders", true);
    if (answer->says_index)
        json_write_boolean(&json, "index_needed", answer->index_needed);
    if (answer->other && *answer->other)
        json_write_string(&json, "other_address", answer->other);
    json_end_object(&json);
}

void reply_search_name(struct json_writer *json, const char *name)
{
    json_begin_object(json, NULL);
    json_write_string(json, "archivo", name);
    json_begin_array(json, "disponible_en");
}

/* Differs: the reference's entries end with "url"; ours do when nothing is known. */
static void write_content(struct json_writer *json, const struct file_content *content)
{
    char text[1 + CONTENT_ID_DIGITS + 1 + 1] = "\""; /* quoted: digits need no escapes */

    if (content->size_bytes != FILE_SIZE_UNKNOWN)
        json_write_integer(json, "size", content->size_bytes);
    if (!content->id)
        return;
    content_id_format(content->id, text + 1);
    text[1 + CONTENT_ID_DIGITS] = '"';
    text[1 + CONTENT_ID_DIGITS + 1] = '\0';
    json_write_raw(json, "content", text);
    if (content->partial)
        json_write_boolean(json, "partial", true);
}

void reply_search_add(struct json_writer *json, const char *peer, const char *urls,
                      const struct file_content *content)
{
    json_begin_object(json, NULL);
    json_write_string(json, "peer", peer);
    json_write_raw(json, "url", urls);
    write_content(json, content);
    json_end_object(json);
}

void reply_search_end(struct json_writer *json, bool truncated)
{
    json_end_array(json);
    if (truncated)
        json_write_boolean(json, "truncated", true);
    json_end_object(json);
}

void reply_searches_begin(struct http_reply *reply, struct json_writer *json)
{
    reply_begin(reply, 200);
    json_writer_init(json, &reply->body);
    reply_files_begin(json);
}

void reply_searches_end(struct json_writer *json)
{
    reply_files_end(json, NULL);
}

void reply_hit_add(struct json_writer *json, const char *peer, const char *urls, bool partial)
{
    json_begin_object(json, NULL);
    json_write_string(json, "peer", peer);
    json_write_raw(json, "url", urls);
    if (partial)
        json_write_boolean(json, "partial", true);
    json_end_object(json);
}

void reply_hit(struct json_writer *json, const struct reply_hit *hit)
{
    json_begin_object(json, NULL);
    json_write_string(json, "archivo", hit->name);
    write_content(json, &hit->content);
    json_write_integer(json, "peers", (int64_t)hit->peers);
    json_write_raw(json, "disponible_en", hit->list);
    if (hit->truncated)
        json_write_boolean(json, "truncated", true);
    json_end_object(json);
}

void reply_search_nothing(struct http_reply *reply, const char *name, bool shared_once)
{
    auto_free char *text =
        memory_format(shared_once ? "Archivo '%s' encontrado pero los peers no están activos"
                                  : "Archivo '%s' no encontrado",
                      name);

    reply_detail(reply, 404, text);
}

void reply_peers_begin(struct json_writer *json)
{
    json_begin_object(json, NULL);
    json_begin_array(json, "peers");
}

void reply_peers_add(struct json_writer *json, const char *peer)
{
    json_write_string(json, NULL, peer);
}

void reply_peers_end(struct json_writer *json, const char *cursor)
{
    json_end_array(json);
    if (cursor)
        json_write_string(json, "cursor", cursor);
    json_end_object(json);
}

void reply_files_begin(struct json_writer *json)
{
    json_begin_object(json, NULL);
    json_begin_array(json, "archivos");
}

void reply_files_add(struct json_writer *json, const char *peer, const char *file, const char *urls,
                     const struct file_content *content)
{
    json_begin_object(json, NULL);
    json_write_string(json, "peer", peer);
    json_write_string(json, "filename", file);
    json_write_raw(json, "url", urls);
    write_content(json, content);
    json_end_object(json);
}

void reply_files_end(struct json_writer *json, const char *cursor)
{
    reply_peers_end(json, cursor);
}
