/* common/file_name: what it accepts is accepted again, survives JSON, and numbering gives good
 * names. A name is a path, too. */
#include "fuzz.h"

#include "common/file_name.h"
#include "common/json.h"
#include "common/json_writer.h"
#include "common/text.h"

static void check_good(const struct file_name *name)
{
    size_t length = strlen(name->text);
    char shown[FILE_PATH_MAX_BYTES + 1];
    struct file_name again;
    bool hidden = false;

    fuzz_check(length >= 1 && length <= FILE_PATH_MAX_BYTES);
    const char *part = name->text;
    for (int parts = 1; part; parts++) {
        size_t bytes = strcspn(part, "/");
        fuzz_check(bytes >= 1 && bytes <= FILE_NAME_MAX_BYTES && parts <= FILE_PATH_PARTS_MAX);
        fuzz_check(strncmp(part, "./", 2) && strncmp(part, "../", 3) && strcmp(part, ".") &&
                   strcmp(part, ".."));
        hidden = hidden || part[0] == '.';
        part = part[bytes] ? part + bytes + 1 : NULL;
    }
    for (const char *c = name->text; *c; c++)
        fuzz_check((unsigned char)*c >= 0x20 && *c != 0x7f);
    fuzz_check(file_name_parse_path(name->text, length, &again, NULL) == ERROR_NONE);
    fuzz_check(strcmp(again.text, name->text) == 0);
    fuzz_check((file_name_parse(name->text, length, &again, NULL) == ERROR_NONE) ==
               !file_name_in_folder(name));
    fuzz_check(file_name_is_hidden(name) == hidden);

    text_clean(name->text, shown, sizeof shown);
    fuzz_check(text_is_utf8(shown, strlen(shown)) && !text_has_control(shown, strlen(shown)));
    fuzz_check(text_columns(shown) <= 2 * strlen(shown));
}

static void check_json(const struct file_name *name)
{
    struct json_writer json;
    auto_buffer text;
    auto_json *root = NULL;

    buffer_init(&text, 8 * FILE_PATH_MAX_BYTES);
    json_writer_init(&json, &text);
    json_begin_object(&json, NULL);
    json_write_string(&json, "filename", name->text);
    json_end_object(&json);
    fuzz_check(!text.failed);
    fuzz_check(json_parse(text.data, text.length, &root, NULL) == ERROR_NONE);
    fuzz_check(strcmp(json_string(json_find(root, "filename")), name->text) == 0);
}

static void check_numbered(const struct file_name *name)
{
    static const unsigned numbers[] = {0, 1, 2, 10, 999, 4294967295U};

    for (size_t i = 0; i < ARRAY_LENGTH(numbers); i++) {
        struct file_name numbered;
        char suffix[16];
        if (!file_name_numbered(name, numbers[i], &numbered)) {
            fuzz_check(strlen(name->text) > FILE_PATH_MAX_BYTES - 32);
            continue;
        }
        check_good(&numbered);
        snprintf(suffix, sizeof suffix, " (%u)", numbers[i]);
        fuzz_check(i > 0 || strcmp(numbered.text, name->text) == 0);
        fuzz_check(i == 0 || strstr(numbered.text, suffix));
        fuzz_check(file_name_is_hidden(&numbered) == file_name_is_hidden(name));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct file_name name;
    struct error error;

    if (file_name_parse_path((const char *)data, size, &name, &error)) {
        fuzz_check(error.code == ERROR_INVALID && error.text[0] != '\0');
        fuzz_check(text_is_utf8(error.text, strlen(error.text)));
        return 0;
    }
    fuzz_check(strlen(name.text) == size && memcmp(name.text, data, size) == 0);
    check_good(&name);
    check_json(&name);
    check_numbered(&name);
    return 0;
}
