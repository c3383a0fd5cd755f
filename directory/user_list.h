/*
 * The users file as a list. Pure: text in, list out, and back.
 *
 *   # comment
 *   NAME:$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH
 *
 * Blank lines and spaces at the end of a line do not count.
 */
#pragma once

#include "common/buffer.h"
#include "common/error.h"

#include <stddef.h>

#define USER_LIST_FILE_MAX_BYTES (64 << 20) /* half a million users */
#define USER_NAME_MAX_BYTES      128
#define USER_HASH_BYTES          128 /* crypto_pwhash_STRBYTES, the NUL counted */

struct user_entry {
    char *name;
    char *hash; /* an Argon2id string that libsodium accepts */
};

struct user_list {
    struct user_entry *entries; /* owned by the list, in the order of the file */
    size_t count;
};

/* ERROR_INVALID names the line; the list is empty then. source names the file. */
MUST_CHECK enum error_code user_list_parse(const char *source, const char *text, size_t length,
                                           struct user_list *list, struct error *error);
void user_list_done(struct user_list *list);

/* The file's text. */
void user_list_format(const struct user_list *list, struct buffer *out);

/* A name is 1 to USER_NAME_MAX_BYTES of UTF-8 without ':' and control characters, and does not
 * begin with '#' or begin or end with a space. ERROR_INVALID with the reason. */
MUST_CHECK enum error_code user_name_check(const char *name, size_t length, struct error *error);

/* Borrowed, or NULL. */
struct user_entry *user_list_find(const struct user_list *list, const char *name);
/* Replaces the hash of a user that is there, appends one that is not. */
void user_list_set(struct user_list *list, const char *name, const char *hash);
/* ERROR_NOT_FOUND. */
MUST_CHECK enum error_code user_list_remove(struct user_list *list, const char *name,
                                            struct error *error);
