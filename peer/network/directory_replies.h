/*
 * What the directory's replies say. Pure: bytes in, checked values out. Works on the replies of our
 * directory and on the reference's, which have fewer keys. A reply comes from outside: whatever is
 * not as agreed is an error (as a whole) or left out (as an entry), never a crash.
 */
#pragma once

#include "peer/network/directory_client.h"

#include <stddef.h>

/* A peer has one or two addresses; more would only make us knock at doors for somebody. */
#define DIRECTORY_ADDRESSES_MAX 16

/* {"status":"OK","token":T} and perhaps "expiry_s", "heartbeat_s", "folders", "index_needed",
 * "other_address".
 * ERROR_CORRUPT: no such thing. */
MUST_CHECK enum error_code directory_parse_login(const char *text, size_t length,
                                                 struct directory_session *session,
                                                 struct error *error);

/* {"archivo":F,"disponible_en":[{"peer":P,"url":[...]}, ...]}, each perhaps with "size" and
 * "content". Entries and parts of them that are malformed are left out. *sources is owned by the
 * caller. ERROR_CORRUPT: no such thing. */
MUST_CHECK enum error_code directory_parse_search(const char *text, size_t length,
                                                  struct directory_sources *sources,
                                                  struct error *error);

/* What was asked for, and what was told of it: sources[i] of names[i], which may be equal. */
struct directory_answers {
    const struct file_name *const *names; /* borrowed, as what follows */
    size_t count;
    struct directory_sources *sources; /* empty before */
};

/* {"archivos":[{"archivo":F,"disponible_en":[...]}, ...]}, each as for directory_parse_search;
 * those that are malformed, and names that were not asked for, are left out. The sources are owned
 * by the caller, and empty after an error. ERROR_CORRUPT: no such thing. */
MUST_CHECK enum error_code directory_parse_many(const char *text, size_t length,
                                                const struct directory_answers *answers,
                                                struct error *error);

/* {"archivos":[{"archivo":F,"size":N,"content":C,"peers":N,"disponible_en":[...]},
 * ...],"cursor":C}, the cursor where more follows. Hits that are malformed are left out. *hits is
 * owned by the caller, and empty after an error. ERROR_CORRUPT: no such thing. */
MUST_CHECK enum error_code directory_parse_hits(const char *text, size_t length,
                                                struct directory_hits *hits, struct error *error);

/* Names of peers, in order. */
struct directory_peers {
    char **names;
    size_t count;
};

/* {"peers":[P, ...]}. *peers is owned by the caller. ERROR_CORRUPT: no such thing. */
MUST_CHECK enum error_code directory_parse_peers(const char *text, size_t length,
                                                 struct directory_peers *peers,
                                                 struct error *error);
bool directory_peers_has(const struct directory_peers *peers, const char *name);
void directory_peers_done(struct directory_peers *peers);

/* What pages of all files say, one after the other. */
struct directory_files_page {
    const struct directory_files_taker *taker; /* borrowed */
    const struct directory_peers *peers;       /* only files of these are taken. Borrowed */
    size_t files;                              /* told so far, over all pages */
    char *cursor;                              /* of the next page; NULL: none. The caller's */
    bool enough;                               /* said the taker */
};

/* {"archivos":[{"peer":P,"filename":F,"url":[...]}, ...],"cursor":C}, the cursor where more
 * follows. Entries that are malformed are left out. ERROR_CORRUPT: no such thing. */
MUST_CHECK enum error_code directory_parse_files(const char *text, size_t length,
                                                 struct directory_files_page *page,
                                                 struct error *error);

struct json;

/* One such entry. False, and *source empty: it names no peer. */
bool directory_parse_source(const struct json *item, struct directory_source *source);

/* The text of {"detail":"..."}, cleaned for showing; "" when there is none. Returns out. */
const char *directory_parse_detail(const char *text, size_t length, char *out, size_t size);
