#include "peer/catalogue/known.h"

#include "common/memory.h"
#include "common/text_hash.h"

#include <stdlib.h>

#define FIRST_CAPACITY 16

void known_done(struct known *known)
{
    free(known->slots);
    *known = (struct known){0};
}

/* The slot of that inode, or the free one where it belongs. The table is never full. */
static struct known_file *slot_of(const struct known *known, uint64_t device, uint64_t inode)
{
    uint64_t hash = (inode ^ device * 0x9e3779b97f4a7c15U) * 0xd6e8feb86659fd93U;
    size_t at = (size_t)(hash >> 32) & (known->capacity - 1);

    while (known->slots[at].used &&
           (known->slots[at].identity.inode != inode || known->slots[at].identity.device != device))
        at = (at + 1) & (known->capacity - 1);
    return &known->slots[at];
}

static struct known_file *find_inode(const struct known *known,
                                     const struct share_identity *identity)
{
    if (known->capacity == 0)
        return NULL;
    struct known_file *slot = slot_of(known, identity->device, identity->inode);
    return slot->used ? slot : NULL;
}

const struct known_file *known_see(struct known *known, const struct share_identity *identity,
                                   uint64_t scan)
{
    struct known_file *file = find_inode(known, identity);

    if (file)
        file->scan = scan;
    return file;
}

bool known_unseen(const struct known *known, const struct share_identity *identity, uint64_t scan)
{
    const struct known_file *file = find_inode(known, identity);

    return file && file->scan != scan;
}

const struct known_file *known_find(const struct known *known,
                                    const struct share_identity *identity)
{
    const struct known_file *file = find_inode(known, identity);

    return file && share_identity_equal(&file->identity, identity) ? file : NULL;
}

static void grow(struct known *known)
{
    struct known larger = {.capacity = known->capacity ? 2 * known->capacity : FIRST_CAPACITY};

    larger.slots = memory_new(larger.capacity, sizeof *larger.slots);
    for (size_t i = 0; i < known->capacity; i++)
        if (known->slots[i].used)
            known_put(&larger, &known->slots[i]);
    known_done(known);
    *known = larger;
}

void known_put(struct known *known, const struct known_file *file)
{
    if (4 * (known->count + 1) > 3 * known->capacity)
        grow(known);
    struct known_file *slot = slot_of(known, file->identity.device, file->identity.inode);
    known->count += !slot->used;
    *slot = *file;
    slot->used = true;
}

void known_keep(struct known *known, uint64_t scan)
{
    struct known kept = {.count = 0};

    for (size_t i = 0; i < known->capacity; i++)
        if (known->slots[i].used && known->slots[i].scan == scan)
            known_put(&kept, &known->slots[i]);
    known_done(known);
    *known = kept;
}

uint64_t known_hash_name(const struct file_name *name)
{
    uint64_t hash = text_hash(TEXT_HASH_START, name->text);

    return hash ? hash : 1;
}
