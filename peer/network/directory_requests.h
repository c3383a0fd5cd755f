/*
 * What a login to the directory carries, as form fields: percent-encoded, for a body or for a query
 * string; and what a question for many names does. Pure.
 */
#pragma once

#include "common/buffer.h"
#include "peer/network/directory_client.h"

#include <stddef.h>

/* Appends text with all but the unreserved characters of RFC 3986 as %XX. */
void directory_encode(struct buffer *out, const char *text);

/* Appends "username=U&password=P". */
void directory_append_user(struct buffer *out, const struct directory_login *login);

/* Appends "&index_etag=SUM". */
void directory_append_etag(struct buffer *out, const struct index_sum *etag);

/* Whether it can stand in a header: RFC 6750, section 2.1. */
bool directory_is_bearer(const char *token);

/* Appends "&index_base=SUM&files_added=[...]&files_removed=[...]" from the login's changes. */
void directory_append_changes(struct buffer *out, const struct directory_login *login);

/* What counts of a file for the sum, where not only names are told. Borrowed from it. */
void directory_sum_file(const struct share_file *file, struct index_sum_file *told);

/* The sum of the list of files that directory_append_index would write as one. */
void directory_sum_index(const struct directory_login *login, struct index_sum *sum);

/* Appends "&files_index=[...]" with the files from number first on, as many as fit until out has
 * max_bytes (at least one). Returns the number of the first file that is left. */
size_t directory_append_index(struct buffer *out, const struct directory_login *login, size_t first,
                              size_t max_bytes);

/* DIRECTORY_NAMES_MAX of the longest names, each byte escaped. */
#define DIRECTORY_NAMES_BYTES ((size_t)1 << 20)

/* Appends {"filenames":[NAME, ...]}. Returns whether any of them is a path. */
bool directory_append_names(struct buffer *out, const struct file_name *const *names, size_t count);
