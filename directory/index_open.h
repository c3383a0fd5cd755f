/*
 * What the parts of the writing connection share: index (what is written) and index_open (how it
 * comes to be open). No other file includes this one.
 */
#pragma once

#include "common/database.h"
#include "directory/index.h"
#include "directory/names.h"

#include <stdatomic.h>
#include <stdint.h>

/* ---- index.c ---- */

enum statement {
    BEGIN,
    COMMIT,
    ROLLBACK,
    STORE_LIST,
    STORE_ETAG,
    FORGET_LIST,
    SOME_NAMES_OF,
    ETAG_OF,
    FILE_OF,
    FILES_OF,
    ADD_FILE,
    CHANGE_FILE,
    REMOVE_FILE,
    STORE_COUNT,
    STATEMENT_COUNT
};

extern const char *const index_statement_sql[STATEMENT_COUNT];

struct index {
    char *path;
    struct database *database; /* NULL, as all below: nothing can be written for now */
    struct database_statement *statements[STATEMENT_COUNT];
    struct names *names;
    struct index_peers *peers;
    int lock_file;    /* holds the lock that keeps a second directory away */
    int64_t tried_ms; /* when it was last opened to write, in vain, and why so */
    struct error refusal;
    atomic_bool interrupted;
    atomic_bool damaged; /* index_check has found it to be */
    struct index_news news;
    int64_t file_count;           /* with what is not committed yet */
    atomic_int_least64_t counted; /* as it was committed */
};

/* ---- index_open.c, with index_open and index_close ---- */

/* What can be read only so far goes over to writing, as soon as it can be written; it is tried once
 * a second. Until then it fails as a begin does (directory/index.h). */
MUST_CHECK enum error_code index_open_again(struct index *index, struct error *error);
