#include "unit.h"

#include "common/log.h"
#include "common/text.h"

#include <fcntl.h>
#include <pthread.h>
#include <regex.h>

/* Runs the body with stderr going to a file; returns what was written, to be freed. */
static char *captured(void (*body)(void))
{
    char folder[UNIT_PATH_BYTES];
    char path[UNIT_PATH_BYTES];
    char *text = calloc(1, 1 << 20);

    assert_non_null(text);
    unit_path(unit_folder_make(folder), "log", path);
    int saved = dup(STDERR_FILENO);
    int file = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    assert_true(saved >= 0 && file >= 0);
    dup2(file, STDERR_FILENO);
    body();
    dup2(saved, STDERR_FILENO);
    assert_true(pread(file, text, (1 << 20) - 1, 0) >= 0);
    close(saved);
    close(file);
    unit_folder_remove(folder);
    return text;
}

static void expect_match(const char *pattern, const char *text)
{
    regex_t regex;

    assert_int_equal(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
    if (regexec(&regex, text, 0, NULL, 0) != 0)
        fail_msg("'%s' does not match %s", text, pattern);
    regfree(&regex);
}

static void one_line(void)
{
    log_line(LOG_WARNING, "directory", "%d left", 3);
}

static void form_of_a_line(void **state)
{
    char *text = captured(one_line);

    (void)state;
    expect_match("^20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]\\.[0-9]{3}Z "
                 "WARNING directory: 3 left\n$",
                 text);
    free(text);
}

static void hostile_lines(void)
{
    log_line(LOG_INFO, "x", "%s",
             "a\n2026-01-01T00:00:00.000Z ERROR x: forged\x1b[2J\r\xc2\x9b\xff");
}

static void outside_text_is_cleaned(void **state)
{
    char *text = captured(hostile_lines);

    (void)state;
    assert_non_null(strstr(text, "a?2026-01-01T00:00:00.000Z ERROR x: forged?[2J???\n"));
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    free(text);
}

static void long_line(void)
{
    char long_text[5000];

    memset(long_text, 'x', sizeof long_text);
    long_text[sizeof long_text - 1] = '\0';
    log_line(LOG_INFO, "x", "%s", long_text);
}

static void long_lines_are_cut_but_end(void **state)
{
    char *text = captured(long_line);
    size_t length = strlen(text);

    (void)state;
    assert_in_range(length, 1500, 2048);
    assert_int_equal(text[length - 1], '\n');
    free(text);
}

static void all_levels(void)
{
    for (int level = LOG_ERROR; level <= LOG_DEBUG; level++)
        log_line((enum log_level)level, "x", "level %d", level);
}

static void level_is_respected(void **state)
{
    enum log_level level = LOG_DEBUG;

    (void)state;
    assert_true(log_level_parse("warning", &level));
    assert_int_equal(level, LOG_WARNING);
    assert_false(log_level_parse("WARNING", &level));
    assert_false(log_level_parse("", &level));
    log_set_level(level);
    char *text = captured(all_levels);
    log_set_level(LOG_INFO);
    assert_non_null(strstr(text, "level 0"));
    assert_non_null(strstr(text, "level 1"));
    assert_null(strstr(text, "level 2"));
    assert_null(strstr(text, "level 3"));
    free(text);
}

static void *hundred_lines(void *unused)
{
    for (int i = 0; i < 100; i++)
        log_line(LOG_INFO, "thread", "0123456789012345678901234567890123456789");
    return unused;
}

static void lines_of_threads(void)
{
    pthread_t threads[4];

    for (size_t i = 0; i < ARRAY_LENGTH(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hundred_lines, NULL), 0);
    for (size_t i = 0; i < ARRAY_LENGTH(threads); i++)
        pthread_join(threads[i], NULL);
}

static void lines_do_not_mix(void **state)
{
    char *text = captured(lines_of_threads);
    size_t lines = 0;

    (void)state;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"), lines++)
        expect_match("^[^ ]{24} INFO thread: 0123456789012345678901234567890123456789$", line);
    assert_int_equal(lines, 400);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(form_of_a_line),
        cmocka_unit_test(outside_text_is_cleaned),
        cmocka_unit_test(long_lines_are_cut_but_end),
        cmocka_unit_test(level_is_respected),
        cmocka_unit_test(lines_do_not_mix),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
