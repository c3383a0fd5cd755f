#include "directory/difference.h"

#include "common/memory.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Arrays grow by doubling: a power of two is full. */
static bool is_full(size_t count)
{
    return (count & (count - 1)) == 0;
}

static void note_item(size_t **items, size_t *count, size_t item)
{
    if (is_full(*count))
        *items = memory_resize(*items, *count ? *count * 2 : 1, sizeof **items);
    (*items)[(*count)++] = item;
}

static void note_removed(struct difference *difference, const char *name)
{
    size_t count = difference->removed_count;

    if (is_full(count))
        difference->removed =
            memory_resize(difference->removed, count ? count * 2 : 1, sizeof(char *));
    difference->removed[difference->removed_count++] = memory_copy_string(name);
}

static bool same_text(const char *left, const char *right)
{
    return left && right ? strcmp(left, right) == 0 : left == right;
}

static bool same_content(const struct file_content *left, const struct file_content *right)
{
    if (left->size_bytes != right->size_bytes || left->partial != right->partial)
        return false;
    return left->id && right->id ? content_id_equal(left->id, right->id) : left->id == right->id;
}

void difference_see(struct difference *difference, const char *name, const char *urls,
                    const struct file_content *content)
{
    const struct files_index *files = difference->files;
    size_t count = files_index_count(files);
    int order = 1;

    while (difference->next < count &&
           (order = strcmp(files_index_name(files, difference->next), name)) < 0)
        note_item(&difference->added, &difference->added_count, difference->next++);
    if (difference->next == count || order > 0) {
        note_removed(difference, name);
        return;
    }
    struct file_content given = files_index_content(files, difference->next);
    if (!same_text(files_index_urls(files, difference->next), urls) ||
        !same_content(&given, content))
        note_item(&difference->changed, &difference->changed_count, difference->next);
    difference->next++;
}

void difference_finish(struct difference *difference)
{
    while (difference->next < files_index_count(difference->files))
        note_item(&difference->added, &difference->added_count, difference->next++);
}

void difference_done(struct difference *difference)
{
    for (size_t i = 0; i < difference->removed_count; i++)
        free(difference->removed[i]);
    free(difference->removed);
    free(difference->added);
    free(difference->changed);
}
