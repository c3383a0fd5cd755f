/* What the terminal prints and how arguments are read. */
#include "unit.h"

#include "common/text.h"
#include "peer/terminal/commands/arguments.h"
#include "peer/terminal/progress.h"
#include "peer/terminal/units.h"
#include "peer/terminal/word_hits.h"

#define KIB INT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

static void sizes(void **state)
{
    static const struct {
        int64_t bytes;
        const char *text;
    } rows[] = {
        {0, "0 B"},
        {1, "1 B"},
        {999, "999 B"},
        {1000, "1.0 KiB"},
        {1024, "1.0 KiB"},
        {1536, "1.5 KiB"},
        {1023 * KIB, "1023.0 KiB"},
        {1024 * KIB - 1, "1.0 MiB"}, /* not 1024.0 KiB */
        {MIB, "1.0 MiB"},
        {123 * MIB + 400 * KIB, "123.4 MiB"},
        {5 * GIB, "5.0 GiB"},
        {INT64_MAX, "8.0 EiB"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char text[UNITS_TEXT_BYTES];
        check_row(i, strcmp(units_bytes(rows[i].bytes, text), rows[i].text) == 0);
    }
}

static void durations(void **state)
{
    static const struct {
        int64_t seconds;
        const char *text;
    } rows[] = {
        {0, "0:00"},
        {7, "0:07"},
        {60, "1:00"},
        {754, "12:34"},
        {3599, "59:59"},
        {3600, "1:00:00"},
        {3723, "1:02:03"},
        {359999, "99:59:59"},
        {360000, "4 d"},
        {30 * 86400, "30 d"},
        {INT64_MAX, "106751991167300 d"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char text[UNITS_TEXT_BYTES];
        check_row(i, strcmp(units_duration(rows[i].seconds, text), rows[i].text) == 0);
    }
}

static void time_left(void **state)
{
    static const struct {
        struct progress progress;
        int64_t seconds;
    } rows[] = {
        {{"a", 0, 100, 10, 0, NULL}, 10},
        {{"a", 95, 100, 10, 0, NULL}, 1},
        {{"a", 100, 100, 10, 0, NULL}, 0},
        {{"a", 0, 0, 10, 0, NULL}, -1},
        {{"a", 0, 100, 0, 0, NULL}, -1},
        {{"a", 101, 100, 10, 0, NULL}, -1},
        {{"a", 0, INT64_MAX, 1, 0, NULL}, INT64_MAX},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
        check_row(i, progress_seconds_left(&rows[i].progress) == rows[i].seconds);
}

static void progress_lines(void **state)
{
    static const struct {
        struct progress progress;
        size_t columns;
        const char *text;
    } rows[] = {
        {{"a.bin", 45 * MIB, 100 * MIB, 5 * MIB, 0, NULL},
         79,
         "a.bin   45 % [===========>                ]  45.0 MiB  5.0 MiB/s  0:11"},
        {{"a.bin", 100 * MIB, 100 * MIB, 5 * MIB, 0, NULL},
         79,
         "a.bin  100 % [============================]  100.0 MiB  5.0 MiB/s  0:00"},
        {{"a.bin", 0, 100 * MIB, 0, 0, NULL},
         79,
         "a.bin    0 % [                            ]  0 B"},
        {{"a.bin", 45 * MIB, 100 * MIB, 5 * MIB, 0, NULL},
         55,
         "a.bin   45 % [====>       ]  45.0 MiB  5.0 MiB/s  0:11"},
        {{"a.bin", 45 * MIB, 100 * MIB, 5 * MIB, 0, NULL},
         45,
         "a.bin   45 %  45.0 MiB  5.0 MiB/s  0:11"},
        {{"a rather long name.bin", 45 * MIB, 100 * MIB, 5 * MIB, 0, NULL},
         45,
         "a rather l…   45 %  45.0 MiB  5.0 MiB/s  0:11"},
        {{"a.bin", 45 * MIB, 0, 5 * MIB, 0, NULL}, 79, "a.bin  45.0 MiB  5.0 MiB/s"},
        {{"a.bin", 45 * MIB, 40 * MIB, 5 * MIB, 0, NULL}, 79, "a.bin  45.0 MiB  5.0 MiB/s"},
        {{"a.bin", 45 * MIB, 100 * MIB, 5 * MIB, 1, NULL},
         79,
         "a.bin   45 % [==========>               ]  45.0 MiB  5.0 MiB/s  0:11  1 fuente"},
        {{"a.bin", 45 * MIB, 100 * MIB, 5 * MIB, 12, NULL},
         60,
         "a.bin   45 %  45.0 MiB  5.0 MiB/s  0:11  12 fuentes"},
        {{"a.bin", 45 * MIB, 100 * MIB, 5 * MIB, 12, NULL},
         45,
         "a.bin   45 %  45.0 MiB  5.0 MiB/s  0:11"},
        {{"a.bin", 45 * MIB, 100 * MIB, 0, 0, "espera: no hay fuentes"},
         79,
         "a.bin   45 %  espera: no hay fuentes"},
        {{"a.bin", 45 * MIB, 100 * MIB, 0, 0, "espera: no hay fuentes"},
         30,
         "a.bin   45 %  espera: no hay …"},
        {{"a rather long name.bin", 0, 0, 0, 0, "en cola"}, 20, "a rather l…  en cola"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char line[PROGRESS_LINE_BYTES];
        progress_line(&rows[i].progress, rows[i].columns, line);
        if (strcmp(line, rows[i].text) != 0)
            fail_msg("row %zu: '%s', not '%s'", i, line, rows[i].text);
    }
}

static void progress_fits_every_width(void **state)
{
    static const char *const names[] = {
        "", "a", "ñandú ✅ 日本語の名前.bin",
        "una línea de texto muy larga que no cabe en ninguna pantalla estrecha y sigue.bin"};

    (void)state;
    for (size_t n = 0; n < ARRAY_LENGTH(names); n++) {
        for (size_t columns = 1; columns < 200; columns++) {
            struct progress progress = {names[n], 45 * MIB, 100 * MIB, 5 * MIB, 0, NULL};
            char line[PROGRESS_LINE_BYTES];
            check_row(columns, text_columns(progress_line(&progress, columns, line)) <= columns);
            check_row(columns, text_is_utf8(line, strlen(line)));
        }
    }
}

static void sizes_that_are_typed(void **state)
{
    static const struct {
        const char *text;
        int64_t bytes; /* -1: none */
    } rows[] = {
        {"0", 0},
        {"700", 700},
        {"7B", 7},
        {"7 B", 7},
        {"5k", 5120},
        {"5K", 5120},
        {"2MiB", 2 << 20},
        {"2 MiB", 2 << 20},
        {"1G", 1 << 30},
        {"3T", 3LL << 40},
        {"", -1},
        {"k", -1},
        {"-1", -1},
        {"5kB", -1},
        {"5 ", -1},
        {"5Mi", -1},
        {"1.5M", -1},
        {"5x", -1},
        {"5KiBx", -1},
        {"9000000000G", -1},
        {"99999999999999999999", -1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        int64_t bytes = -1;
        bool good = units_parse_bytes(rows[i].text, &bytes);
        check_row(i, good == (rows[i].bytes >= 0));
        check_row(i, !good || bytes == rows[i].bytes);
    }
}

/* ---- words ---- */

static void hits_as_a_table(void **state)
{
    static char odd[] = "日本\033[2J";
    static char name[] = "Canción de cuna.mp3";
    static char content[] = "c06e5a36b4bcffff";
    P2p__Control__WordHit first = P2P__CONTROL__WORD_HIT__INIT;
    P2p__Control__WordHit second = P2P__CONTROL__WORD_HIT__INIT;
    P2p__Control__WordHit *items[] = {&first, &second};
    const struct word_hits hits = {.items = items, .count = 2};
    auto_buffer out;

    (void)state;
    first.name = name;
    first.has_size = true;
    first.size_bytes = 3670016;
    first.content = content;
    first.peers = 2;
    first.truncated = true;
    second.name = odd;
    second.peers = 1;
    buffer_init(&out, 4096);
    word_hits_format(&hits, 1000, &out);
    assert_string_equal(out.data, " TAMAÑO  PEERS  CONTENIDO     NOMBRE\n"
                                  "3.5 MiB     2+  c06e5a36b4bc  Canción de cuna.mp3\n"
                                  "      -      1  -             日本?[2J\n");
    buffer_clear(&out);
    word_hits_format(&hits, 32, &out);
    assert_string_equal(out.data, " TAMAÑO  PEERS  NOMBRE\n"
                                  "3.5 MiB     2+  Canción de cuna…\n"
                                  "      -      1  日本?[2J\n");
}

/* ---- arguments ---- */

#define WORDS_MAX 8

static enum error_code parse(const struct argument_shape *shape, const char *const *words,
                             struct arguments *arguments)
{
    char *argv[WORDS_MAX + 1] = {0};
    int argc = 0;

    while (argc < WORDS_MAX && words[argc]) {
        argv[argc] = (char *)(uintptr_t)words[argc];
        argc++;
    }
    struct error error = {0};
    enum error_code code = arguments_parse(shape, argc, argv, arguments, &error);
    assert_int_equal(code != ERROR_NONE, error.text[0] != '\0');
    return code;
}

static const struct argument_shape get_shape = {ARGUMENT_JSON | ARGUMENT_FROM | ARGUMENT_OUTPUT, 1,
                                                1};
static const struct argument_shape menu_shape = {0, 0, 0};

static void good_arguments(void **state)
{
    static const struct {
        const char *words[WORDS_MAX];
        const char *word, *config, *from, *output;
        bool json;
    } rows[] = {
        {{"get", "a"}, "a", NULL, NULL, NULL, false},
        {{"get", "a", "--json"}, "a", NULL, NULL, NULL, true},
        {{"get", "--json", "--from", "P", "a"}, "a", NULL, "P", NULL, true},
        {{"get", "--from=P=Q", "a", "--output=-", 0, NULL}, "a", NULL, "P=Q", "-", false},
        {{"get", "a", "--output", "-", 0, NULL}, "a", NULL, NULL, "-", false},
        {{"get", "--config", "c", "--", "--json"}, "--json", "c", NULL, NULL, false},
        {{"get", "--", "-rf"}, "-rf", NULL, NULL, NULL, false},
        {{"get", "-"}, "-", NULL, NULL, NULL, false},
        {{"get", "--output", "--from", "a", 0, NULL}, "a", NULL, NULL, "--from", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct arguments arguments;
        check_row(i, parse(&get_shape, rows[i].words, &arguments) == ERROR_NONE);
        check_row(i, arguments.word_count == 1 && strcmp(arguments.words[0], rows[i].word) == 0);
        check_row(i, arguments.json == rows[i].json);
        check_row(i, (arguments.config == NULL) == (rows[i].config == NULL));
        check_row(i, !rows[i].from || strcmp(arguments.from, rows[i].from) == 0);
        check_row(i, !rows[i].output || strcmp(arguments.output, rows[i].output) == 0);
    }
}

static void words_may_be_excluded(void **state)
{
    static const struct argument_shape shape = {ARGUMENT_WORDS, 1, 8};
    static const char *const words[] = {"search", "-live", "a", "--ext", "mp3", "--", "--x", NULL};
    static const char *const help[] = {"search", "-h", NULL};
    struct arguments arguments;

    (void)state;
    assert_int_equal(parse(&shape, words, &arguments), ERROR_NONE);
    assert_int_equal(arguments.word_count, 3);
    assert_string_equal(arguments.words[0], "-live");
    assert_string_equal(arguments.words[2], "--x");
    assert_string_equal(arguments.ext, "mp3");
    assert_int_equal(parse(&shape, help, &arguments), ERROR_NONE);
    assert_true(arguments.help);
}

static void bad_arguments(void **state)
{
    static const struct {
        const struct argument_shape *shape;
        const char *words[WORDS_MAX];
    } rows[] = {
        {&get_shape, {"get"}},
        {&get_shape, {"get", "a", "b"}},
        {&get_shape, {"get", "a", "--from"}},
        {&get_shape, {"get", "a", "--from="}},
        {&get_shape, {"get", "a", "--from", "", 0, NULL}},
        {&get_shape, {"get", "a", "--jsonx"}},
        {&get_shape, {"get", "a", "--json=1"}},
        {&get_shape, {"get", "a", "-x"}},
        {&get_shape, {"get", "a", "-j"}},
        {&menu_shape, {"menu", "--json"}},
        {&menu_shape, {"menu", "--from", "x"}},
        {&menu_shape, {"menu", "x"}},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct arguments arguments;
        check_row(i, parse(rows[i].shape, rows[i].words, &arguments) == ERROR_INVALID);
    }
}

static void help_needs_nothing_else(void **state)
{
    static const char *const rows[][WORDS_MAX] = {
        {"get", "--help"}, {"get", "-h"}, {"get", "a", "--help"}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct arguments arguments;
        check_row(i, parse(&get_shape, rows[i], &arguments) == ERROR_NONE);
        check_row(i, arguments.help);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),
        cmocka_unit_test(sizes_that_are_typed),
        cmocka_unit_test(hits_as_a_table),
        cmocka_unit_test(durations),
        cmocka_unit_test(time_left),
        cmocka_unit_test(progress_lines),
        cmocka_unit_test(progress_fits_every_width),
        cmocka_unit_test(good_arguments),
        cmocka_unit_test(words_may_be_excluded),
        cmocka_unit_test(bad_arguments),
        cmocka_unit_test(help_needs_nothing_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
