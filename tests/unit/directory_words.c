/* What the search for words is made of: folding, questions, tokens, and places. */
#include "unit.h"

#include "common/buffer.h"
#include "common/fold.h"
#include "common/words.h"
#include "directory/hits.h"
#include "directory/trigrams.h"

static void texts_are_folded(void **state)
{
    static const struct {
        const char *text, *folded;
    } rows[] = {
        {"", ""},
        {"Canción.MP3", "cancion.mp3"},
        {"ÁÀÂÄ áàâä", "aaaa aaaa"},
        {"Ñ ñ", "ñ ñ"},
        {"n\u0303 N\u0303", "ñ ñ"},
        {"n\u0323\u0303 n\u0303\u0323 \u1e47\u0303", "ñ ñ ñ"},
        {"ń ǹ n\u0301", "n n n"},
        {"ã a\u0303 n a\u0303", "a a n a"},
        {"n\u0303\u0303", "ñ"},
        {"Straße ẞ", "strasse ss"},
        {"Σς", "σσ"},
        {"İ", "i"},
        {"각", "\u1100\u1161\u11a8"},
        {"が ﾞ", "か ﾞ"},
        {"❤\ufe0f 1\ufe0f\u20e3", "❤ 1"},
        {"ﬁ ｆ", "fi ｆ"},
    };
    char folded[64 * FOLD_GROWTH + 1];

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        size_t length = fold_text(rows[i].text, strlen(rows[i].text), folded);
        check_row(i, strcmp(folded, rows[i].folded) == 0 && length == strlen(folded));
    }
    assert_true(fold_version() > 1000);
}

static void describe(const struct words *words, struct buffer *out)
{
    buffer_clear(out);
    buffer_append(out, "", 0);
    for (size_t i = 0; i < words->wanted_count; i++)
        buffer_printf(out, "%s%s|", i < words->long_count ? "*" : "", words->wanted[i]);
    for (size_t i = 0; i < words->excluded_count; i++)
        buffer_printf(out, "-%s|", words->excluded[i]);
}

static void questions_are_taken_apart(void **state)
{
    static const struct {
        const char *text, *words; /* NULL: refused */
    } rows[] = {
        {"a", "a|"},
        {" Uno  dos\u3000TRES\u00a0", "*uno|*dos|*tres|"},
        {"ab abc b abcd", "*abc|*abcd|b|ab|"},
        {"año", "*año|"},
        {"ñu", "ñu|"},
        {"各地", "各地|"},
        {"a a A á", "a|"},
        {"a -B -ñandú", "a|-b|-ñandu|"},
        {"-a", "-a|"},
        {"-", "-|"},
        {"a-b", "*a-b|"},
        {"a \u0301", "a|"},
        {"", NULL},
        {"  \t\n", NULL},
        {"\u0301", NULL},
        {"-\u0301", NULL},
        {"\xff", NULL},
    };
    struct words words;
    struct error error;
    auto_buffer text;

    (void)state;
    buffer_init(&text, 4096);
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        bool good = words_parse(rows[i].text, strlen(rows[i].text), &words, &error) == ERROR_NONE;
        check_row(i, good == (rows[i].words != NULL));
        describe(&words, &text);

        check_row(i, !good || strcmp(text.data, rows[i].words) == 0);
    }
}

static void names_are_matched(void **state)
{
    static const struct {
        const char *text, *ending, *name;
        bool match;
    } rows[] = {
        {"uno dos", NULL, "dos uno", true}, {"uno dos", NULL, "uno", false},
        {"no -x", NULL, "uno", true},       {"no -x", NULL, "uno x", false},
        {"a", "mp3", "a.mp3", true},        {"a", ".MP3", "a.mp3", true},
        {"a", "mp3", "amp3", false},        {"a", "mp3", "a.mp3.txt", false},
        {"mp3", "mp3", "mp3", false},       {"a", "gz", "a.tar.gz", true},
    };
    struct words words;

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        check_row(i, words_parse(rows[i].text, strlen(rows[i].text), &words, NULL) == ERROR_NONE);
        if (rows[i].ending)
            check_row(i, words_parse_ending(rows[i].ending, strlen(rows[i].ending), &words, NULL) ==
                             ERROR_NONE);
        check_row(i, words_match(&words, rows[i].name, strlen(rows[i].name)) == rows[i].match);
    }
}

/* The longest of everything fits. */
static void the_longest_question(void **state)
{
    char text[WORDS_QUERY_MAX_BYTES + 1];
    char ending[WORDS_ENDING_MAX + 1];
    struct words words;

    (void)state;
    for (size_t i = 0; i + 3 <= sizeof text - 1; i += 3)
        memcpy(text + i, "각", 3);
    assert_int_equal(words_parse(text, sizeof text - 2, &words, NULL), ERROR_NONE);
    size_t length = strlen(words.wanted[0]);
    memset(ending, 'x', sizeof ending);
    assert_int_equal(words_parse_ending(ending, sizeof ending - 1, &words, NULL), ERROR_NONE);
    assert_int_equal(strlen(words.wanted[0]), length);
    assert_int_equal(words_parse(text, sizeof text, &words, NULL), ERROR_INVALID);
    assert_int_equal(words_parse_ending(ending, sizeof ending, &words, NULL), ERROR_INVALID);
}

static int take_token(void *context, const char *token, size_t length)
{
    buffer_append(context, token, length);
    buffer_append_char(context, '|');
    return 0;
}

static void names_are_cut_up(void **state)
{
    static const struct {
        const char *folded, *tokens;
    } rows[] = {
        {"a", "a|\x01"
              "14:0|\x01"
              "18:0|"},
        {"abcd", "abc|bcd|cd|d|\x01"
                 "14:0|\x01"
                 "18:0|"},
        {"ñ楽x", "ñ楽x|楽x|x|\x01"
                 "14:0|\x01"
                 "18:0|"},
    };
    auto_buffer document;
    auto_buffer tokens;

    (void)state;
    buffer_init(&document, 4096);
    buffer_init(&tokens, 4096);
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        buffer_clear(&document);
        buffer_clear(&tokens);
        trigrams_write_document(&document, rows[i].folded, 7);
        trigrams_tokenizer.tokenize(&tokens, false, document.data, document.length, take_token);
        check_row(i, strcmp(tokens.data, rows[i].tokens) == 0);
    }
}

static void rare_trigrams_are_chosen(void **state)
{
    static const struct {
        const char *terms[2];
        const char *query;
    } rows[] = {
        {{"abc"}, "\"abc\""},
        {{"abcd"}, "\"abc\" AND \"bcd\""},
        {{"abcdef"}, "\"abc\" AND \"bcd\" AND \"cde\""},
        {{"ababab"}, "\"aba\" AND \"bab\""},
        {{"a\"b", "ñ楽ñ"}, "\"a\"\"b\" AND \"ñ楽ñ\""},
        {{"xyz1", "rare"}, "\"rar\" AND \"are\" AND \"yz1\""},
        {{"rxyz", "often"}, "\"rxy\""},
        {{"often", "of"}, "\"oft\" AND \"fte\" AND \"ten\""},
    };
    struct name_sample *sample = name_sample_new();
    struct trigrams_choice choice;
    auto_buffer query;

    (void)state;
    for (int i = 0; i < 1000; i++)
        name_sample_add(sample, "often xyz", 9);
    for (int i = 0; i < 3; i++)
        name_sample_add(sample, "yz1", 3);
    buffer_init(&query, 4096);
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        size_t terms = rows[i].terms[1] && strlen(rows[i].terms[1]) > 2 ? 2 : 1;
        buffer_clear(&query);
        trigrams_choose(rows[i].terms, terms, sample, 100000, &choice);
        trigrams_write_query(&query, 1, TRIGRAMS_ALL, &choice);
        check_row(i, strcmp(query.data, rows[i].query) == 0);
    }
    name_sample_free(sample);
}

static void queries_are_written(void **state)
{
    static const struct trigrams_choice choice = {.tokens = {{"abcd", 3, 0}, {"ñ楽xy", 6, 0}},
                                                  .count = 2};
    auto_buffer query;

    (void)state;
    buffer_init(&query, 4096);
    trigrams_write_query(&query, (2 << 14) + 5, TRIGRAMS_SMALL_BLOCK, &choice);
    assert_string_equal(query.data, "\"\x01"
                                    "14:2\" AND \"abc\" AND \"ñ楽x\"");
    buffer_clear(&query);
    trigrams_write_prefix(&query, "a\"");
    assert_string_equal(query.data, "\"a\"\"\" *");
    assert_int_equal(trigrams_part_end((2 << 14) + 5, TRIGRAMS_SMALL_BLOCK), (3 << 14) - 1);
    assert_int_equal(trigrams_part_end(5, TRIGRAMS_ALL), INT64_MAX);
}

static void letters_are_counted(void **state)
{
    struct name_sample *sample = name_sample_new();

    (void)state;
    assert_int_equal(name_sample_estimate(sample, "a", 1, 1000), 0);
    for (int i = 0; i < 10; i++)
        name_sample_add(sample, i == 0 ? "xañd" : "bcd", i == 0 ? 5 : 3);
    assert_in_range(name_sample_estimate(sample, "añd", 4, 1000), 100, 101);
    assert_in_range(name_sample_estimate(sample, "ñd", 3, 1000), 100, 101);
    assert_in_range(name_sample_estimate(sample, "d", 1, 1000), 1000, 1010);
    assert_int_equal(name_sample_estimate(sample, "bca", 3, 1000), 0);
    name_sample_free(sample);
}

#define ID "0b3fd030637ec63bd6313b9915a1b02c9e8176ea69d1cfb0bb0fa830dbc6802f"

static void cursors_come_back(void **state)
{
    static const char *const good[] = {
        "0",
        "7",
        "9223372036854775807",
        "7..",
        "7.0.",
        "7.5." ID,
        "7.." ID,
        "7:5",
        "7..:5",
        "7.5." ID ":9223372036854775807",
    };
    static const char *const bad[] = {
        "",
        "x",
        "-1",
        "7.",
        "7.5",
        "7.x.",
        ".5.",
        "7.-1.",
        "7..x",
        "7.5." ID "0",
        "7.5.6.",
        " 7",
        "7:",
        "7:0",
        "7:x",
        "7:5:5",
        "7:5.5.",
        ":5",
        "99999999999999999999",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(good); i++) {
        char again[HIT_CURSOR_BYTES];
        struct hit_place place;
        check_row(i, hit_parse_cursor(good[i], &place, NULL) == ERROR_NONE);
        check_row(i, strcmp(hit_format_cursor(&place, again), good[i]) == 0);
    }
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        struct hit_place place;
        check_row(i, hit_parse_cursor(bad[i], &place, NULL) == ERROR_INVALID);
    }
}

/* Peers with long lists of addresses make the look at a name shorter. */
static void long_lists_weigh_more(void **state)
{
    struct file_content content = {.size_bytes = 1};
    char urls[3 * HITS_ROW_BYTES + 1];
    struct hits hits = {0};
    size_t rows = 0;

    (void)state;
    memset(urls, 'x', sizeof urls - 1);
    urls[sizeof urls - 1] = '\0';
    assert_int_equal(hits_weight(NULL), 1);
    assert_int_equal(hits_weight("[]"), 1);
    assert_int_equal(hits_weight(urls), 4);
    assert_true(hits_go_on(&hits, 2 * HITS_ROWS_MAX)); /* nobody is there yet */
    assert_true(hits_add(&hits, "A", "[]", &content));
    while (hits_go_on(&hits, hits_weight(urls)))
        rows++;
    assert_int_equal(rows, HITS_ROWS_MAX / 4);
    assert_true(hits.truncated);
    hits_done(&hits);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_folded),    cmocka_unit_test(questions_are_taken_apart),
        cmocka_unit_test(names_are_matched),   cmocka_unit_test(the_longest_question),
        cmocka_unit_test(names_are_cut_up),    cmocka_unit_test(queries_are_written),
        cmocka_unit_test(cursors_come_back),   cmocka_unit_test(rare_trigrams_are_chosen),
        cmocka_unit_test(letters_are_counted), cmocka_unit_test(long_lists_weigh_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
