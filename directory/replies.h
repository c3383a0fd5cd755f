/*
 * All that users of the directory read: texts and field names of the replies, each body in one
 * function. Pure: writes JSON into the reply's buffer. Names and statuses are the reference's.
 */
#pragma once

#include "common/error.h"
#include "common/file_name.h"
#include "common/json_writer.h"
#include "directory/files_index.h"
#include "directory/http.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Replies of this length at most; longer lists are streamed or paged. */
#define REPLY_MAX_BYTES (64 << 20)

#define TEXT_WRONG_CREDENTIALS "Usuario o contraseña incorrectos"
#define TEXT_BAD_FILES_INDEX   "Formato inválido en files_index"
#define TEXT_NOT_FOUND         "Not Found"
#define TEXT_WRONG_METHOD      "Method Not Allowed"
#define TEXT_TARGET_TOO_LONG   "La URL es demasiado larga"
#define TEXT_BODY_TOO_LARGE    "El cuerpo de la petición es demasiado grande"
#define TEXT_AMBIGUOUS_LENGTH  "La longitud del cuerpo de la petición es ambigua"
#define TEXT_WRONG_HOST        "La petición debe tener una cabecera Host, y una sola"
#define TEXT_BUSY              "El directorio está ocupado; intente de nuevo más tarde"
#define TEXT_WRONG_TOKEN       "Token inválido o vencido"
#define TEXT_STOPPING          "El directorio se está deteniendo"
#define TEXT_BAD_ENCODING      "Codificación por ciento inválida"
#define TEXT_BAD_BODY          "El cuerpo de la petición no es un objeto JSON válido"
#define TEXT_BAD_SOURCES_LIMIT "limit debe ser un número entre 1 y 1000"
#define TEXT_BAD_LIMIT         "limit debe ser un número entre 1 y 10000"
#define TEXT_BAD_WORDS_LIMIT   "limit debe ser un número entre 1 y 500"
#define TEXT_BAD_MIN_SIZE      "min_size debe ser un número entero de bytes"
#define TEXT_BAD_MAX_SIZE      "max_size debe ser un número entero de bytes, no menor que min_size"
#define TEXT_BAD_CURSOR        "cursor inválido"
#define TEXT_BAD_PARTIAL       "partial debe ser 0 o 1"
#define TEXT_BAD_FOLDERS       "folders debe ser 0 o 1"
#define TEXT_BAD_CONTENT       "content debe ser 64 dígitos hexadecimales en minúscula"
#define TEXT_BAD_FILENAMES     "filenames debe ser una lista de 500 nombres de archivo como máximo"
#define TEXT_BAD_ETAG          "index_etag debe tener 64 dígitos hexadecimales en minúscula"
#define TEXT_BAD_BASE          "index_base debe tener 64 dígitos hexadecimales en minúscula"
#define TEXT_BAD_CHANGE \
    "files_added y files_removed necesitan index_base e index_etag, y no van con files_index"
#define TEXT_BAD_LISTS "Formato inválido en files_added o files_removed"

/* Starts an empty reply. */
void reply_begin(struct http_reply *reply, unsigned status);

void reply_greeting(struct http_reply *reply);

/* {"detail":"..."} */
void reply_detail(struct http_reply *reply, unsigned status, const char *text);
void reply_method_not_allowed(struct http_reply *reply, const char *allow);

/* A failure inside, by its code: the one place where codes become statuses. */
void reply_failure(struct http_reply *reply, enum error_code code, const struct error *error);
/* What a 503 says of when to come back: soon, when a queue was full; later, when it is the disk. */
#define RETRY_BUSY_S   5
#define RETRY_BROKEN_S 30

/* {"status":"OK"} */
void reply_ok(struct http_reply *reply);
/* The same, or 503 with what stands in the way: a bit for each enum health_fault. */
void reply_ready(struct http_reply *reply, unsigned faults);

/* 422 for required arguments that are not there, in the "query" or the "body". */
void reply_missing(struct http_reply *reply, const char *where, const char *const *names,
                   size_t count);

/* What a login's reply says. */
struct login_answer {
    const char *token;
    int64_t expiry_s;
    bool folders;      /* to who has said that he knows names with a '/', that we do, too */
    bool says_index;   /* to who has given an etag: */
    bool index_needed; /* what we have is not what it stands for */
    const char *other; /* another address that the same name has just logged in from; "": none */
};
void reply_login(struct http_reply *reply, const struct login_answer *answer);

/* {"archivo":F,"disponible_en":[...]}: name, one add for each peer, end. Where more peers have it
 * than are told, "truncated" is true at the end. */
void reply_search_name(struct json_writer *json, const char *name);
void reply_search_add(struct json_writer *json, const char *peer, const char *urls,
                      const struct file_content *content);
void reply_search_end(struct json_writer *json, bool truncated);
/* {"archivos":[...]} of such objects. */
void reply_searches_begin(struct http_reply *reply, struct json_writer *json);
void reply_searches_end(struct json_writer *json);
/* 404, for a name that nobody shares, or only peers that are away. */
void reply_search_nothing(struct http_reply *reply, const char *name, bool shared_once);

/* One name and content of a search for words: {"archivo":F,"size":N,"content":ID,"peers":N,
 * "disponible_en":LIST}. The list is an array that was written before, with reply_hit_add for each
 * peer. peers: how many there are; where it is truncated there may be more. */
void reply_hit_add(struct json_writer *json, const char *peer, const char *urls, bool partial);
struct reply_hit {
    const char *name;
    struct file_content content;
    size_t peers;
    const char *list;
    bool truncated;
};
void reply_hit(struct json_writer *json, const struct reply_hit *hit);

/* {"peers":[...]}, with "cursor" at the end unless it is NULL. */
void reply_peers_begin(struct json_writer *json);
void reply_peers_add(struct json_writer *json, const char *peer);
void reply_peers_end(struct json_writer *json, const char *cursor);

/* {"archivos":[...]} in parts, so that it can be streamed. */
void reply_files_begin(struct json_writer *json);
void reply_files_add(struct json_writer *json, const char *peer, const char *file, const char *urls,
                     const struct file_content *content);
void reply_files_end(struct json_writer *json, const char *cursor);
