#include "peer/network/list_changes.h"

#include "common/memory.h"
#include "peer/network/directory_requests.h"

#include <stdlib.h>
#include <string.h>

/* Lists of files that are the same in memory have the same names. */
static int compare_names(const struct share_file *left, const struct share_file *right)
{
    return left->name == right->name ? 0 : strcmp(left->name, right->name);
}

static bool has_same_content(const struct share_file *left, const struct share_file *right)
{
    return left->partial == right->partial && left->has_content == right->has_content &&
           (!left->has_content ||
            memcmp(left->content.bytes, right->content.bytes, sizeof left->content.bytes) == 0);
}

static void append(const struct share_file ***files, size_t *count, const struct share_file *file)
{
    if ((*count & (*count - 1)) == 0) /* full: it has grown to a power of two */
        *files = memory_resize(*files, *count ? *count * 2 : 1, sizeof **files);
    (*files)[(*count)++] = file;
}

static void compare(const struct share_file *was, const struct share_file *is,
                    struct list_changes *changes)
{
    bool same_content = has_same_content(was, is);

    if (same_content && was->size_bytes == is->size_bytes)
        return;
    changes->is_news |= !same_content;
    append(&changes->removed, &changes->removed_count, was);
    append(&changes->added, &changes->added_count, is);
}

void list_changes_find(const struct share_list *from, const struct share_list *to,
                       struct list_changes *changes)
{
    size_t i = 0;
    size_t k = 0;

    *changes = (struct list_changes){0};
    while (i < from->count || k < to->count) {
        int order = i == from->count ? 1
                    : k == to->count ? -1
                                     : compare_names(&from->files[i], &to->files[k]);
        changes->is_news |= order != 0;
        if (order < 0)
            append(&changes->removed, &changes->removed_count, &from->files[i++]);
        else if (order > 0)
            append(&changes->added, &changes->added_count, &to->files[k++]);
        else
            compare(&from->files[i++], &to->files[k++], changes);
    }
}

void list_changes_done(struct list_changes *changes)
{
    free(changes->removed);
    free(changes->added);
    *changes = (struct list_changes){0};
}

void list_changes_apply(const struct list_changes *changes, struct index_sum *sum)
{
    struct index_sum_file file;

    for (size_t i = 0; i < changes->removed_count; i++) {
        directory_sum_file(changes->removed[i], &file);
        index_sum_subtract(sum, &file);
    }
    for (size_t i = 0; i < changes->added_count; i++) {
        directory_sum_file(changes->added[i], &file);
        index_sum_add(sum, &file);
    }
}
