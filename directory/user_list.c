#include "directory/user_list.h"

#include "common/memory.h"
#include "common/text.h"
#include "directory/password.h"

#include <stdlib.h>
#include <string.h>

enum error_code user_name_check(const char *name, size_t length, struct error *error)
{
    if (length == 0 || length > USER_NAME_MAX_BYTES)
        return error_set(error, ERROR_INVALID, "a user name has 1 to %d bytes",
                         USER_NAME_MAX_BYTES);
    if (!text_is_utf8(name, length) || text_has_control(name, length))
        return error_set(error, ERROR_INVALID,
                         "a user name is UTF-8 text without control characters");
    if (memchr(name, ':', length) || name[0] == '#' || name[0] == ' ' || name[length - 1] == ' ')
        return error_set(error, ERROR_INVALID,
                         "a user name has no ':', no '#' or space at its beginning and no space at "
                         "its end");
    return ERROR_NONE;
}

static void append(struct user_list *list, char *name, char *hash)
{
    /* Grows by doubling: a power of two is full. */
    if ((list->count & (list->count - 1)) == 0)
        list->entries =
            memory_resize(list->entries, list->count ? list->count * 2 : 1, sizeof *list->entries);
    list->entries[list->count++] = (struct user_entry){.name = name, .hash = hash};
}

static enum error_code parse_line(const char *line, size_t length, struct user_list *list,
                                  struct error *error)
{
    while (length > 0 && memchr(" \t\r", line[length - 1], 3))
        length--;
    if (length == 0 || line[0] == '#')
        return ERROR_NONE;
    const char *colon = memchr(line, ':', length);
    if (!colon)
        return error_set(error, ERROR_INVALID, "not NAME:HASH");
    size_t name_length = (size_t)(colon - line);
    enum error_code code = user_name_check(line, name_length, error);
    if (code)
        return code;
    auto_free char *hash = memory_copy(colon + 1, length - name_length - 1);
    if (strlen(hash) != length - name_length - 1 || !password_hash_is_good(hash))
        return error_set(error, ERROR_INVALID, "the hash is not an Argon2id hash");
    append(list, memory_copy(line, name_length), take_pointer(&hash));
    return ERROR_NONE;
}

static int compare_names(const void *left, const void *right)
{
    const struct user_entry *const *a = left;
    const struct user_entry *const *b = right;

    return strcmp((*a)->name, (*b)->name);
}

/* A name that is given twice would have two passwords. */
static enum error_code check_unique(const struct user_list *list, struct error *error)
{
    auto_free const struct user_entry **sorted = memory_new(list->count, sizeof(void *));

    for (size_t i = 0; i < list->count; i++)
        sorted[i] = &list->entries[i];
    qsort(sorted, list->count, sizeof(void *), compare_names);
    for (size_t i = 1; i < list->count; i++)
        if (strcmp(sorted[i - 1]->name, sorted[i]->name) == 0)
            return error_set(error, ERROR_INVALID, "user '%s' is there twice", sorted[i]->name);
    return ERROR_NONE;
}

enum error_code user_list_parse(const char *source, const char *text, size_t length,
                                struct user_list *list, struct error *error)
{
    struct error own;
    size_t number = 0;
    enum error_code code = ERROR_NONE;

    *list = (struct user_list){0};
    if (!error)
        error = &own;
    for (const char *line = text; line < text + length && !code;) {
        const char *end = memchr(line, '\n', (size_t)(text + length - line));
        if (!end)
            end = text + length;
        number++;
        code = parse_line(line, (size_t)(end - line), list, error);
        line = end + 1;
    }
    if (code)
        code = error_context(error, "%s: line %zu", source, number);
    else if (check_unique(list, error))
        code = error_context(error, "%s", source);
    if (code)
        user_list_done(list);
    return code;
}

void user_list_done(struct user_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->entries[i].name);
        free(list->entries[i].hash);
    }
    free(list->entries);
    *list = (struct user_list){0};
}

void user_list_format(const struct user_list *list, struct buffer *out)
{
    buffer_append_string(out, "# Users of the directory: NAME:ARGON2ID-HASH. Change it with\n"
                              "# p2p-directory user add|remove, then send the daemon a SIGHUP.\n");
    for (size_t i = 0; i < list->count; i++)
        buffer_printf(out, "%s:%s\n", list->entries[i].name, list->entries[i].hash);
}

struct user_entry *user_list_find(const struct user_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->entries[i].name, name) == 0)
            return &list->entries[i];
    return NULL;
}

void user_list_set(struct user_list *list, const char *name, const char *hash)
{
    struct user_entry *entry = user_list_find(list, name);

    if (!entry) {
        append(list, memory_copy_string(name), memory_copy_string(hash));
        return;
    }
    free(entry->hash);
    entry->hash = memory_copy_string(hash);
}

enum error_code user_list_remove(struct user_list *list, const char *name, struct error *error)
{
    struct user_entry *entry = user_list_find(list, name);

    if (!entry)
        return error_set(error, ERROR_NOT_FOUND, "there is no user '%s'", name);
    free(entry->name);
    free(entry->hash);
    size_t after = (size_t)(list->entries + list->count - (entry + 1));
    memmove(entry, entry + 1, after * sizeof *entry);
    list->count--;
    return ERROR_NONE;
}
