/*
 * /buscar_archivos: who is there and has a file, by its name; or many files, by theirs. The index's
 * rows joined with the registry's liveness.
 *
 * One name is answered at any length, as in the reference, unless the question has a limit; a long
 * answer is streamed, so that it takes constant memory and no reader holds others back. Many are
 * answered from one state of the index, in one read transaction, and a reply has an end. A name of
 * which not all sources are told says so ("truncated"); which ones are told depends on who asks, or
 * those that have been there longest would have to serve everybody.
 */
#pragma once

#include "common/error.h"
#include "directory/http.h"
#include "directory/index_reader.h"
#include "directory/registry.h"

#include <stddef.h>

#define SEARCH_NAMES_MAX 500 /* of one question */
/* So many of the longest names, with each character outside ASCII as \u escapes. */
#define SEARCH_BODY_MAX_BYTES (1 << 20)
/* Of one of many names, and the highest limit; our peers look at no more (DIRECTORY_SOURCES_MAX).
 */
#define SEARCH_SOURCES_MAX 1000
/* Of a question for many names, or with a limit. Bytes: the peers take 16 MiB. Rows: those of peers
 * that are away count too; it takes its thread no longer than that for one very popular name. */
#define SEARCH_REPLY_BYTES (8 << 20)
#define SEARCH_ROWS_MAX    100000

struct search_request {
    struct registry *registry;
    struct index_reader *reader; /* the calling thread's */
    char *query;                 /* NUL-terminated; overwritten */
    size_t query_length;
    const char *client_host;
    const char *body; /* NULL: none; of many only */
    size_t body_length;
};

/* Loop threads; registry and reader are borrowed until the reply is sent. ERROR_INVALID, with a
 * text for the user, for what is wrong with the request; other codes as of directory/index.h, and
 * ERROR_IO for a reply that would be too long. */
MUST_CHECK enum error_code search_one(const struct search_request *request,
                                      struct http_reply *reply, struct error *error);
MUST_CHECK enum error_code search_many(const struct search_request *request,
                                       struct http_reply *reply, struct error *error);
