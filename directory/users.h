/*
 * Who may log in. Names and hashes come from the users file. Once a password with an Argon2id hash
 * was right, a keyed fast hash of it (BLAKE2b, a random key of this process) is kept in memory, so
 * that a heartbeat never pays for Argon2; generated passwords have fast hashes from the beginning
 * (directory/password.h). Any thread.
 */
#pragma once

#include "common/error.h"
#include "directory/user_list.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct users;

/* Somebody who wants in, as he came: any bytes. */
struct credentials {
    const char *name;
    size_t name_length;
    const char *password;
    size_t password_length;
};

struct users *users_new(void); /* nobody can log in */
void users_free(struct users *users);

/* Replaces all users by the list's, which is emptied. Fast hashes of users whose hash is
 * the same are kept. */
void users_replace(struct users *users, struct user_list *list);
size_t users_count(struct users *users);

/* Whether this password was right before, or is a generated one and right. False says nothing: ask
 * users_verify. */
bool users_verify_quickly(struct users *users, const struct credentials *credentials);

/* Runs Argon2, always once, so that a wrong password costs what an unknown user costs. Not on an
 * HTTP thread. */
bool users_verify(struct users *users, const struct credentials *credentials);

/* A mark of the user with the hash that he has now, never 0: another password is another user. 0:
 * there is nobody of that name. */
uint64_t users_mark(struct users *users, const char *name, size_t name_length);
/* Another one, never 0, when the users have been replaced: all marks that were looked up after it
 * was read are good as long as it stays the same. */
uint32_t users_generation(struct users *users);
