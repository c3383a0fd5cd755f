#include "directory/users.h"

#include "common/memory.h"
#include "directory/password.h"
#include "directory/secrets.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { QUICK_BYTES = SECRETS_DIGEST_BYTES };

/* What an unknown user's password is checked against when there are no users at all. */
static const char nobodys_hash[] = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$"
                                   "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

struct quick {
    uint32_t entry; /* of the list */
    unsigned char bytes[QUICK_BYTES];
};

struct users {
    struct secrets_key key;
    atomic_uint generation; /* written under the lock, with the list */
    pthread_mutex_t lock;   /* guards what follows */
    struct user_list list;
    /* Of users with an Argon2id hash whose right password was seen: the number of theirs, from 1
     * on, by the number of the entry. */
    uint32_t *quick_of;
    struct quick *quicks;
    size_t quick_count;
    const char *slow_hash; /* somebody's, for those who are nobody */
};

struct users *users_new(void)
{
    struct users *users = memory_new(1, sizeof *users);

    secrets_make_key(&users->key);
    users->generation = 1;
    pthread_mutex_init(&users->lock, NULL);
    users->slow_hash = nobodys_hash;
    return users;
}

static void free_contents(struct users *users)
{
    if (users->quicks)
        secrets_wipe(users->quicks, users->quick_count * sizeof *users->quicks);
    free(users->quicks);
    free(users->quick_of);
    user_list_done(&users->list);
}

void users_free(struct users *users)
{
    if (!users)
        return;
    free_contents(users);
    pthread_mutex_destroy(&users->lock);
    secrets_wipe(&users->key, sizeof users->key);
    free(users);
}

static const struct user_entry *find(const struct users *users, const char *name, size_t length)
{
    return user_list_look_up(&users->list, name, length);
}

static void keep_quick(struct users *users, const struct user_entry *entry,
                       const unsigned char bytes[QUICK_BYTES])
{
    size_t number = (size_t)(entry - users->list.entries);
    size_t count = users->quick_count;

    if (users->quick_of[number] == 0) {
        /* Grows by doubling: a power of two is full. */
        if ((count & (count - 1)) == 0)
            users->quicks =
                memory_resize(users->quicks, count ? count * 2 : 1, sizeof *users->quicks);
        users->quicks[count].entry = (uint32_t)number;
        users->quick_of[number] = (uint32_t)++users->quick_count;
    }
    memcpy(users->quicks[users->quick_of[number] - 1].bytes, bytes, QUICK_BYTES);
}

static const char *find_slow_hash(const struct user_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        if (!password_hash_is_fast(list->entries[i].hash))
            return list->entries[i].hash;
    return nobodys_hash;
}

void users_replace(struct users *users, struct user_list *list)
{
    struct users fresh = {.list = *list,
                          .quick_of = memory_new(list->count, sizeof *fresh.quick_of),
                          .slow_hash = find_slow_hash(list)};

    *list = (struct user_list){0};
    pthread_mutex_lock(&users->lock);
    for (size_t i = 0; i < users->quick_count; i++) {
        const struct user_entry *old = &users->list.entries[users->quicks[i].entry];
        const struct user_entry *entry = find(&fresh, old->name, strlen(old->name));
        if (entry && strcmp(entry->hash, old->hash) == 0)
            keep_quick(&fresh, entry, users->quicks[i].bytes);
    }
    struct users old = *users;
    atomic_fetch_add(&users->generation, 1);
    users->list = fresh.list;
    users->quick_of = fresh.quick_of;
    users->quicks = fresh.quicks;
    users->quick_count = fresh.quick_count;
    users->slow_hash = fresh.slow_hash;
    pthread_mutex_unlock(&users->lock);
    free_contents(&old);
}

size_t users_count(struct users *users)
{
    pthread_mutex_lock(&users->lock);
    size_t count = users->list.count;
    pthread_mutex_unlock(&users->lock);
    return count;
}

/* The name's length goes in, so that no other pair of name and password gives the same bytes. */
static void make_quick(const struct users *users, const struct credentials *credentials,
                       unsigned char quick[QUICK_BYTES])
{
    struct secrets_digest digest;

    secrets_digest_init(&digest, &users->key);
    secrets_digest_add(&digest, &credentials->name_length, sizeof credentials->name_length);
    secrets_digest_add(&digest, credentials->name, credentials->name_length);
    secrets_digest_add(&digest, credentials->password, credentials->password_length);
    secrets_digest_finish(&digest, quick);
}

static void copy_hash(char out[PASSWORD_HASH_BYTES], const char *hash)
{
    memcpy(out, hash, strlen(hash) + 1);
}

/* What is known of a user without trying his password. */
struct known {
    bool exists;
    bool is_fast;   /* hash can be tried at once */
    bool has_quick; /* quick is the right password's */
    char hash[PASSWORD_HASH_BYTES];
    unsigned char quick[QUICK_BYTES];
};

static void look_up(struct users *users, const struct credentials *credentials, struct known *known)
{
    pthread_mutex_lock(&users->lock);
    const struct user_entry *entry = find(users, credentials->name, credentials->name_length);
    uint32_t quick = entry ? users->quick_of[entry - users->list.entries] : 0;
    known->exists = entry != NULL;
    known->is_fast = entry && password_hash_is_fast(entry->hash);
    known->has_quick = quick > 0;
    /* Differs: the reference has its users in the program, and its time tells who exists. */
    copy_hash(known->hash, entry ? entry->hash : users->slow_hash);
    if (quick > 0)
        memcpy(known->quick, users->quicks[quick - 1].bytes, QUICK_BYTES);
    pthread_mutex_unlock(&users->lock);
}

bool users_verify_quickly(struct users *users, const struct credentials *credentials)
{
    unsigned char quick[QUICK_BYTES];
    struct known known;

    look_up(users, credentials, &known);
    if (known.is_fast)
        return password_matches(known.hash, credentials->password, credentials->password_length);
    make_quick(users, credentials, quick);
    return known.has_quick && secrets_equal(known.quick, quick, QUICK_BYTES);
}

/* A wrong password of a user whose right one is tried at once costs what a wrong one of others
 * does.
 */
static void take_time(struct users *users, const struct credentials *credentials)
{
    char hash[PASSWORD_HASH_BYTES];

    pthread_mutex_lock(&users->lock);
    copy_hash(hash, users->slow_hash);
    pthread_mutex_unlock(&users->lock);
    (void)password_matches(hash, credentials->password, credentials->password_length);
}

bool users_verify(struct users *users, const struct credentials *credentials)
{
    unsigned char quick[QUICK_BYTES];
    struct known known;

    look_up(users, credentials, &known);
    bool matches =
        password_matches(known.hash, credentials->password, credentials->password_length) &&
        known.exists;
    if (known.is_fast)
        take_time(users, credentials);
    if (!matches || known.is_fast)
        return matches;
    make_quick(users, credentials, quick);
    pthread_mutex_lock(&users->lock);
    const struct user_entry *entry = find(users, credentials->name, credentials->name_length);
    bool same = entry && strcmp(entry->hash, known.hash) == 0; /* not replaced meanwhile */
    if (same)
        keep_quick(users, entry, quick);
    pthread_mutex_unlock(&users->lock);
    return same;
}

uint64_t users_mark(struct users *users, const char *name, size_t name_length)
{
    uint64_t mark = 0;

    pthread_mutex_lock(&users->lock);
    const struct user_entry *entry = find(users, name, name_length);
    if (entry) {
        mark = secrets_mark(entry->hash, strlen(entry->hash));
        mark = mark ? mark : 1;
    }
    pthread_mutex_unlock(&users->lock);
    return mark;
}

uint32_t users_generation(struct users *users)
{
    return atomic_load(&users->generation);
}
