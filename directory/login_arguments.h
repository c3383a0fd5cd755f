/*
 * What a login says: arguments of the query, of a form or JSON body, and the header Authorization.
 * Pure: takes them apart and checks them, decides nothing.
 */
#pragma once

#include "common/error.h"
#include "common/index_sum.h"
#include "common/json.h"
#include "directory/files_index.h"
#include "directory/http.h"
#include "directory/list_change.h"
#include "directory/query.h"

#include <stdbool.h>
#include <stddef.h>

enum login_field {
    LOGIN_USERNAME,
    LOGIN_PASSWORD,
    LOGIN_FILES_INDEX,
    LOGIN_FOLDERS,
    LOGIN_INDEX_ETAG,
    LOGIN_INDEX_BASE,
    LOGIN_FILES_ADDED,
    LOGIN_FILES_REMOVED,
    LOGIN_FIELD_COUNT
};

/* Borrows the request and the query, which it changes. */
struct login_arguments {
    struct query_field fields[LOGIN_FIELD_COUNT];
    char *query;
    size_t query_length;
    const char *token;                           /* of "Authorization: Bearer TOKEN", or NULL */
    struct json *body;                           /* owned: what the fields point into */
    const struct json *lists[LOGIN_FIELD_COUNT]; /* fields that are lists in it, or NULL */
    bool folders;                                /* the peer knows names with a '/' */
    bool has_etag;                               /* it says what list it has */
    struct index_sum etag;
    bool has_base; /* it says what list a change begins with */
    struct index_sum base;
};

/* The token of "Authorization: Bearer TOKEN" (RFC 6750 2.1), borrowed, or NULL. */
const char *login_bearer(const struct http_request *request);

void login_arguments_init(struct login_arguments *arguments, const struct http_request *request,
                          char *query, size_t query_length);
void login_arguments_done(struct login_arguments *arguments);

/* First the query, then the body; of an argument in both the query's counts. ERROR_INVALID with the
 * text of the reply. */
MUST_CHECK enum error_code login_arguments_take_query(struct login_arguments *arguments,
                                                      struct error *error);
MUST_CHECK enum error_code login_arguments_take_body(struct login_arguments *arguments,
                                                     const struct http_request *request,
                                                     struct error *error);

/* A name, and a password or a token. */
bool login_arguments_has_credentials(const struct login_arguments *arguments);
/* The names of those that are needed and not there; their number. */
size_t login_arguments_missing(const struct login_arguments *arguments, const char *missing[2]);

/* The short ones: folders, index_etag and index_base. ERROR_INVALID as above. */
MUST_CHECK enum error_code login_arguments_check(struct login_arguments *arguments,
                                                 struct error *error);

/* The list, NULL: none is there; *files is the caller's. client_host replaces wildcards. */
MUST_CHECK enum error_code login_arguments_read_list(const struct login_arguments *arguments,
                                                     const char *client_host,
                                                     struct files_index **files,
                                                     struct error *error);

/* Likewise the change of the list; then there are both sums, and no whole list. */
MUST_CHECK enum error_code login_arguments_read_change(const struct login_arguments *arguments,
                                                       struct list_change **change,
                                                       struct error *error);
