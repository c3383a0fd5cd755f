#include "unit.h"

#include "common/memory.h"
#include "peer/network/directory_requests.h"
#include "peer/network/list_changes.h"

/* "a b:2 c!" is three files; :N says the size, ! that the content is known, ? that it arrives. */
static struct share_list make_list(const char *text)
{
    struct share_list list = {0};
    auto_free char *copy = memory_copy_string(text);
    char *rest = copy;

    for (char *item = strtok_r(copy, " ", &rest); item; item = strtok_r(NULL, " ", &rest)) {
        struct share_file file = {.name = item,
                                  .has_content = strchr(item, '!') != NULL,
                                  .partial = strchr(item, '?') != NULL};
        const char *size = strchr(item, ':');
        file.size_bytes = size ? size[1] - '0' : 0;
        file.content.bytes[0] = (uint8_t)file.size_bytes;
        item[strcspn(item, ":!?")] = '\0';
        share_list_add(&list, &file);
    }
    return list;
}

static void join(const struct share_file *const *files, size_t count, char *out, size_t size)
{
    size_t used = 0;

    out[0] = '\0';
    for (size_t i = 0; i < count; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%s", i > 0 ? " " : "", files[i]->name);
}

static void sum_list(const struct share_list *list, struct index_sum *sum)
{
    const struct directory_login login = {.advertise = "a:1", .files = list};

    directory_sum_index(&login, sum);
}

static void finds_what_has_changed(void **state)
{
    static const struct {
        const char *from, *to, *removed, *added;
        bool is_news;
    } rows[] = {
        {"a b", "a b", "", "", false},       {"a b", "a aa b c", "", "aa c", true},
        {"a b c", "b", "a c", "", true},     {"a b", "c d", "a b", "c d", true},
        {"a:1 b", "a:2 b", "a", "a", false}, {"a:1!", "a:1", "a", "a", true},
        {"a:1", "a:1!", "a", "a", true},     {"a:1!", "a:2!", "a", "a", true},
        {"a:1!?", "a:1!", "a", "a", true},   {"a:1 b c e", "a:2 b! d", "a b c e", "a b d", true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct share_list from = make_list(rows[i].from);
        struct share_list to = make_list(rows[i].to);
        struct list_changes changes;
        struct index_sum sum, expected;
        char removed[64], added[64];
        list_changes_find(&from, &to, &changes);
        join(changes.removed, changes.removed_count, removed, sizeof removed);
        join(changes.added, changes.added_count, added, sizeof added);
        check_row(i, strcmp(removed, rows[i].removed) == 0 && strcmp(added, rows[i].added) == 0);
        check_row(i, changes.is_news == rows[i].is_news);
        sum_list(&from, &sum);
        sum_list(&to, &expected);
        list_changes_apply(&changes, &sum);
        check_row(i, index_sum_equal(&sum, &expected));
        list_changes_done(&changes);
        share_list_done(&from);
        share_list_done(&to);
    }
}

static void is_told_without_urls(void **state)
{
    struct share_list from = make_list("a b:1 c");
    struct share_list to = make_list("b:2 c d:3");
    struct index_sum base = {{0}};
    struct list_changes changes;
    auto_buffer out;

    (void)state;
    list_changes_find(&from, &to, &changes);
    const struct directory_login login = {
        .advertise = "a:1", .files = &to, .base = &base, .changes = &changes};
    buffer_init(&out, 10000);
    directory_append_changes(&out, &login);
    assert_string_equal(
        out.data, "&index_base=0000000000000000000000000000000000000000000000000000000000000000"
                  "&files_added=%5B%7B%22filename%22%3A%22b%22%2C%22size%22%3A2%7D%2C%7B%22filename"
                  "%22%3A%22d%22%2C%22size%22%3A3%7D%5D&files_removed=%5B%22a%22%2C%22b%22%5D");
    list_changes_done(&changes);
    share_list_done(&from);
    share_list_done(&to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_has_changed),
        cmocka_unit_test(is_told_without_urls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
