/* Lists that have pages in common: what is in them is what a plain sorted list would have. */
#include "unit.h"

#include "common/memory.h"
#include "peer/share/list/listing.h"

#define NAMES 3000

/* The plain list: which state each name is in; 0: it is not there. */
struct plain {
    int64_t states[NAMES];
    uint32_t random;
};

static uint32_t next_random(struct plain *plain, uint32_t below)
{
    plain->random = plain->random * 1664525 + 1013904223;
    return (plain->random >> 8) % below;
}

static void format_name(size_t number, char name[32])
{
    snprintf(name, 32, "%s%05zu", number % 3 ? "" : "folder/", number * 7919 % NAMES);
}

static struct share_identity identity_of(int64_t state)
{
    return (struct share_identity){.inode = 1, .size_bytes = state};
}

static void check_equal(const struct plain *plain, const struct listing *listing)
{
    struct listing_cursor cursor = {.listing = listing};
    struct listed file;
    char last[32] = "";
    char name[32];
    size_t count = 0;
    int64_t bytes = 0;

    for (size_t i = 0; i < NAMES; i++) {
        format_name(i, name);
        bool found = listing_find(listing, name, &file);
        check_row(i, found == (plain->states[i] != 0));
        check_row(i, !found || file.identity->size_bytes == plain->states[i]);
        count += found;
        bytes += plain->states[i];
    }
    assert_int_equal(listing_count(listing), count);
    assert_int_equal(listing_bytes(listing), bytes);
    for (size_t i = 0; i < count; i++) {
        assert_true(listing_next(&cursor, &file));
        check_row(i, strcmp(last, file.name) < 0);
        snprintf(last, sizeof last, "%s", file.name);
    }
    assert_false(listing_next(&cursor, &file));
}

static struct listing *build(const struct plain *plain, struct listing *like)
{
    struct listing_builder *builder = listing_builder_new();
    char name[32];

    for (size_t i = 0; i < NAMES; i++) {
        struct share_identity identity = identity_of(plain->states[i]);
        format_name(i, name);
        if (plain->states[i])
            listing_builder_add(builder, &(struct listed){.name = name, .identity = &identity});
    }
    return listing_builder_finish(builder, 0, like);
}

struct counts {
    size_t gone, come;
    char last_gone[32], last_come[32];
};

static void count_gone(void *context, const struct listed *file)
{
    struct counts *counts = context;

    assert_true(strcmp(counts->last_gone, file->name) < 0);
    snprintf(counts->last_gone, sizeof counts->last_gone, "%s", file->name);
    counts->gone++;
}

static void count_come(void *context, const struct listed *file)
{
    struct counts *counts = context;

    assert_true(strcmp(counts->last_come, file->name) < 0);
    snprintf(counts->last_come, sizeof counts->last_come, "%s", file->name);
    counts->come++;
}

static void check_difference(const struct plain *before, const struct plain *after,
                             const struct listing *from, const struct listing *to)
{
    struct counts counts = {.gone = 0};
    const struct listing_difference difference = {
        .gone = count_gone, .come = count_come, .context = &counts};
    size_t gone = 0;
    size_t come = 0;

    for (size_t i = 0; i < NAMES; i++) {
        bool same = before->states[i] == after->states[i];
        gone += !same && before->states[i] != 0;
        come += !same && after->states[i] != 0;
    }
    listing_compare(from, to, &difference);
    assert_int_equal(counts.gone, gone);
    assert_int_equal(counts.come, come);
    assert_true(listing_equal(from, to) == (gone + come == 0));
}

static int compare_listed(const void *left, const void *right)
{
    return strcmp(((const struct listed *)left)->name, ((const struct listed *)right)->name);
}

/* Changes so many names, in a row or anywhere; `chance` of ten are there afterwards. */
static struct listing *change(struct plain *plain, const struct listing *from, size_t count,
                              uint32_t chance)
{
    auto_free struct listed *changes = memory_new(count + 1, sizeof *changes);
    auto_free struct share_identity *identities = memory_new(count + 1, sizeof *identities);
    auto_free char(*names)[32] = memory_new(count + 1, sizeof *names);
    uint32_t first = next_random(plain, NAMES);
    size_t made = 0;

    for (size_t i = 0; i < count; i++) {
        size_t number = (first + i) % NAMES;
        bool there = next_random(plain, 10) < chance;
        plain->states[number] = there ? 1 + (int64_t)next_random(plain, 3) : 0;
        identities[made] = identity_of(plain->states[number]);
        format_name(number, names[made]);
        changes[made] =
            (struct listed){.name = names[made], .identity = there ? &identities[made] : NULL};
        made++;
    }
    qsort(changes, made, sizeof *changes, compare_listed);
    return listing_with(from, changes, made);
}

static void changes_as_a_plain_list_would(void **state)
{
    static const struct {
        size_t count;
        uint32_t chance;
        int rounds;
    } rows[] = {{1, 10, 300}, {40, 9, 60},   {NAMES, 10, 1}, {1, 5, 200}, {700, 1, 12},
                {3, 0, 300},  {NAMES, 0, 1}, {1, 10, 3},     {900, 5, 20}};
    struct plain *plain = memory_new(1, sizeof *plain);
    struct plain *before = memory_new(1, sizeof *before);
    struct listing *listing = build(plain, NULL);

    (void)state;
    for (size_t row = 0; row < ARRAY_LENGTH(rows); row++) {
        for (int round = 0; round < rows[row].rounds; round++) {
            *before = *plain;
            struct listing *next = change(plain, listing, rows[row].count, rows[row].chance);
            check_difference(before, plain, listing, next);
            struct listing *alike = build(plain, listing);
            assert_true(listing_equal(alike, next));
            listing_release(alike);
            listing_release(listing);
            listing = next;
        }
        check_equal(plain, listing);
        struct listing *built = build(plain, NULL);
        assert_true(listing_equal(built, listing));
        struct listing *same = build(plain, listing);
        assert_ptr_equal(same, listing);
        listing_release(same);
        listing_release(built);
    }
    listing_release(listing);
    free(plain);
    free(before);
}

static void an_old_list_stays_as_it_was(void **state)
{
    struct plain *plain = memory_new(1, sizeof *plain);
    struct plain *first = memory_new(1, sizeof *first);

    (void)state;
    for (size_t i = 0; i < NAMES; i += 2)
        plain->states[i] = 1;
    *first = *plain;
    struct listing *old = build(plain, NULL);
    struct listing *held = listing_hold(old);
    struct listing *now = change(plain, old, 100, 5);
    listing_release(old);
    check_equal(first, held);
    listing_release(held);
    check_equal(plain, now);
    listing_release(now);
    free(plain);
    free(first);
}

static void finds_the_place_of_a_name(void **state)
{
    struct plain *plain = memory_new(1, sizeof *plain);
    struct listed file;

    (void)state;
    struct listing *listing = build(plain, NULL);
    struct listing_cursor cursor = listing_seek(listing, "a");
    assert_false(listing_next(&cursor, &file));
    listing_release(listing);
    for (size_t i = 0; i < NAMES; i++)
        plain->states[i] = 1;
    listing = build(plain, NULL);
    cursor = listing_seek(listing, "folder/");
    for (size_t i = 0; i < NAMES / 3; i++) {
        assert_true(listing_next(&cursor, &file));
        check_row(i, strncmp(file.name, "folder/", 7) == 0);
    }
    assert_false(listing_next(&cursor, &file));
    cursor = listing_seek(listing, "");
    assert_true(listing_next(&cursor, &file));
    assert_string_equal(file.name, "00001");
    listing_release(listing);
    free(plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_as_a_plain_list_would),
        cmocka_unit_test(an_old_list_stays_as_it_was),
        cmocka_unit_test(finds_the_place_of_a_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
