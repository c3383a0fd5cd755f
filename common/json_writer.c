#include "common/json_writer.h"

#include <string.h>

void json_writer_init(struct json_writer *json, struct buffer *out)
{
    *json = (struct json_writer){.out = out};
}

static void write_quoted(struct buffer *out, const char *text)
{
    static const char short_escapes[32] = {
        ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    const char *run = text;

    buffer_append_char(out, '"');
    for (const char *c = text; *c; c++) {
        unsigned char byte = (unsigned char)*c;
        if (byte >= 0x20 && byte != '"' && byte != '\\')
            continue;
        buffer_append(out, run, (size_t)(c - run));
        run = c + 1;
        if (byte >= 0x20)
            buffer_printf(out, "\\%c", byte);
        else if (short_escapes[byte])
            buffer_printf(out, "\\%c", short_escapes[byte]);
        else
            buffer_printf(out, "\\u%04x", byte);
    }
    buffer_append_string(out, run);
    buffer_append_char(out, '"');
}

/* The comma and key before a value. */
static void begin_value(struct json_writer *json, const char *key)
{
    if (json->need_comma)
        buffer_append_char(json->out, ',');
    json->need_comma = true;
    if (key) {
        write_quoted(json->out, key);
        buffer_append_char(json->out, ':');
    }
}

static void begin_container(struct json_writer *json, const char *key, char bracket)
{
    begin_value(json, key);
    buffer_append_char(json->out, bracket);
    json->need_comma = false;
}

static void end_container(struct json_writer *json, char bracket)
{
    buffer_append_char(json->out, bracket);
    json->need_comma = true;
}

void json_begin_object(struct json_writer *json, const char *key)
{
    begin_container(json, key, '{');
}

void json_end_object(struct json_writer *json)
{
    end_container(json, '}');
}

void json_begin_array(struct json_writer *json, const char *key)
{
    begin_container(json, key, '[');
}

void json_end_array(struct json_writer *json)
{
    end_container(json, ']');
}

void json_write_string(struct json_writer *json, const char *key, const char *value)
{
    begin_value(json, key);
    write_quoted(json->out, value);
}

void json_write_integer(struct json_writer *json, const char *key, int64_t value)
{
    /* Not by printf: a search's reply has one for each source. */
    char text[24];
    char *start = text + sizeof text;
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

    do
        *--start = (char)('0' + left % 10);
    while (left /= 10);
    if (value < 0)
        *--start = '-';
    begin_value(json, key);
    buffer_append(json->out, start, (size_t)(text + sizeof text - start));
}

void json_write_boolean(struct json_writer *json, const char *key, bool value)
{
    json_write_raw(json, key, value ? "true" : "false");
}

void json_write_null(struct json_writer *json, const char *key)
{
    json_write_raw(json, key, "null");
}

void json_write_raw(struct json_writer *json, const char *key, const char *value)
{
    begin_value(json, key);
    buffer_append_string(json->out, value);
}
