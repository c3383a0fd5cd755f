#include "peer/catalogue/damage.h"

#include "common/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void piece_list_add(struct piece_list *list, size_t piece)
{
    assert(piece < MANIFEST_PIECES_MAX);
    if ((list->count & (list->count - 1)) == 0) /* full at every power of two */
        list->items =
            memory_resize(list->items, list->count ? 2 * list->count : 1, sizeof *list->items);
    list->items[list->count++] = (uint32_t)piece;
}

void piece_list_remove(struct piece_list *list, size_t piece)
{
    size_t kept = 0;

    for (size_t i = 0; i < list->count; i++)
        if (list->items[i] != piece)
            list->items[kept++] = list->items[i];
    list->count = kept;
}

struct piece_list piece_list_copy(const struct piece_list *list)
{
    struct piece_list copy = {0};

    for (size_t i = 0; i < list->count; i++)
        piece_list_add(&copy, list->items[i]);
    return copy;
}

void piece_list_done(struct piece_list *list)
{
    free(list->items);
    *list = (struct piece_list){0};
}

bool piece_list_touches(const struct piece_list *list, int64_t offset, int64_t length)
{
    for (size_t i = 0; i < list->count; i++) {
        int64_t begin = (int64_t)list->items[i] * (int64_t)PIECE_BYTES;
        if (length > 0 && begin < offset + length && offset < begin + (int64_t)PIECE_BYTES)
            return true;
    }
    return false;
}

bool piece_list_fits(const struct piece_list *list, int64_t size_bytes)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i] >= content_piece_count(size_bytes) ||
            (i > 0 && list->items[i] <= list->items[i - 1]))
            return false;
    return true;
}

void damage_done(struct damage *damage)
{
    piece_list_done(&damage->bad);
}

void damages_done(struct damages *damages)
{
    for (size_t i = 0; i < damages->count; i++)
        damage_done(&damages->items[i]);
    free(damages->items);
    *damages = (struct damages){0};
}

const struct damage *damages_find(const struct damages *damages,
                                  const struct share_identity *identity)
{
    for (size_t i = 0; i < damages->count; i++)
        if (share_identity_equal(&damages->items[i].identity, identity))
            return &damages->items[i];
    return NULL;
}

const struct damage *damages_after(const struct damages *damages, int64_t number)
{
    for (size_t i = 0; i < damages->count; i++)
        if (damages->items[i].number > number)
            return &damages->items[i];
    return NULL;
}

void damages_put(struct damages *damages, struct damage *damage)
{
    size_t place = 0;

    damages_drop(damages, &damage->identity);
    damages->items = memory_resize(damages->items, damages->count + 1, sizeof *damages->items);
    while (place < damages->count && damages->items[place].number < damage->number)
        place++;
    memmove(&damages->items[place + 1], &damages->items[place],
            (damages->count - place) * sizeof *damages->items);
    damages->items[place] = *damage;
    damages->count++;
    *damage = (struct damage){0};
}

void damages_drop(struct damages *damages, const struct share_identity *inode)
{
    size_t kept = 0;

    for (size_t i = 0; i < damages->count; i++) {
        struct damage *damage = &damages->items[i];
        if (damage->identity.inode == inode->inode && damage->identity.device == inode->device)
            damage_done(damage);
        else
            damages->items[kept++] = *damage;
    }
    damages->count = kept;
}

void damages_rename(struct damages *damages, const struct share_identity *identity,
                    const struct file_name *name)
{
    for (size_t i = 0; i < damages->count; i++)
        if (share_identity_equal(&damages->items[i].identity, identity))
            damages->items[i].name = *name;
}
