#include "directory/user_list.h"

#include "common/memory.h"
#include "common/text.h"
#include "directory/password.h"
#include "directory/secrets.h"

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

/* ---- finding ---- */

/* The slot of the name, or the free one where it belongs. Open addressing, at most half full. */
static uint32_t *slot_of(const struct user_list *list, const char *name, size_t length)
{
    uint64_t hash = secrets_mark(name, length);

    for (size_t i = (size_t)hash & list->slot_mask;; i = (i + 1) & list->slot_mask) {
        uint32_t *slot = &list->slots[i];
        const char *found = *slot ? list->entries[*slot - 1].name : NULL;
        if (!found || (strncmp(found, name, length) == 0 && found[length] == '\0'))
            return slot;
    }
}

static void make_slots(struct user_list *list)
{
    size_t size = 8;

    while (size < list->capacity * 2)
        size *= 2;
    free(list->slots);
    list->slots = memory_new(size, sizeof *list->slots);
    list->slot_mask = size - 1;
    for (size_t i = 0; i < list->count; i++)
        *slot_of(list, list->entries[i].name, strlen(list->entries[i].name)) = (uint32_t)i + 1;
}

const struct user_entry *user_list_look_up(const struct user_list *list, const char *name,
                                           size_t length)
{
    uint32_t number = list->slots && !memchr(name, '\0', length) ? *slot_of(list, name, length) : 0;

    return number ? &list->entries[number - 1] : NULL;
}

struct user_entry *user_list_find(struct user_list *list, const char *name)
{
    if (!list->slots)
        make_slots(list);
    uint32_t number = *slot_of(list, name, strlen(name));
    return number ? &list->entries[number - 1] : NULL;
}

/* ---- parsing ---- */

/* Room for so many entries, with slots to match. */
static void reserve(struct user_list *list, size_t count)
{
    if (count <= list->capacity)
        return;
    while (list->capacity < count)
        list->capacity = list->capacity ? list->capacity * 2 : 16;
    list->entries = memory_resize(list->entries, list->capacity, sizeof *list->entries);
    make_slots(list);
}

static void keep_text(struct user_list *list, char *text)
{
    /* Grows by doubling: a power of two is full. */
    if ((list->text_count & (list->text_count - 1)) == 0)
        list->texts = memory_resize(list->texts, list->text_count ? list->text_count * 2 : 1,
                                    sizeof *list->texts);
    list->texts[list->text_count++] = text;
}

/* False: the name is there already; its slot, whose number is 0, is where it belongs. */
static bool append(struct user_list *list, const char *name, const char *hash)
{
    reserve(list, list->count + 1);
    uint32_t *slot = slot_of(list, name, strlen(name));
    if (*slot)
        return false;
    list->entries[list->count++] = (struct user_entry){.name = name, .hash = hash};
    *slot = (uint32_t)list->count;
    return true;
}

/* Ends name and hash in place. */
static enum error_code parse_line(char *line, size_t length, struct user_list *list,
                                  struct error *error)
{
    while (length > 0 && memchr(" \t\r", line[length - 1], 3))
        length--;
    if (length == 0 || line[0] == '#')
        return ERROR_NONE;
    char *colon = memchr(line, ':', length);
    if (!colon)
        return error_set(error, ERROR_INVALID, "not NAME:HASH");
    size_t name_length = (size_t)(colon - line);
    enum error_code code = user_name_check(line, name_length, error);
    if (code)
        return code;
    char *hash = colon + 1;
    *colon = '\0';
    line[length] = '\0';
    if (strlen(hash) != length - name_length - 1 || !password_hash_is_good(hash))
        return error_set(error, ERROR_INVALID, "the hash is not one of ours");
    if (list->count == USER_LIST_MAX)
        return error_set(error, ERROR_INVALID, "more than %d users", USER_LIST_MAX);
    if (!append(list, line, hash)) /* it would have two passwords */
        return error_set(error, ERROR_INVALID, "user '%s' is there twice", line);
    return ERROR_NONE;
}

static size_t count_lines(const char *text, size_t length)
{
    size_t count = 1;

    for (const char *end = text + length, *line = text;
         (line = memchr(line, '\n', (size_t)(end - line))) != NULL; line++)
        count++;
    return count;
}

enum error_code user_list_take(const char *source, char *text, size_t length,
                               struct user_list *list, struct error *error)
{
    char *end = text + length;
    size_t number = 0;
    enum error_code code = ERROR_NONE;
    struct error own;

    *list = (struct user_list){0};
    if (!error)
        error = &own;
    keep_text(list, text);
    size_t lines = count_lines(text, length);
    reserve(list, lines < USER_LIST_MAX ? lines : USER_LIST_MAX);
    for (char *line = text; line < end && !code;) {
        char *stop = memchr(line, '\n', (size_t)(end - line));
        if (!stop)
            stop = end;
        number++;
        code = parse_line(line, (size_t)(stop - line), list, error);
        line = stop + 1;
    }
    if (!code)
        return ERROR_NONE;
    user_list_done(list);
    return error_context(error, "%s: line %zu", source, number);
}

enum error_code user_list_parse(const char *source, const char *text, size_t length,
                                struct user_list *list, struct error *error)
{
    return user_list_take(source, memory_copy(text, length), length, list, error);
}

void user_list_done(struct user_list *list)
{
    for (size_t i = 0; i < list->text_count; i++)
        free(list->texts[i]);
    free(list->texts);
    free(list->entries);
    free(list->slots);
    *list = (struct user_list){0};
}

void user_list_format(const struct user_list *list, struct buffer *out)
{
    buffer_append_string(out, "# Users of the directory: NAME:HASH. Change it with\n"
                              "# p2p-directory user add|remove, then send the daemon a SIGHUP.\n");
    for (size_t i = 0; i < list->count; i++) {
        buffer_append_string(out, list->entries[i].name);
        buffer_append_char(out, ':');
        buffer_append_string(out, list->entries[i].hash);
        buffer_append_char(out, '\n');
    }
}

void user_list_set(struct user_list *list, const char *name, const char *hash)
{
    struct user_entry *entry = user_list_find(list, name);
    char *own_hash = memory_copy_string(hash);

    keep_text(list, own_hash);
    if (entry) {
        entry->hash = own_hash;
        return;
    }
    char *own_name = memory_copy_string(name);
    keep_text(list, own_name);
    append(list, own_name, own_hash);
}

enum error_code user_list_remove(struct user_list *list, const char *name, struct error *error)
{
    struct user_entry *entry = user_list_find(list, name);

    if (!entry)
        return error_set(error, ERROR_NOT_FOUND, "there is no user '%s'", name);
    size_t after = (size_t)(list->entries + list->count - (entry + 1));
    memmove(entry, entry + 1, after * sizeof *entry);
    list->count--;
    make_slots(list);
    return ERROR_NONE;
}
