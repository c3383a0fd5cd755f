#include "unit.h"

#include "common/file_name.h"
#include "common/text.h"

#define BYTES(literal) literal, sizeof literal - 1

static void good_names(void **state)
{
    static const char *const rows[] = {
        "a",
        "archivo1_p1.txt",
        "con espacios.txt",
        "ñandú ✅.pdf",
        "...",
        ".hidden",
        "..a",
        "a..",
        "100%",
        "a\\b",
        "-rf",
        "~",
        "*?.c",
        "CON",
        "ends with dot.",
        "a&b=c+d#e",
        "\"'`",
        " ",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct file_name name;
        check_row(i, file_name_parse(rows[i], strlen(rows[i]), &name, NULL) == ERROR_NONE);
        check_row(i, strcmp(name.text, rows[i]) == 0);
    }
}

static void bad_names(void **state)
{
    static const struct {
        const char *text;
        size_t length;
        const char *reason;
    } rows[] = {
        {BYTES(""), "Nombre de archivo inválido: está vacío"},
        {BYTES("."), "Nombre de archivo inválido: '.'"},
        {BYTES(".."), "Nombre de archivo inválido: '..'"},
        {BYTES("../x"), "Nombre de archivo inválido: contiene '/'"},
        {BYTES("/etc/passwd"), "Nombre de archivo inválido: contiene '/'"},
        {BYTES("a/"), "Nombre de archivo inválido: contiene '/'"},
        {BYTES("a\0b"), "Nombre de archivo inválido: tiene caracteres de control"},
        {BYTES("a\nb"), "Nombre de archivo inválido: tiene caracteres de control"},
        {BYTES("\x1b[2J"), "Nombre de archivo inválido: tiene caracteres de control"},
        {BYTES("\xc2\x9b"), "Nombre de archivo inválido: tiene caracteres de control"},
        {BYTES("\x7f"), "Nombre de archivo inválido: tiene caracteres de control"},
        {BYTES("caf\xe9"), "Nombre de archivo inválido: no es UTF-8"},
        {BYTES("..\xc0\xaf"), "Nombre de archivo inválido: no es UTF-8"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct file_name name;
        struct error error = {0};
        check_row(i, file_name_parse(rows[i].text, rows[i].length, &name, &error) == ERROR_INVALID);
        assert_string_equal(error.text, rows[i].reason);
    }
}

static void length_limit(void **state)
{
    char text[300];
    struct file_name name;
    struct error error = {0};

    (void)state;
    memset(text, 'x', sizeof text);
    assert_int_equal(file_name_parse(text, 255, &name, NULL), ERROR_NONE);
    assert_int_equal(strlen(name.text), 255);
    assert_int_equal(file_name_parse(text, 256, &name, &error), ERROR_INVALID);
    assert_string_equal(error.text,
                        "Nombre de archivo inválido: tiene 256 bytes, el máximo es 255");
}

static struct file_name name_of(const char *text)
{
    struct file_name name;

    assert_int_equal(file_name_parse(text, strlen(text), &name, NULL), ERROR_NONE);
    return name;
}

static void hidden_names(void **state)
{
    struct file_name hidden = name_of(".p2p-part-abc123");
    struct file_name visible = name_of("a.p2p-part");

    (void)state;
    assert_true(file_name_is_hidden(&hidden));
    assert_false(file_name_is_hidden(&visible));
}

static void numbered_names(void **state)
{
    static const struct {
        const char *name;
        unsigned number;
        const char *expected;
    } rows[] = {
        {"a.txt", 0, "a.txt"},
        {"a.txt", 1, "a (1).txt"},
        {"upload.bin", 12, "upload (12).bin"},
        {"archive.tar.gz", 1, "archive.tar (1).gz"},
        {"Makefile", 3, "Makefile (3)"},
        {".bashrc", 1, ".bashrc (1)"},
        {"a.", 1, "a (1)."},
        {"ñ.ñ", 4294967295U, "ñ (4294967295).ñ"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct file_name name = name_of(rows[i].name);
        struct file_name out;
        file_name_numbered(&name, rows[i].number, &out);
        check_row(i, strcmp(out.text, rows[i].expected) == 0);
    }
}

/* Every length near the limit, one- to four-byte characters: the result stays a good name. */
static void numbered_names_fit(void **state)
{
    static const char *const characters[] = {"x", "ñ", "✅", "😀"};
    static const char *const extensions[] = {"", ".txt", ".ñandú"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(characters) * ARRAY_LENGTH(extensions); i++) {
        const char *character = characters[i % ARRAY_LENGTH(characters)];
        const char *extension = extensions[i / ARRAY_LENGTH(characters)];
        for (size_t length = 235; length <= 255; length++) {
            char text[300] = "";
            while (strlen(text) + strlen(character) + strlen(extension) <= length)
                strcat(text, character);
            strcat(text, extension);
            struct file_name name = name_of(text);
            struct file_name out;
            struct file_name again;
            file_name_numbered(&name, 1234, &out);
            size_t out_length = strlen(out.text);
            check_row(i, file_name_parse(out.text, out_length, &again, NULL) == ERROR_NONE);
            check_row(i, strstr(out.text, " (1234)") != NULL);
            check_row(i, strcmp(out.text + out_length - strlen(extension), extension) == 0);
        }
    }
}

static void numbered_name_with_a_huge_extension(void **state)
{
    char text[256] = "a.";
    struct file_name out;

    (void)state;
    memset(text + 2, 'e', 253);
    text[255] = '\0';
    struct file_name name = name_of(text);
    file_name_numbered(&name, 7, &out);
    assert_int_equal(strlen(out.text), 255);
    assert_string_equal(out.text + 251, " (7)");
}

static struct file_name path_of(const char *text)
{
    struct file_name name;

    assert_int_equal(file_name_parse_path(text, strlen(text), &name, NULL), ERROR_NONE);
    return name;
}

static void good_paths(void **state)
{
    static const struct {
        const char *path;
        const char *base;
        bool in_folder, hidden;
    } rows[] = {
        {"a", "a", false, false},
        {"a/b", "b", true, false},
        {"con espacios/ñandú ✅.pdf", "ñandú ✅.pdf", true, false},
        {".../..a", "..a", true, true},
        {"a/.b/c", "c", true, true},
        {"a/.b", ".b", true, true},
        {".a", ".a", false, true},
        {"a./b.", "b.", true, false},
        {"a/ /b", "b", true, false},
        {"a\\..\\b", "a\\..\\b", false, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct file_name name = path_of(rows[i].path);
        check_row(i, strcmp(name.text, rows[i].path) == 0);
        check_row(i, strcmp(file_name_base(&name), rows[i].base) == 0);
        check_row(i, file_name_in_folder(&name) == rows[i].in_folder);
        check_row(i, file_name_is_hidden(&name) == rows[i].hidden);
    }
}

static void bad_paths(void **state)
{
    static const struct {
        const char *text;
        size_t length;
        const char *reason;
    } rows[] = {
        {BYTES(""), "Nombre de archivo inválido: está vacío"},
        {BYTES("/"), "Nombre de archivo inválido: una parte está vacía"},
        {BYTES("/a"), "Nombre de archivo inválido: una parte está vacía"},
        {BYTES("a/"), "Nombre de archivo inválido: una parte está vacía"},
        {BYTES("a//b"), "Nombre de archivo inválido: una parte está vacía"},
        {BYTES("//"), "Nombre de archivo inválido: una parte está vacía"},
        {BYTES("."), "Nombre de archivo inválido: '.'"},
        {BYTES(".."), "Nombre de archivo inválido: '..'"},
        {BYTES("../x"), "Nombre de archivo inválido: '..'"},
        {BYTES("a/../b"), "Nombre de archivo inválido: '..'"},
        {BYTES("a/./b"), "Nombre de archivo inválido: '.'"},
        {BYTES("a/.."), "Nombre de archivo inválido: '..'"},
        {BYTES("a/."), "Nombre de archivo inválido: '.'"},
        {BYTES("a\0/b"), "Nombre de archivo inválido: tiene caracteres de control"},
        {BYTES("a/b\nc"), "Nombre de archivo inválido: tiene caracteres de control"},
        {BYTES("a/\x1b[2J"), "Nombre de archivo inválido: tiene caracteres de control"},
        {BYTES("a/\xc2\x9b"), "Nombre de archivo inválido: tiene caracteres de control"},
        {BYTES("a/caf\xe9"), "Nombre de archivo inválido: no es UTF-8"},
        {BYTES("a\xc0\xaf"
               "b"),
         "Nombre de archivo inválido: no es UTF-8"},
        /* A character is not cut by a '/'. */
        {BYTES("a\xc3/\xb1"), "Nombre de archivo inválido: no es UTF-8"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct file_name name;
        struct error error = {0};
        check_row(i, file_name_parse_path(rows[i].text, rows[i].length, &name, &error) ==
                         ERROR_INVALID);
        check_row(i, strcmp(error.text, rows[i].reason) == 0);
    }
}

static void path_limits(void **state)
{
    char text[20001];
    struct file_name name;
    struct error error = {0};

    (void)state;
    memset(text, 'x', sizeof text);
    text[255] = '/';
    assert_int_equal(file_name_parse_path(text, 511, &name, NULL), ERROR_NONE);
    assert_int_equal(strlen(name.text), 511);
    assert_int_equal(file_name_parse_path(text, 512, &name, &error), ERROR_INVALID);
    assert_string_equal(error.text,
                        "Nombre de archivo inválido: tiene 512 bytes, el máximo es 511");
    text[255] = 'x';
    text[256] = '/';
    assert_int_equal(file_name_parse_path(text, 400, &name, &error), ERROR_INVALID);
    assert_string_equal(error.text,
                        "Nombre de archivo inválido: tiene 256 bytes, el máximo es 255");
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = i % 2 ? '/' : 'x';
    assert_int_equal(file_name_parse_path(text, 63, &name, NULL), ERROR_NONE);
    assert_int_equal(file_name_parse_path(text, 65, &name, &error), ERROR_INVALID);
    assert_string_equal(error.text, "Nombre de archivo inválido: tiene más de 32 partes");
    assert_int_equal(file_name_parse_path(text, 19999, &name, NULL), ERROR_INVALID);
}

static void numbered_paths(void **state)
{
    static const struct {
        const char *name;
        unsigned number;
        const char *expected;
    } rows[] = {
        {"d/a.txt", 0, "d/a.txt"},
        {"d/a.txt", 1, "d/a (1).txt"},
        {"d.e/a", 2, "d.e/a (2)"},
        {"d.e/.a", 2, "d.e/.a (2)"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct file_name name = path_of(rows[i].name);
        struct file_name out;
        check_row(i, file_name_numbered(&name, rows[i].number, &out));
        check_row(i, strcmp(out.text, rows[i].expected) == 0);
    }
}

/* Bases of every length behind folders that leave little room. */
static void numbered_paths_fit(void **state)
{
    (void)state;
    for (size_t base = 1; base <= 255; base++) {
        char text[FILE_PATH_MAX_BYTES + 1];
        struct file_name out;
        struct file_name again;
        memset(text, 'x', sizeof text);
        text[FILE_PATH_MAX_BYTES] = '\0';
        text[FILE_PATH_MAX_BYTES - base - 1] = '/';
        text[base < 240 ? 260 : 200] = '/';
        text[100] = '/';
        if (base > 4)
            text[FILE_PATH_MAX_BYTES - 4] = '.';
        struct file_name name = path_of(text);
        bool fits = file_name_numbered(&name, 12, &out);
        check_row(base, fits == (base > 5));
        check_row(base, !fits || strstr(out.text, " (12)"));
        check_row(base, !fits || !file_name_parse_path(out.text, strlen(out.text), &again, NULL));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_names),
        cmocka_unit_test(bad_names),
        cmocka_unit_test(length_limit),
        cmocka_unit_test(hidden_names),
        cmocka_unit_test(numbered_names),
        cmocka_unit_test(numbered_names_fit),
        cmocka_unit_test(numbered_name_with_a_huge_extension),
        cmocka_unit_test(good_paths),
        cmocka_unit_test(bad_paths),
        cmocka_unit_test(path_limits),
        cmocka_unit_test(numbered_paths),
        cmocka_unit_test(numbered_paths_fit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
