/*
 * A peer's list of files, as it arrives in files_index: a JSON list of
 * {"filename": string, "url": list of strings, "size": whole number from 0 to 2^53,
 * "content": content id as text, "partial": boolean}. Pure: JSON in, checked list out.
 *
 * "size" and "content" may be missing or null: the peer does not know them (yet). "partial" is true
 * for a content that is still arriving there, and must have both; missing or null is false. Unknown
 * keys are ignored and "url" may be missing. Names are checked (common/file_name.h; they may be
 * paths, and whether there are any is told), sorted by their bytes and unique: of a name that is
 * given twice the last counts, as in the reference. A url "0.0.0.0:PORT" or "[::]:PORT" means that
 * the peer does not know its address: the host is replaced by the one that the request came from.
 * Other urls stay as they were given.
 *
 * A peer nearly always gives the same urls for all of its files, so the list keeps the first
 * file's as the usual ones, and only what differs a file.
 */
#pragma once

#include "common/buffer.h"
#include "common/content_id.h"
#include "common/error.h"
#include "common/index_sum.h"
#include "common/json.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FILES_INDEX_URLS_MAX      64   /* addresses of one peer; more is no address list */
#define FILES_INDEX_URL_MAX_BYTES 1024 /* a host name has 253 bytes at most */
/* JSON values in one document: a million files with one url, 600,000 with size and content. The
 * parser takes some 80 bytes for each, so that a body of 64 MiB of "[[],[],..." would otherwise
 * take 1.7 GiB. */
#define FILES_INDEX_VALUES_MAX 4000000

struct files_index;

#define FILE_SIZE_UNKNOWN (-1)

/* What a peer says that a file holds. */
struct file_content {
    int64_t size_bytes;          /* or FILE_SIZE_UNKNOWN */
    const struct content_id *id; /* borrowed; NULL: unknown */
    bool partial;                /* it is still arriving there */
};

/* Parses JSON text. client_host (an address without brackets) replaces wildcard hosts; *index is
 * owned by the caller. ERROR_INVALID for anything that is not the shape above. */
MUST_CHECK enum error_code files_index_parse(const char *text, size_t length,
                                             const char *client_host, struct files_index **index,
                                             struct error *error);
/* The same from a value that is parsed already. */
MUST_CHECK enum error_code files_index_from_json(const struct json *list, const char *client_host,
                                                 struct files_index **index, struct error *error);
void files_index_free(struct files_index *index);

/* ERROR_TOO_LARGE when JSON text has more values than FILES_INDEX_VALUES_MAX; before parsing. */
MUST_CHECK enum error_code files_index_check_size(const char *text, size_t length,
                                                  struct error *error);

/* Whether there is, or was before of a name given twice the last counted, a name with a '/': one
 * that only those may see who know folders. */
bool files_index_has_folders(const struct files_index *index);

/* About what the list takes. */
size_t files_index_memory_bytes(const struct files_index *index);

size_t files_index_count(const struct files_index *index);
/* Borrowed until files_index_free; item counts from 0 in the order of the names' bytes. */
const char *files_index_name(const struct files_index *index, size_t item);
/* JSON list of strings, or NULL: the usual ones. */
const char *files_index_urls(const struct files_index *index, size_t item);
/* The id is borrowed until files_index_free. */
struct file_content files_index_content(const struct files_index *index, size_t item);
const char *files_index_usual_urls(const struct files_index *index);

/* The address that was put in the place of wildcards; "" when there were none: then the same list
 * from elsewhere is the same list. */
const char *files_index_host(const struct files_index *index);

/* Of the list as it was given, wildcards as they were. */
const struct index_sum *files_index_sum(const struct files_index *index);
