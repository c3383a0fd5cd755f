/*
 * The users file as a list. Pure: text in, list out, and back.
 *
 *   # comment
 *   NAME:$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH
 *   NAME:$p2p-random$SALT$HASH
 *
 * Blank lines and spaces at the end of a line do not count. A list of a million users with
 * generated passwords takes 120 MB: its text, and 24 bytes a user to find him by his name.
 */
#pragma once

#include "common/buffer.h"
#include "common/error.h"

#include <stddef.h>
#include <stdint.h>

#define USER_LIST_FILE_MAX_BYTES (512 << 20) /* two million users with names of 128 bytes */
#define USER_LIST_MAX            2000000
#define USER_NAME_MAX_BYTES      128
#define USER_HASH_BYTES          128 /* crypto_pwhash_STRBYTES, the NUL counted */

struct user_entry {
    const char *name;
    const char *hash; /* one that directory/password knows */
};

struct user_list {
    struct user_entry *entries; /* in the order of the file */
    size_t count, capacity;
    char **texts; /* what the entries point into */
    size_t text_count;
    uint32_t *slots; /* by name: the number of the entry, from 1 on; NULL: made when needed */
    size_t slot_mask;
};

/* ERROR_INVALID names the line; the list is empty then. source names the file. */
MUST_CHECK enum error_code user_list_parse(const char *source, const char *text, size_t length,
                                           struct user_list *list, struct error *error);
/* The same of text that it takes and changes, so that there is no second one. */
MUST_CHECK enum error_code user_list_take(const char *source, char *text, size_t length,
                                          struct user_list *list, struct error *error);
void user_list_done(struct user_list *list);

/* The file's text. */
void user_list_format(const struct user_list *list, struct buffer *out);

/* A name is 1 to USER_NAME_MAX_BYTES of UTF-8 without ':' and control characters, and does not
 * begin with '#' or begin or end with a space. ERROR_INVALID with the reason. */
MUST_CHECK enum error_code user_name_check(const char *name, size_t length, struct error *error);

/* Borrowed until the list changes, or NULL. */
struct user_entry *user_list_find(struct user_list *list, const char *name);
/* Of a list that was parsed; any thread, while nobody changes it. */
const struct user_entry *user_list_look_up(const struct user_list *list, const char *name,
                                           size_t length);
/* Replaces the hash of a user that is there, appends one that is not. */
void user_list_set(struct user_list *list, const char *name, const char *hash);
/* ERROR_NOT_FOUND. */
MUST_CHECK enum error_code user_list_remove(struct user_list *list, const char *name,
                                            struct error *error);
