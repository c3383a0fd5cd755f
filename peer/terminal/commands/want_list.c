#include "peer/terminal/commands/want_list.h"

#include "common/memory.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

static int compare_names(const void *left, const void *right)
{
    const struct want *a = left;
    const struct want *b = right;

    return strcmp(a->name, b->name);
}

void want_list_add(struct want_list *list, const char *name)
{
    struct want *want = memory_new(1, sizeof *want);

    want->name = memory_copy_string(name);
    struct want *const *found = tsearch(want, &list->names, compare_names);
    if (found && *found != want) {
        free(want->name);
        free(want);
        return;
    }
    list->wants = memory_resize(list->wants, list->count + 1, sizeof(struct want *));
    list->wants[list->count++] = want;
}

void want_list_begin(struct want_list *list, struct want *want, uint64_t id)
{
    want->id = id;
    want->state = WANT_OPEN;
    list->begun = memory_resize(list->begun, list->begun_count + 1, sizeof(struct want *));
    list->begun[list->begun_count++] = want;
}

static int compare_id(const void *id, const void *item)
{
    uint64_t left = *(const uint64_t *)id;
    uint64_t right = (*(struct want *const *)item)->id;

    return (left > right) - (left < right);
}

struct want *want_list_find(const struct want_list *list, uint64_t id)
{
    struct want *const *found =
        list->begun_count == 0
            ? NULL
            : bsearch(&id, list->begun, list->begun_count, sizeof(struct want *), compare_id);

    return found && (*found)->state == WANT_OPEN ? *found : NULL;
}

static void leave(void *want)
{
    (void)want; /* the list frees it */
}

void want_list_done(struct want_list *list)
{
    tdestroy(list->names, leave);
    for (size_t i = 0; i < list->count; i++) {
        free(list->wants[i]->name);
        free(list->wants[i]);
    }
    free(list->wants);
    free(list->begun);
    *list = (struct want_list){.wants = NULL};
}
