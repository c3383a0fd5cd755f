#include "unit.h"

#include "common/name_pattern.h"

static void patterns(void **state)
{
    static const struct {
        const char *pattern, *name;
        bool matches;
    } rows[] = {
        {"", "", true},
        {"", "a", false},
        {"*", "", true},
        {"*", "a b.txt", true},
        {"*.iso", "debian.iso", true},
        {"*.iso", ".iso", true},
        {"*.iso", "debian.iso.part", false},
        {"*.ISO", "debian.iso", false},
        {"a*b*c", "aXbYbZc", true},
        {"a*b*c", "aXbYbZ", false},
        {"**a**", "bab", true},
        {"?", "a", true},
        {"?", "", false},
        {"?", "ab", false},
        {"?", "ñ", true},
        {"??", "日本", true},
        {"*?本", "日本", true},
        {"caf?.txt", "café.txt", true},
        {"[ab].txt", "a.txt", false},
        {"[ab]*.txt", "[ab] 1.txt", true},
        {"\\*", "*", true},
        {"\\*", "a", false},
        {"\\?*", "?x", true},
        {"\\\\*", "\\x", true},
        {"\\a*", "\\ab", true},
        {"a\\", "a\\", true},
        {"*a*a*a*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         false},
        {"*", "d/a", false},
        {"d/*", "d/a", true},
        {"d/*", "d/e/a", false},
        {"*/*.txt", "d/a.txt", true},
        {"*/a", "d/e/a", false},
        {"*a*/b", "xay/b", true},
        {"*a*/b", "xay/c/b", false},
        {"d?a", "d/a", false},
        {"d/", "d/a", true},
        {"d/", "d/e/a", true},
        {"d/", "d", false},
        {"d/", "de/a", false},
        {"d/", "c/d/a", false},
        {"d*/", "de/f/a", true},
        {"*/e/", "d/e/a", true},
        {"*/e/", "e/a", false},
        {"d/e", "d/e/a", false},
        {"/", "a", false},
        {"*a*b*c*d/", "xaxbxcxd/x", true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
        check_row(i, name_pattern_match(rows[i].pattern, rows[i].name) == rows[i].matches);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(patterns)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
