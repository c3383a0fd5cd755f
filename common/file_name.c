#include "common/file_name.h"

#include "common/text.h"

#include <stdio.h>
#include <string.h>

static enum error_code too_long(size_t length, int most, struct error *error)
{
    return error_set(error, ERROR_INVALID,
                     "Nombre de archivo inválido: tiene %zu bytes, el máximo es %d", length, most);
}

/* What holds for a name as for a path. */
static enum error_code check_text(const char *text, size_t length, struct error *error)
{
    if (length == 0)
        return error_set(error, ERROR_INVALID, "Nombre de archivo inválido: está vacío");
    if (!text_is_utf8(text, length))
        return error_set(error, ERROR_INVALID, "Nombre de archivo inválido: no es UTF-8");
    if (text_has_control(text, length))
        return error_set(error, ERROR_INVALID,
                         "Nombre de archivo inválido: tiene caracteres de control");
    return ERROR_NONE;
}

static enum error_code check_dots(const char *part, size_t length, struct error *error)
{
    if (part[0] == '.' && (length == 1 || (length == 2 && part[1] == '.')))
        return error_set(error, ERROR_INVALID, "Nombre de archivo inválido: '%.*s'", (int)length,
                         part);
    return ERROR_NONE;
}

static enum error_code check_part(const char *part, size_t length, struct error *error)
{
    if (length == 0)
        return error_set(error, ERROR_INVALID, "Nombre de archivo inválido: una parte está vacía");
    if (length > FILE_NAME_MAX_BYTES)
        return too_long(length, FILE_NAME_MAX_BYTES, error);
    return check_dots(part, length, error);
}

enum error_code file_name_parse(const char *text, size_t length, struct file_name *name,
                                struct error *error)
{
    enum error_code code = length > FILE_NAME_MAX_BYTES
                               ? too_long(length, FILE_NAME_MAX_BYTES, error)
                               : check_text(text, length, error);

    if (!code && memchr(text, '/', length))
        code = error_set(error, ERROR_INVALID, "Nombre de archivo inválido: contiene '/'");
    if (!code)
        code = check_dots(text, length, error);
    if (code)
        return code;
    memcpy(name->text, text, length);
    name->text[length] = '\0';
    return ERROR_NONE;
}

enum error_code file_name_parse_path(const char *text, size_t length, struct file_name *name,
                                     struct error *error)
{
    enum error_code code = length > FILE_PATH_MAX_BYTES
                               ? too_long(length, FILE_PATH_MAX_BYTES, error)
                               : check_text(text, length, error);
    int parts = 0;

    for (size_t at = 0; !code && at <= length;) {
        const char *slash = memchr(text + at, '/', length - at);
        size_t end = slash ? (size_t)(slash - text) : length;
        code = check_part(text + at, end - at, error);
        if (!code && ++parts > FILE_PATH_PARTS_MAX)
            code = error_set(error, ERROR_INVALID,
                             "Nombre de archivo inválido: tiene más de %d partes",
                             FILE_PATH_PARTS_MAX);
        at = end + 1;
    }
    if (code)
        return code;
    memcpy(name->text, text, length);
    name->text[length] = '\0';
    return ERROR_NONE;
}

bool file_name_in_folder(const struct file_name *name)
{
    return strchr(name->text, '/') != NULL;
}

const char *file_name_base(const struct file_name *name)
{
    const char *slash = strrchr(name->text, '/');

    return slash ? slash + 1 : name->text;
}

bool file_name_is_hidden(const struct file_name *name)
{
    return name->text[0] == '.' || strstr(name->text, "/.") != NULL;
}

/* Bytes of the base that stay before the number when `taken` bytes are needed for what follows, and
 * `before` are those of the folders. */
static size_t stem_room(size_t before, size_t taken)
{
    size_t part = FILE_NAME_MAX_BYTES - taken;
    size_t whole = before + taken < FILE_PATH_MAX_BYTES ? FILE_PATH_MAX_BYTES - before - taken : 0;

    return part < whole ? part : whole;
}

bool file_name_numbered(const struct file_name *name, unsigned number, struct file_name *out)
{
    *out = *name;
    if (number == 0)
        return true;
    char suffix[16];
    size_t suffix_length = (size_t)snprintf(suffix, sizeof suffix, " (%u)", number);
    const char *base = file_name_base(name);
    const char *dot = strrchr(base, '.');
    size_t length = strlen(base);
    size_t before = (size_t)(base - name->text);
    size_t stem = dot && dot != base ? (size_t)(dot - base) : length;
    if (length - stem > FILE_NAME_MAX_BYTES / 2 || /* not an extension that anybody reads */
        stem_room(before, suffix_length + length - stem) == 0)
        stem = length;
    size_t room = stem_room(before, suffix_length + length - stem);
    text_cut(out->text, before + (stem < room ? stem : room));
    size_t kept = strlen(out->text);
    snprintf(out->text + kept, sizeof out->text - kept, "%s%s", suffix, base + stem);
    return room > 0;
}
