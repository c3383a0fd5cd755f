/* directory/user_list: what it accepts is written so that it reads back as the same list. */
#include "fuzz.h"

#include "directory/user_list.h"

static void check_entries(const struct user_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        const char *name = list->entries[i].name;
        fuzz_check(user_name_check(name, strlen(name), NULL) == ERROR_NONE);
        fuzz_check(strlen(list->entries[i].hash) < USER_HASH_BYTES);
        fuzz_check(user_list_look_up(list, name, strlen(name)) == &list->entries[i]);
    }
}

static void check_again(const struct user_list *list)
{
    struct user_list again;
    auto_buffer text;

    buffer_init(&text, 64 << 20);
    user_list_format(list, &text);
    fuzz_check(user_list_parse("again", text.data, text.length, &again, NULL) == ERROR_NONE);
    fuzz_check(again.count == list->count);
    for (size_t i = 0; i < list->count; i++) {
        fuzz_check(strcmp(again.entries[i].name, list->entries[i].name) == 0);
        fuzz_check(strcmp(again.entries[i].hash, list->entries[i].hash) == 0);
    }
    user_list_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct user_list list;
    struct error error;

    if (user_list_parse("users", (const char *)data, size, &list, &error)) {
        fuzz_check(error.code == ERROR_INVALID && strncmp(error.text, "users: ", 7) == 0);
        fuzz_check(list.count == 0 && !list.entries);
        return 0;
    }
    check_entries(&list);
    check_again(&list);
    user_list_done(&list);
    return 0;
}
