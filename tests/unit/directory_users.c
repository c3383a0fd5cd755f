#include "unit.h"

#include "common/buffer.h"
#include "directory/password.h"
#include "directory/secrets.h"
#include "directory/user_list.h"
#include "directory/users.h"

#include <sodium.h>

/* Of "one" and "two", with less work than ours, so that tests are quick. */
static char hash_one[PASSWORD_HASH_BYTES];
static char hash_two[PASSWORD_HASH_BYTES];

static int make_hashes(void **state)
{
    (void)state;
    return secrets_init(NULL) || crypto_pwhash_str(hash_one, "one", 3, 1, 8192) != 0 ||
           crypto_pwhash_str(hash_two, "two", 3, 1, 8192) != 0;
}

/* H in the text stands for a good hash. */
static enum error_code parse(const char *text, struct user_list *list, struct error *error)
{
    auto_buffer whole;

    buffer_init(&whole, 1 << 16);
    buffer_append(&whole, "", 0);
    for (const char *c = text; *c; c++) {
        if (*c == 'H')
            buffer_append_string(&whole, hash_one);
        else
            buffer_append_char(&whole, *c);
    }
    return user_list_parse("users", whole.data, whole.length, list, error);
}

static void good_files(void **state)
{
    static const struct {
        const char *text;
        size_t count;
    } rows[] = {
        {"", 0},
        {"\n\n", 0},
        {"# nothing\n", 0},
        {"a:H\n", 1},
        {"a:H", 1},
        {"a:H\r\nb:H \t\r\n", 2},
        {"# x\na:H\n\n# y\nñandú con espacio:H\n", 2},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct user_list list;
        check_row(i, parse(rows[i].text, &list, NULL) == ERROR_NONE);
        check_row(i, list.count == rows[i].count);
        user_list_done(&list);
    }
}

static void bad_files_name_the_line(void **state)
{
    static const struct {
        const char *text;
        const char *says;
    } rows[] = {
        {"a", "line 1"},
        {"a:H\nb\n", "line 2"},
        {"a:\n", "line 1"},
        {":H\n", "line 1"},
        {"a:sd1234\n", "line 1"},
        {"a:$argon2i$v=19$m=8,t=1,p=1$AAAA$AAAA\n", "line 1"},
        {"a:HH\n", "line 1"},
        {"a:$argon2id$v=19$m=4294967295,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$"
         "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
         "line 1"},
        {"a\x01:H\n", "line 1"},
        {"a\xff:H\n", "line 1"},
        {" a:H\n", "line 1"},
        {"a :H\n", "line 1"},
        {"a:H\nb:H\na:H\n", "'a' is there twice"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct user_list list;
        struct error error = {0};
        check_row(i, parse(rows[i].text, &list, &error) == ERROR_INVALID);
        check_row(i, list.count == 0);
        if (strncmp(error.text, "users", 5) != 0 || !strstr(error.text, rows[i].says))
            fail_msg("row %zu: %s", i, error.text);
    }
}

static void a_line_of_nul_bytes(void **state)
{
    static const char text[] = "a:\0\0\0\n";
    struct user_list list;

    (void)state;
    assert_int_equal(user_list_parse("users", text, sizeof text - 1, &list, NULL), ERROR_INVALID);
}

/* White space at the end of a line does not count; a NUL byte is none. */
static void a_nul_byte_after_a_good_hash(void **state)
{
    struct user_list list;
    auto_buffer text;

    (void)state;
    buffer_init(&text, 1 << 10);
    buffer_append_string(&text, "a:");
    buffer_append_string(&text, hash_one);
    buffer_append_char(&text, '\0');
    assert_int_equal(user_list_parse("users", text.data, text.length, &list, NULL), ERROR_INVALID);
}

static void set_remove_and_format(void **state)
{
    struct user_list list = {0};
    struct user_list again;
    auto_buffer text;
    struct error error;

    (void)state;
    user_list_set(&list, "b", hash_one);
    user_list_set(&list, "a", hash_one);
    user_list_set(&list, "c", hash_one);
    user_list_set(&list, "a", hash_two);
    assert_int_equal(list.count, 3);
    assert_int_equal(user_list_remove(&list, "b", &error), ERROR_NONE);
    assert_int_equal(user_list_remove(&list, "b", &error), ERROR_NOT_FOUND);
    buffer_init(&text, 1 << 16);
    user_list_format(&list, &text);
    assert_int_equal(user_list_parse("users", text.data, text.length, &again, NULL), ERROR_NONE);
    assert_int_equal(again.count, 2);
    assert_string_equal(again.entries[0].name, "a");
    assert_string_equal(again.entries[0].hash, hash_two);
    assert_string_equal(again.entries[1].name, "c");
    user_list_done(&again);
    user_list_done(&list);
}

static void names(void **state)
{
    static const struct {
        const char *name;
        bool good;
    } rows[] = {
        {"Peer1", true}, {"ñ ✅", true}, {"", false},    {"a:b", false},  {"#a", false},
        {" a", false},   {"a ", false}, {"a\n", false}, {"\xff", false},
    };
    char longest[USER_NAME_MAX_BYTES + 2];

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
        check_row(i, (user_name_check(rows[i].name, strlen(rows[i].name), NULL) == ERROR_NONE) ==
                         rows[i].good);
    memset(longest, 'x', sizeof longest);
    assert_int_equal(user_name_check(longest, USER_NAME_MAX_BYTES, NULL), ERROR_NONE);
    assert_int_equal(user_name_check(longest, USER_NAME_MAX_BYTES + 1, NULL), ERROR_INVALID);
}

static struct credentials by(const char *name, const char *password)
{
    return (struct credentials){.name = name,
                                .name_length = strlen(name),
                                .password = password,
                                .password_length = strlen(password)};
}

static bool quick(struct users *users, const char *name, const char *password)
{
    struct credentials credentials = by(name, password);

    return users_verify_quickly(users, &credentials);
}

static bool slow(struct users *users, const char *name, const char *password)
{
    struct credentials credentials = by(name, password);

    return users_verify(users, &credentials);
}

static void give(struct users *users, const char *name, const char *hash)
{
    struct user_list list = {0};

    user_list_set(&list, name, hash);
    user_list_set(&list, "other", hash_two);
    users_replace(users, &list);
}

static void quick_only_after_the_first_success(void **state)
{
    struct users *users = users_new();

    (void)state;
    give(users, "a", hash_one);
    assert_int_equal(users_count(users), 2);
    assert_false(quick(users, "a", "one"));
    assert_false(slow(users, "a", "two"));
    assert_false(quick(users, "a", "two"));
    assert_true(slow(users, "a", "one"));
    assert_true(quick(users, "a", "one"));
    assert_false(quick(users, "a", "two"));
    assert_false(quick(users, "a", ""));
    assert_false(quick(users, "ao", "ne"));
    assert_false(slow(users, "nobody", "one"));
    assert_false(slow(users, "nobody", "two"));
    users_free(users);
}

static void nobody_gets_in_without_users(void **state)
{
    struct users *users = users_new();

    (void)state;
    assert_false(quick(users, "a", "one"));
    assert_false(slow(users, "a", "one"));
    users_free(users);
}

static void replacing_keeps_what_did_not_change(void **state)
{
    struct users *users = users_new();
    struct user_list nobody = {0};

    (void)state;
    give(users, "a", hash_one);
    assert_true(slow(users, "a", "one"));
    give(users, "a", hash_one);
    assert_true(quick(users, "a", "one"));
    give(users, "a", hash_two);
    assert_false(quick(users, "a", "one"));
    assert_true(slow(users, "a", "two"));
    users_replace(users, &nobody);
    assert_false(quick(users, "a", "two"));
    users_free(users);
}

static void a_name_with_a_nul_is_nobody(void **state)
{
    struct users *users = users_new();
    struct credentials credentials = {
        .name = "a\0", .name_length = 2, .password = "one", .password_length = 3};

    (void)state;
    give(users, "a", hash_one);
    assert_false(users_verify(users, &credentials));
    users_free(users);
}

static void our_own_hashes(void **state)
{
    char hash[PASSWORD_HASH_BYTES];
    char longest[PASSWORD_MAX_BYTES + 1] = {0};

    (void)state;
    assert_int_equal(password_hash("sd1234", 6, hash, NULL), ERROR_NONE);
    assert_memory_equal(hash, "$argon2id$v=19$m=19456,t=2,p=1$", 31);
    assert_true(password_hash_is_good(hash));
    assert_true(password_matches(hash, "sd1234", 6));
    assert_false(password_matches(hash, "sd12345", 7));
    assert_int_equal(password_hash("", 0, hash, NULL), ERROR_INVALID);
    assert_int_equal(password_hash(longest, sizeof longest, hash, NULL), ERROR_INVALID);
}

static void generated_passwords(void **state)
{
    char password[PASSWORD_RANDOM_BYTES];
    char other[PASSWORD_RANDOM_BYTES];
    char hash[PASSWORD_HASH_BYTES];
    char other_hash[PASSWORD_HASH_BYTES];
    struct users *users = users_new();

    (void)state;
    password_generate(password, hash);
    password_generate(other, other_hash);
    assert_int_equal(strlen(password), 32);
    assert_string_not_equal(password, other);
    assert_true(password_hash_is_good(hash) && password_hash_is_fast(hash));
    assert_true(password_matches(hash, password, 32));
    assert_false(password_matches(hash, password, 31));
    assert_false(password_matches(hash, other, 32));
    assert_false(password_hash_is_fast(hash_one));
    give(users, "a", hash);
    assert_true(quick(users, "a", password));
    assert_true(slow(users, "a", password));
    assert_false(quick(users, "a", other));
    assert_false(slow(users, "a", other));
    assert_false(quick(users, "b", password));
    assert_false(slow(users, "b", password));
    users_free(users);
    for (size_t i = 0; i < strlen(hash); i++) { /* any other text is none, or another one */
        char changed[PASSWORD_HASH_BYTES];
        memcpy(changed, hash, sizeof changed);
        changed[i] = changed[i] == '!' ? '?' : '!';
        check_row(i, !password_hash_is_good(changed));
    }
    strcat(hash, "A");
    assert_false(password_hash_is_good(hash));
}

/* Of another password, and of nobody. */
static void marks_tell_users_apart(void **state)
{
    struct users *users = users_new();
    uint32_t nobody = users_generation(users);

    (void)state;
    assert_int_not_equal(nobody, 0);
    assert_int_equal(users_mark(users, "a", 1), 0);
    give(users, "a", hash_one);
    assert_int_not_equal(users_generation(users), nobody);
    uint64_t one = users_mark(users, "a", 1);
    assert_int_not_equal(one, 0);
    assert_int_equal(users_mark(users, "b", 1), 0);
    assert_int_equal(users_mark(users, "a\0", 2), 0);
    give(users, "a", hash_two);
    assert_int_not_equal(users_mark(users, "a", 1), one);
    give(users, "a", hash_one);
    assert_int_equal(users_mark(users, "a", 1), one);
    users_free(users);
}

static void ten_thousand_users(void **state)
{
    enum { COUNT = 10000 };
    struct user_list list = {0};
    struct error error;
    char name[16];

    (void)state;
    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof name, "user %d", i);
        user_list_set(&list, name, hash_one);
    }
    assert_int_equal(list.count, COUNT);
    for (int i = 0; i < COUNT; i += 3000)
        assert_int_equal(
            (snprintf(name, sizeof name, "user %d", i), user_list_remove(&list, name, &error)),
            ERROR_NONE);
    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof name, "user %d", i);
        const struct user_entry *entry = user_list_look_up(&list, name, strlen(name));
        check_row((size_t)i, (entry == NULL) == (i % 3000 == 0));
        check_row((size_t)i, !entry || strcmp(entry->name, name) == 0);
    }
    user_list_done(&list);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_files),
        cmocka_unit_test(bad_files_name_the_line),
        cmocka_unit_test(a_line_of_nul_bytes),
        cmocka_unit_test(a_nul_byte_after_a_good_hash),
        cmocka_unit_test(set_remove_and_format),
        cmocka_unit_test(names),
        cmocka_unit_test(quick_only_after_the_first_success),
        cmocka_unit_test(nobody_gets_in_without_users),
        cmocka_unit_test(replacing_keeps_what_did_not_change),
        cmocka_unit_test(a_name_with_a_nul_is_nobody),
        cmocka_unit_test(our_own_hashes),
        cmocka_unit_test(generated_passwords),
        cmocka_unit_test(marks_tell_users_apart),
        cmocka_unit_test(ten_thousand_users),
    };

    return cmocka_run_group_tests(tests, make_hashes, NULL);
}
