#include "peer/share/list/watched.h"

#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

void watched_done(struct watched_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i].path);
    free(list->items);
    *list = (struct watched_list){0};
}

/* The first that is not before it. */
static size_t place_of(const struct watched_list *list, int descriptor)
{
    size_t low = 0;
    size_t high = list->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (list->items[middle].descriptor < descriptor)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_at(const struct watched_list *list, size_t place, int descriptor)
{
    return place < list->count && list->items[place].descriptor == descriptor;
}

const char *watched_path(const struct watched_list *list, int descriptor)
{
    size_t place = place_of(list, descriptor);

    return is_at(list, place, descriptor) ? list->items[place].path : NULL;
}

bool watched_put(struct watched_list *list, int descriptor, const char *path)
{
    size_t place = place_of(list, descriptor);

    if (is_at(list, place, descriptor))
        return strcmp(list->items[place].path, path) == 0;
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? list->capacity * 2 : 16;
        list->items = memory_resize(list->items, list->capacity, sizeof *list->items);
    }
    memmove(list->items + place + 1, list->items + place,
            (list->count - place) * sizeof *list->items);
    list->items[place] =
        (struct watched){.descriptor = descriptor, .path = memory_copy_string(path)};
    list->count++;
    return true;
}

void watched_drop(struct watched_list *list, int descriptor)
{
    size_t place = place_of(list, descriptor);

    if (!is_at(list, place, descriptor))
        return;
    free(list->items[place].path);
    list->count--;
    memmove(list->items + place, list->items + place + 1,
            (list->count - place) * sizeof *list->items);
}

void watched_drop_folder(struct watched_list *list, const char *path,
                         void (*dropped)(void *context, int descriptor), void *context)
{
    size_t length = strlen(path);
    size_t kept = 0;

    for (size_t i = 0; i < list->count; i++) {
        struct watched *item = &list->items[i];
        if (strncmp(item->path, path, length) != 0 ||
            (item->path[length] != '\0' && item->path[length] != '/')) {
            list->items[kept++] = *item;
            continue;
        }
        dropped(context, item->descriptor);
        free(item->path);
    }
    list->count = kept;
}
