#include "directory/users.h"

#include "common/memory.h"
#include "directory/password.h"
#include "directory/secrets.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { QUICK_BYTES = SECRETS_DIGEST_BYTES };

/* What an unknown user's password is checked against when there are no users at all. */
static const char nobodys_hash[] = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$"
                                   "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

struct user {
    char *name;
    char *hash;
    bool known; /* quick holds the right password's */
    unsigned char quick[QUICK_BYTES];
};

/* Open addressing, at most half full. Not changed once made but for known and quick. */
struct table {
    struct user *slots;
    size_t mask;
    size_t count;
};

struct users {
    struct secrets_key key;
    struct secrets_slot_key slot_key;
    pthread_mutex_t lock;
    struct table table; /* guarded by lock */
};

static struct user *slot_of(const struct users *users, const struct table *table, const char *name,
                            size_t length)
{
    uint64_t hash = secrets_slot(&users->slot_key, name, length);

    for (size_t i = (size_t)hash & table->mask;; i = (i + 1) & table->mask) {
        struct user *slot = &table->slots[i];
        if (!slot->name || (strlen(slot->name) == length && memcmp(slot->name, name, length) == 0))
            return slot;
    }
}

static void make_table(struct table *table, size_t count)
{
    size_t size = 8;

    while (size < count * 2)
        size *= 2;
    *table = (struct table){.slots = memory_new(size, sizeof *table->slots), .mask = size - 1};
}

static void free_table(struct table *table)
{
    for (size_t i = 0; i <= table->mask; i++) {
        free(table->slots[i].name);
        free(table->slots[i].hash);
    }
    secrets_wipe(table->slots, (table->mask + 1) * sizeof *table->slots);
    free(table->slots);
}

struct users *users_new(void)
{
    struct users *users = memory_new(1, sizeof *users);

    secrets_make_key(&users->key);
    secrets_make_slot_key(&users->slot_key);
    pthread_mutex_init(&users->lock, NULL);
    make_table(&users->table, 0);
    return users;
}

void users_free(struct users *users)
{
    if (!users)
        return;
    free_table(&users->table);
    pthread_mutex_destroy(&users->lock);
    secrets_wipe(&users->key, sizeof users->key);
    free(users);
}

void users_replace(struct users *users, struct user_list *list)
{
    struct table fresh;

    make_table(&fresh, list->count);
    for (size_t i = 0; i < list->count; i++) {
        struct user_entry *entry = &list->entries[i];
        struct user *slot = slot_of(users, &fresh, entry->name, strlen(entry->name));
        slot->name = take_pointer(&entry->name);
        slot->hash = take_pointer(&entry->hash);
    }
    fresh.count = list->count;
    user_list_done(list);

    pthread_mutex_lock(&users->lock);
    struct table old = users->table;
    for (size_t i = 0; i <= old.mask; i++) {
        const struct user *user = &old.slots[i];
        struct user *slot =
            user->known ? slot_of(users, &fresh, user->name, strlen(user->name)) : NULL;
        if (slot && slot->name && strcmp(slot->hash, user->hash) == 0) {
            slot->known = true;
            memcpy(slot->quick, user->quick, QUICK_BYTES);
        }
    }
    users->table = fresh;
    pthread_mutex_unlock(&users->lock);
    free_table(&old);
}

size_t users_count(struct users *users)
{
    pthread_mutex_lock(&users->lock);
    size_t count = users->table.count;
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

bool users_verify_quickly(struct users *users, const struct credentials *credentials)
{
    unsigned char quick[QUICK_BYTES];

    make_quick(users, credentials, quick);
    pthread_mutex_lock(&users->lock);
    const struct user *user =
        slot_of(users, &users->table, credentials->name, credentials->name_length);
    bool good = user->name && user->known && secrets_equal(user->quick, quick, QUICK_BYTES);
    pthread_mutex_unlock(&users->lock);
    return good;
}

/* Copies the hash to check against; false: nobody of that name, and the hash is somebody else's, so
 * that the check takes as long. */
static bool copy_hash(struct users *users, const struct credentials *credentials,
                      char hash[PASSWORD_HASH_BYTES])
{
    /* Differs: the reference has its users in the program, and its time tells who exists. */
    const char *found = nobodys_hash;

    pthread_mutex_lock(&users->lock);
    const struct user *user =
        slot_of(users, &users->table, credentials->name, credentials->name_length);
    bool known = user->name != NULL;
    if (known) {
        found = user->hash;
    } else if (users->table.count > 0) {
        for (user = users->table.slots; !user->name; user++)
            continue;
        found = user->hash;
    }
    memcpy(hash, found, strlen(found) + 1);
    pthread_mutex_unlock(&users->lock);
    return known;
}

bool users_verify(struct users *users, const struct credentials *credentials)
{
    char hash[PASSWORD_HASH_BYTES];
    unsigned char quick[QUICK_BYTES];
    bool known = copy_hash(users, credentials, hash);
    bool matches =
        password_matches(hash, credentials->password, credentials->password_length) && known;

    if (!matches)
        return false;
    make_quick(users, credentials, quick);
    pthread_mutex_lock(&users->lock);
    struct user *user = slot_of(users, &users->table, credentials->name, credentials->name_length);
    bool same = user->name && strcmp(user->hash, hash) == 0; /* not replaced meanwhile */
    if (same) {
        user->known = true;
        memcpy(user->quick, quick, QUICK_BYTES);
    }
    pthread_mutex_unlock(&users->lock);
    return same;
}

uint64_t users_mark(struct users *users, const char *name, size_t name_length)
{
    uint64_t mark = 0;

    pthread_mutex_lock(&users->lock);
    const struct user *user = slot_of(users, &users->table, name, name_length);
    if (user->name) {
        mark = secrets_mark(user->hash, strlen(user->hash));
        mark = mark ? mark : 1;
    }
    pthread_mutex_unlock(&users->lock);
    return mark;
}
