#include "directory/name_ids.h"

#include "common/memory.h"
#include "directory/secrets.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    PART_BITS = 8,
    PARTS = 1 << PART_BITS,
    ID_BITS = 40, /* names with higher ones are not kept */
    FIRST_CAPACITY = 32,
    GROWTH = 8,   /* by one in so many */
    FULL = 7,     /* of eight */
    OVERHANG = 16 /* places after the last one's own */
};

/* tag: the hash's further bits, above those of the id; 0: the place is empty. */
struct entry {
    uint64_t hash;
    uint64_t tag_and_id;
};

/* By rising hash, with empty places between them: each stands at its own place (own_place) or,
 * where that is taken, soon after it. */
struct part {
    pthread_mutex_t lock;
    struct entry *entries;
    size_t capacity; /* of own places */
    size_t count;
};

struct name_ids {
    struct secrets_slot_key key;
    size_t max;
    size_t count;      /* the writer's */
    bool has_left_out; /* the writer's: names that are not kept */
    atomic_bool is_complete;
    struct part parts[PARTS];
};

struct name_ids *name_ids_new(size_t max)
{
    struct name_ids *ids = memory_new(1, sizeof *ids);

    ids->max = max;
    secrets_make_slot_key(&ids->key);
    for (size_t i = 0; i < PARTS; i++)
        pthread_mutex_init(&ids->parts[i].lock, NULL);
    return ids;
}

void name_ids_free(struct name_ids *ids)
{
    if (!ids)
        return;
    for (size_t i = 0; i < PARTS; i++) {
        pthread_mutex_destroy(&ids->parts[i].lock);
        free(ids->parts[i].entries);
    }
    free(ids);
}

/* ---- one part; its lock is held ---- */

static uint64_t tag_of(const struct entry *entry)
{
    return entry->tag_and_id >> ID_BITS;
}

static int64_t id_of(const struct entry *entry)
{
    return (int64_t)(entry->tag_and_id & ((UINT64_C(1) << ID_BITS) - 1));
}

/* The hash's highest bits say which part. */
static size_t own_place(const struct part *part, uint64_t hash)
{
    return (size_t)((hash << PART_BITS >> 32) * part->capacity >> 32);
}

static size_t last_place(const struct part *part)
{
    return part->capacity + OVERHANG - 1;
}

/* Where it is, or would have to be; the last place is always empty. */
static size_t find_place(const struct part *part, const struct entry *wanted)
{
    size_t place = own_place(part, wanted->hash);

    while (part->entries[place].tag_and_id && (part->entries[place].hash < wanted->hash ||
                                               (part->entries[place].hash == wanted->hash &&
                                                tag_of(&part->entries[place]) != tag_of(wanted))))
        place++;
    return place;
}

/* NULL: it is not there. */
static struct entry *find(const struct part *part, const struct entry *wanted)
{
    if (part->capacity == 0)
        return NULL;
    struct entry *entry = &part->entries[find_place(part, wanted)];
    bool is_it =
        entry->tag_and_id && entry->hash == wanted->hash && tag_of(entry) == tag_of(wanted);
    return is_it ? entry : NULL;
}

/* False: there are too many in that corner. */
static bool insert(struct part *part, size_t place, const struct entry *entry)
{
    size_t end = place;

    while (part->entries[end].tag_and_id)
        end++;
    if (end == last_place(part))
        return false;
    memmove(&part->entries[place + 1], &part->entries[place],
            (end - place) * sizeof *part->entries);
    part->entries[place] = *entry;
    part->count++;
    return true;
}

static void grow(struct part *part);

static void add(struct part *part, const struct entry *entry)
{
    while (part->count >= part->capacity / 8 * FULL ||
           !insert(part, find_place(part, entry), entry))
        grow(part);
}

static void grow(struct part *part)
{
    struct part old = *part;
    size_t more = old.capacity / GROWTH;

    part->capacity = more < FIRST_CAPACITY ? old.capacity + FIRST_CAPACITY : old.capacity + more;
    part->entries = memory_new(part->capacity + OVERHANG, sizeof *part->entries);
    part->count = 0;
    for (size_t i = 0; old.capacity > 0 && i <= last_place(&old); i++)
        if (old.entries[i].tag_and_id)
            add(part, &old.entries[i]);
    free(old.entries);
}

/* Those after it move up, as far as that is nearer to their own places. */
static void take_out(struct part *part, size_t place)
{
    size_t end = place + 1;

    while (part->entries[end].tag_and_id && own_place(part, part->entries[end].hash) < end)
        end++;
    memmove(&part->entries[place], &part->entries[place + 1],
            (end - place - 1) * sizeof *part->entries);
    part->entries[end - 1] = (struct entry){0};
    part->count--;
}

/* ---- all ---- */

/* Its lock is taken. */
static struct part *lock_part(struct name_ids *ids, const char *name, struct entry *entry)
{
    uint64_t hash[2];

    secrets_wide_slot(&ids->key, name, strlen(name), hash);
    *entry = (struct entry){.hash = hash[0], .tag_and_id = hash[1] >> ID_BITS << ID_BITS};
    struct part *part = &ids->parts[hash[0] >> (64 - PART_BITS)];
    pthread_mutex_lock(&part->lock);
    return part;
}

enum name_ids_answer name_ids_find(struct name_ids *ids, const char *name, int64_t *id)
{
    /* Before the look: what is put in later may be missing in it. */
    bool is_complete = name_ids_is_complete(ids);
    struct entry wanted;
    struct part *part = lock_part(ids, name, &wanted);
    const struct entry *found = find(part, &wanted);

    if (found)
        *id = id_of(found);
    pthread_mutex_unlock(&part->lock);
    return found ? NAME_IDS_FOUND : is_complete ? NAME_IDS_NONE : NAME_IDS_UNKNOWN;
}

static void leave_out(struct name_ids *ids)
{
    ids->has_left_out = true;
    atomic_store(&ids->is_complete, false);
}

void name_ids_put(struct name_ids *ids, const char *name, int64_t id)
{
    struct entry entry;

    struct part *part = lock_part(ids, name, &entry);
    struct entry *there = find(part, &entry);
    entry.tag_and_id |= (uint64_t)id;
    if (id >> ID_BITS != 0 || (!there && ids->count == ids->max)) {
        leave_out(ids);
    } else if (there) {
        *there = entry;
    } else {
        add(part, &entry);
        ids->count++;
    }
    pthread_mutex_unlock(&part->lock);
}

void name_ids_remove(struct name_ids *ids, const char *name)
{
    struct entry wanted;
    struct part *part = lock_part(ids, name, &wanted);
    const struct entry *there = find(part, &wanted);

    if (there) {
        take_out(part, (size_t)(there - part->entries));
        ids->count--;
    }
    pthread_mutex_unlock(&part->lock);
}

void name_ids_complete(struct name_ids *ids)
{
    if (!ids->has_left_out)
        atomic_store(&ids->is_complete, true);
}

bool name_ids_is_complete(const struct name_ids *ids)
{
    return atomic_load(&ids->is_complete);
}
