#include "common/json_writer.h"

#include <string.h>

void json_writer_init(struct json_writer *json, struct buffer *out)
{
    *json = (struct json_writer){.out = out};
}

#define EACH_BYTE(value) (UINT64_C(0x0101010101010101) * (value))

/* Not 0 where one of eight bytes is under the limit, which is 128 at most. */
static uint64_t find_under(uint64_t word, unsigned limit)
{
    return (word - EACH_BYTE(limit)) & ~word & EACH_BYTE(0x80);
}

static bool needs_escape(unsigned char byte)
{
    return byte < 0x20 || byte == '"' || byte == '\\';
}

/* Whether none of eight bytes needs an escape. */
static bool is_plain_word(uint64_t word)
{
    return !(find_under(word, 0x20) | find_under(word ^ EACH_BYTE('"'), 1) |
             find_under(word ^ EACH_BYTE('\\'), 1));
}

/* Whether all of it goes out as it is. Eight bytes at a time; the last eight are looked at once
 * more where the length is no multiple. */
static bool is_plain(const char *text, size_t length)
{
    uint64_t word;
    uint32_t halves[2];
    size_t i = 0;

    if (length >= sizeof word) {
        for (; length - i > sizeof word; i += sizeof word) {
            memcpy(&word, text + i, sizeof word);
            if (!is_plain_word(word))
                return false;
        }
        memcpy(&word, text + length - sizeof word, sizeof word);
        return is_plain_word(word);
    }
    if (length >= sizeof *halves) {
        memcpy(&halves[0], text, sizeof *halves);
        memcpy(&halves[1], text + length - sizeof *halves, sizeof *halves);
        return is_plain_word((uint64_t)halves[0] << 32 | halves[1]);
    }
    while (i < length && !needs_escape((unsigned char)text[i]))
        i++;
    return i == length;
}

static void write_escape(struct buffer *out, unsigned char byte)
{
    static const char short_escapes[32] = {
        ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};

    if (byte >= 0x20)
        buffer_printf(out, "\\%c", byte);
    else if (short_escapes[byte])
        buffer_printf(out, "\\%c", short_escapes[byte]);
    else
        buffer_printf(out, "\\u%04x", byte);
}

static void write_escaped(struct buffer *out, const char *text, size_t length)
{
    buffer_append_char(out, '"');
    while (length > 0) {
        size_t plain = 0;
        while (plain < length && !needs_escape((unsigned char)text[plain]))
            plain++;
        buffer_append(out, text, plain);
        if (plain < length)
            write_escape(out, (unsigned char)text[plain++]);
        text += plain;
        length -= plain;
    }
    buffer_append_char(out, '"');
}

/* The comma and key before a value, which has so many bytes; where it goes, or NULL. What is
 * written is added by end_value: there is one look at the buffer's room for all of it. */
static char *begin_value(struct json_writer *json, const char *key, size_t length)
{
    size_t key_length = key ? strlen(key) : 0;
    size_t comma = json->need_comma;

    json->need_comma = true;
    if (!is_plain(key, key_length)) {
        if (comma)
            buffer_append_char(json->out, ',');
        write_escaped(json->out, key, key_length);
        buffer_append_char(json->out, ':');
        return buffer_room(json->out, length);
    }
    char *at = buffer_room(json->out, comma + (key ? key_length + 3 : 0) + length);
    if (!at)
        return NULL;
    if (comma)
        *at++ = ',';
    if (key) {
        *at++ = '"';
        at = (char *)memcpy(at, key, key_length) + key_length;
        *at++ = '"';
        *at++ = ':';
    }
    return at;
}

static void end_value(struct json_writer *json, const char *end)
{
    struct buffer *out = json->out;

    buffer_add(out, (size_t)(end - (out->data + out->length)));
}

static void write_value(struct json_writer *json, const char *key, const char *value, size_t length)
{
    char *at = begin_value(json, key, length);

    if (at)
        end_value(json, (char *)memcpy(at, value, length) + length);
}

static void begin_container(struct json_writer *json, const char *key, char bracket)
{
    write_value(json, key, &bracket, 1);
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
    size_t length = strlen(value);
    bool plain = is_plain(value, length);
    char *at = begin_value(json, key, plain ? length + 2 : 0);

    if (!at)
        return;
    if (plain) {
        *at++ = '"';
        at = (char *)memcpy(at, value, length) + length;
        *at++ = '"';
    }
    end_value(json, at);
    if (!plain)
        write_escaped(json->out, value, length);
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
    write_value(json, key, start, (size_t)(text + sizeof text - start));
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
    write_value(json, key, value, strlen(value));
}
