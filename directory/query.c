#include "directory/query.h"

#include "common/text.h"

#include <string.h>

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes text[0..length) in place; false when a '%' is not followed by two digits. */
static bool decode(char *text, size_t *length, bool plus_is_space)
{
    size_t used = 0;

    if (!memchr(text, '%', *length) && !(plus_is_space && memchr(text, '+', *length))) {
        text[*length] = '\0';
        return true;
    }
    for (size_t i = 0; i < *length; i++) {
        char c = text[i];
        if (c == '%') {
            if (*length - i < 3)
                return false;
            int high = hex_value(text[i + 1]);
            int low = hex_value(text[i + 2]);
            if (high < 0 || low < 0)
                return false;
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        text[used++] = c;
    }
    text[used] = '\0';
    *length = used;
    return true;
}

bool query_flag(const struct query_field *field, bool *value)
{
    if (!field->value)
        return true;
    if (field->length != 1 || (field->value[0] != '0' && field->value[0] != '1'))
        return false;
    *value = field->value[0] == '1';
    return true;
}

bool query_number(const struct query_field *field, int64_t min, int64_t max, int64_t *value)
{
    long long number;

    if (!field->value)
        return true;
    if (strlen(field->value) != field->length || !text_to_integer(field->value, min, max, &number))
        return false;
    *value = number;
    return true;
}

bool query_decode_path(char *text, size_t *length)
{
    return decode(text, length, false);
}

static void keep(struct query_field *fields, size_t count, const char *name, size_t name_length,
                 char *value, size_t length)
{
    for (size_t i = 0; i < count; i++) {
        if (fields[i].name[0] == name[0] && strlen(fields[i].name) == name_length &&
            memcmp(fields[i].name, name, name_length) == 0) {
            fields[i].value = value;
            fields[i].length = length;
        }
    }
}

enum error_code query_parse(char *text, size_t length, struct query_field *fields, size_t count,
                            struct error *error)
{
    char *end = text + length;

    for (char *start = text; start < end;) {
        char *stop = memchr(start, '&', (size_t)(end - start));
        if (!stop)
            stop = end;
        char *next = stop + 1;
        char *equals = memchr(start, '=', (size_t)(stop - start));
        char *value = equals ? equals + 1 : stop;
        size_t name_length = (size_t)((equals ? equals : stop) - start);
        size_t value_length = (size_t)(stop - value);
        /* The value first: ending the name writes over the '=' (or over the value's NUL). */
        if (!decode(value, &value_length, true) || !decode(start, &name_length, true))
            return error_set(error, ERROR_INVALID, "Codificación por ciento inválida");
        keep(fields, count, start, name_length, value, value_length);
        start = next;
    }
    return ERROR_NONE;
}
