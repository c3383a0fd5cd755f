#include "common/json.h"

#include "common/text.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

/* struct json is a cJSON under another name, so that no other file sees the parser. */
static const cJSON *of(const struct json *item)
{
    return (const cJSON *)(const void *)item;
}

static const struct json *from(const cJSON *item)
{
    return (const struct json *)(const void *)item;
}

/* One pass over the raw text for what the parser lets through: depth, and \u0000 in a string. */
static enum error_code scan(const char *text, size_t length, struct error *error)
{
    bool in_string = false;
    unsigned depth = 0;

    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (c == '\0')
            return error_set(error, ERROR_INVALID, "JSON: a NUL byte at byte %zu", i);
        if (in_string && c == '\\') {
            if (length - i >= 6 && memcmp(text + i + 1, "u0000", 5) == 0)
                return error_set(error, ERROR_INVALID, "JSON: U+0000 in a string at byte %zu", i);
            i++;
        } else if (c == '"') {
            in_string = !in_string;
        } else if (!in_string && (c == '[' || c == '{')) {
            if (++depth > JSON_MAX_DEPTH)
                return error_set(error, ERROR_INVALID, "JSON: nested deeper than %d at byte %zu",
                                 JSON_MAX_DEPTH, i);
        } else if (!in_string && (c == ']' || c == '}') && depth > 0) {
            depth--;
        }
    }
    return ERROR_NONE;
}

enum error_code json_parse(const char *text, size_t length, struct json **root, struct error *error)
{
    const char *end = NULL;

    *root = NULL;
    if (!text_is_utf8(text, length))
        return error_set(error, ERROR_INVALID, "JSON: not UTF-8");
    enum error_code code = scan(text, length, error);
    if (code)
        return code;
    cJSON *parsed = cJSON_ParseWithLengthOpts(text, length, &end, false);
    if (!parsed)
        return error_set(error, ERROR_INVALID, "JSON: wrong at byte %zu",
                         end ? (size_t)(end - text) : (size_t)0);
    for (; end < text + length; end++) {
        if (!strchr(" \t\r\n", *end)) {
            cJSON_Delete(parsed);
            return error_set(error, ERROR_INVALID, "JSON: more after the value at byte %zu",
                             (size_t)(end - text));
        }
    }
    *root = (struct json *)(void *)parsed;
    return ERROR_NONE;
}

void json_free(struct json *root)
{
    cJSON_Delete((cJSON *)(void *)root);
}

void json_cleanup(struct json **root)
{
    json_free(*root);
}

bool json_is_object(const struct json *item)
{
    return cJSON_IsObject(of(item));
}

bool json_is_array(const struct json *item)
{
    return cJSON_IsArray(of(item));
}

bool json_is_null(const struct json *item)
{
    return cJSON_IsNull(of(item));
}

const struct json *json_first(const struct json *container)
{
    return container ? from(of(container)->child) : NULL;
}

const struct json *json_next(const struct json *item)
{
    return from(of(item)->next);
}

size_t json_count(const struct json *container)
{
    size_t count = 0;

    for (const struct json *item = json_first(container); item; item = json_next(item))
        count++;
    return count;
}

const char *json_key(const struct json *item)
{
    return of(item)->string ? of(item)->string : "";
}

const struct json *json_find(const struct json *object, const char *key)
{
    return json_is_object(object) ? from(cJSON_GetObjectItemCaseSensitive(of(object), key)) : NULL;
}

const char *json_string(const struct json *item)
{
    return cJSON_GetStringValue(of(item));
}

bool json_integer(const struct json *item, int64_t *value)
{
    if (!cJSON_IsNumber(of(item)))
        return false;
    double number = of(item)->valuedouble;
    /* Up to 2^53 a double holds every whole number exactly. */
    if (!(fabs(number) <= 9007199254740992.0) || number != floor(number))
        return false;
    *value = (int64_t)number;
    return true;
}

bool json_boolean(const struct json *item, bool *value)
{
    if (!cJSON_IsBool(of(item)))
        return false;
    *value = cJSON_IsTrue(of(item));
    return true;
}

const char *json_type_name(const struct json *item)
{
    if (!item || cJSON_IsNull(of(item)))
        return "null";
    if (json_is_object(item))
        return "object";
    if (json_is_array(item))
        return "list";
    if (json_string(item))
        return "string";
    return cJSON_IsBool(of(item)) ? "boolean" : "number";
}
