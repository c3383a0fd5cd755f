#include "common/file_name.h"

#include "common/text.h"

#include <stdio.h>
#include <string.h>

enum error_code file_name_parse(const char *text, size_t length, struct file_name *name,
                                struct error *error)
{
    if (length == 0)
        return error_set(error, ERROR_INVALID, "Nombre de archivo inválido: está vacío");
    if (length > FILE_NAME_MAX_BYTES)
        return error_set(error, ERROR_INVALID,
                         "Nombre de archivo inválido: tiene %zu bytes, el máximo es %d", length,
                         FILE_NAME_MAX_BYTES);
    if (!text_is_utf8(text, length))
        return error_set(error, ERROR_INVALID, "Nombre de archivo inválido: no es UTF-8");
    if (text_has_control(text, length))
        return error_set(error, ERROR_INVALID,
                         "Nombre de archivo inválido: tiene caracteres de control");
    if (memchr(text, '/', length))
        return error_set(error, ERROR_INVALID, "Nombre de archivo inválido: contiene '/'");
    if (text[0] == '.' && (length == 1 || (length == 2 && text[1] == '.')))
        return error_set(error, ERROR_INVALID, "Nombre de archivo inválido: '%.*s'", (int)length,
                         text);
    memcpy(name->text, text, length);
    name->text[length] = '\0';
    return ERROR_NONE;
}

bool file_name_is_hidden(const struct file_name *name)
{
    return name->text[0] == '.';
}

void file_name_numbered(const struct file_name *name, unsigned number, struct file_name *out)
{
    if (number == 0) {
        *out = *name;
        return;
    }
    char suffix[16];
    int suffix_length = snprintf(suffix, sizeof suffix, " (%u)", number);
    const char *dot = strrchr(name->text, '.');
    size_t length = strlen(name->text);
    size_t stem = dot && dot != name->text ? (size_t)(dot - name->text) : length;
    size_t extension = length - stem;
    if (extension > FILE_NAME_MAX_BYTES / 2) { /* not an extension that anybody reads */
        stem = length;
        extension = 0;
    }
    size_t room = FILE_NAME_MAX_BYTES - (size_t)suffix_length - extension;
    struct file_name cut = *name;
    text_cut(cut.text, stem < room ? stem : room);
    snprintf(out->text, sizeof out->text, "%s%s%s", cut.text, suffix,
             name->text + length - extension);
}
