#include "directory/list_change.h"

#include "common/buffer.h"
#include "common/file_name.h"
#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

enum { TEXT_LIMIT_BYTES = 1 << 30 };

struct list_change {
    struct files_index *added;
    struct buffer texts; /* names, each with its NUL */
    size_t *removed;     /* places in texts until they are sorted, then of names */
    const char **names;
    size_t removed_count;
    bool has_urls, has_folders;
};

static enum error_code wrong_shape(struct error *error)
{
    return error_set(error, ERROR_INVALID, "files_added, files_removed: wrong shape");
}

static bool any_has_urls(const struct json *added)
{
    for (const struct json *item = json_first(added); item; item = json_next(item)) {
        const struct json *urls = json_find(item, "url");
        if (urls && !json_is_null(urls))
            return true;
    }
    return false;
}

static int compare_names(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static void sort_unique(struct list_change *change)
{
    size_t kept = 0;

    change->names = memory_new(change->removed_count, sizeof *change->names);
    for (size_t i = 0; i < change->removed_count; i++)
        change->names[i] = change->texts.data + change->removed[i];
    if (change->removed_count > 0)
        qsort(change->names, change->removed_count, sizeof *change->names, compare_names);
    for (size_t i = 0; i < change->removed_count; i++)
        if (kept == 0 || strcmp(change->names[kept - 1], change->names[i]) != 0)
            change->names[kept++] = change->names[i];
    change->removed_count = kept;
}

static enum error_code read_removed(struct list_change *change, const struct json *list,
                                    struct error *error)
{
    change->removed = memory_new(json_count(list), sizeof *change->removed);
    for (const struct json *item = json_first(list); item; item = json_next(item)) {
        const char *text = json_string(item);
        struct file_name name;
        if (!text || file_name_parse_path(text, strlen(text), &name, NULL))
            return wrong_shape(error);
        change->has_folders = change->has_folders || file_name_in_folder(&name);
        change->removed[change->removed_count++] = change->texts.length;
        buffer_append(&change->texts, name.text, strlen(name.text) + 1);
    }
    if (change->texts.failed)
        return wrong_shape(error);
    sort_unique(change);
    free(change->removed);
    change->removed = NULL;
    return ERROR_NONE;
}

enum error_code list_change_from_json(const struct json *added, const struct json *removed,
                                      struct list_change **change, struct error *error)
{
    auto_json *nothing = NULL;
    enum error_code code = json_parse("[]", 2, &nothing, error);

    if (code)
        return code;
    added = added ? added : nothing;
    if (!json_is_array(added) || (removed && !json_is_array(removed)))
        return wrong_shape(error);
    struct list_change *made = memory_new(1, sizeof *made);
    buffer_init(&made->texts, TEXT_LIMIT_BYTES);
    code = files_index_from_json(added, "", &made->added, error);
    if (!code)
        code = read_removed(made, removed, error);
    if (code) {
        list_change_free(made);
        return code;
    }
    made->has_urls = any_has_urls(added);
    made->has_folders = made->has_folders || files_index_has_folders(made->added);
    *change = made;
    return ERROR_NONE;
}

void list_change_free(struct list_change *change)
{
    if (!change)
        return;
    files_index_free(change->added);
    buffer_done(&change->texts);
    free(change->removed);
    free(change->names);
    free(change);
}

bool list_change_has_urls(const struct list_change *change)
{
    return change->has_urls;
}

bool list_change_has_folders(const struct list_change *change)
{
    return change->has_folders;
}

size_t list_change_memory_bytes(const struct list_change *change)
{
    return sizeof *change + files_index_memory_bytes(change->added) + change->texts.capacity +
           change->removed_count * sizeof *change->names;
}

const struct files_index *list_change_added(const struct list_change *change)
{
    return change->added;
}

size_t list_change_removed_count(const struct list_change *change)
{
    return change->removed_count;
}

const char *list_change_removed(const struct list_change *change, size_t item)
{
    return change->names[item];
}

bool list_change_removes(const struct list_change *change, const char *name)
{
    return change->removed_count > 0 && bsearch(&name, change->names, change->removed_count,
                                                sizeof *change->names, compare_names) != NULL;
}

bool list_change_adds(const struct list_change *change, const char *name)
{
    size_t low = 0;
    size_t high = files_index_count(change->added);

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(files_index_name(change->added, middle), name);
        if (order == 0)
            return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}
