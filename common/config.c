#include "common/config.h"

#include "common/byte_rate.h"
#include "common/file_io.h"
#include "common/json.h"
#include "common/memory.h"
#include "common/text.h"

#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *field(void *settings, const struct config_key *key)
{
    return (char *)settings + key->offset;
}

static void free_strings(struct config_strings *strings)
{
    for (size_t i = 0; i < strings->count; i++)
        free(strings->items[i]);
    free(strings->items);
    *strings = (struct config_strings){0};
}

static void add_string(struct config_strings *strings, const char *text, size_t length)
{
    strings->items = memory_resize(strings->items, strings->count + 1, sizeof *strings->items);
    strings->items[strings->count++] = memory_copy(text, length);
}

static enum error_code check_text(const struct config_key *key, const char *value,
                                  struct error *error)
{
    return key->check ? key->check(value, error) : ERROR_NONE;
}

static enum error_code set_integer(const struct config_key *key, void *settings, int64_t value,
                                   struct error *error)
{
    if (value < key->min || value > key->max)
        return error_set(error, ERROR_INVALID, "%" PRId64 " is not within %" PRId64 " to %" PRId64,
                         value, key->min, key->max);
    *(int64_t *)field(settings, key) = value;
    return ERROR_NONE;
}

static enum error_code set_string(const struct config_key *key, void *settings, const char *value,
                                  struct error *error)
{
    char **slot = field(settings, key);
    enum error_code code = check_text(key, value, error);

    if (code)
        return code;
    free(*slot);
    *slot = memory_copy_string(value);
    return ERROR_NONE;
}

static enum error_code set_boolean_text(const struct config_key *key, void *settings,
                                        const char *value, struct error *error)
{
    bool yes = strcmp(value, "true") == 0 || strcmp(value, "1") == 0;

    if (!yes && strcmp(value, "false") != 0 && strcmp(value, "0") != 0)
        return error_set(error, ERROR_INVALID, "'%s' is not true or false", value);
    *(bool *)field(settings, key) = yes;
    return ERROR_NONE;
}

static enum error_code set_strings_text(const struct config_key *key, void *settings,
                                        const char *value, struct error *error)
{
    struct config_strings strings = {0};

    for (const char *start = value; *start;) {
        size_t length = strcspn(start, ",");
        if (length > 0) {
            auto_free char *one = memory_copy(start, length);
            enum error_code code = check_text(key, one, error);
            if (code) {
                free_strings(&strings);
                return code;
            }
            add_string(&strings, start, length);
        }
        start += length + (start[length] == ',');
    }
    free_strings(field(settings, key));
    *(struct config_strings *)field(settings, key) = strings;
    return ERROR_NONE;
}

static enum error_code set_text(const struct config_key *key, void *settings, const char *value,
                                struct error *error)
{
    long long number;

    switch (key->type) {
    case CONFIG_STRING:
        return set_string(key, settings, value, error);
    case CONFIG_BOOLEAN:
        return set_boolean_text(key, settings, value, error);
    case CONFIG_STRINGS:
        return set_strings_text(key, settings, value, error);
    case CONFIG_RATE:
        return byte_rate_parse(value, field(settings, key), error);
    case CONFIG_INTEGER:
        break;
    }
    if (!text_to_integer(value, INT64_MIN, INT64_MAX, &number))
        return error_set(error, ERROR_INVALID, "'%s' is not a whole number", value);
    return set_integer(key, settings, number, error);
}

static enum error_code wrong_type(const char *expected, const struct json *value,
                                  struct error *error)
{
    return error_set(error, ERROR_INVALID, "must be a %s, not a %s", expected,
                     json_type_name(value));
}

static enum error_code set_strings_json(const struct config_key *key, void *settings,
                                        const struct json *value, struct error *error)
{
    struct config_strings strings = {0};
    enum error_code code = ERROR_NONE;

    if (key->or_one && json_string(value)) {
        code = check_text(key, json_string(value), error);
        if (code)
            return code;
        add_string(&strings, json_string(value), strlen(json_string(value)));
        free_strings(field(settings, key));
        *(struct config_strings *)field(settings, key) = strings;
        return ERROR_NONE;
    }
    if (!json_is_array(value))
        return wrong_type(key->or_one ? "string or a list of strings" : "list of strings", value,
                          error);
    for (const struct json *item = json_first(value); item && !code; item = json_next(item)) {
        const char *text = json_string(item);
        code = text ? check_text(key, text, error) : wrong_type("list of strings", item, error);
        if (!code)
            add_string(&strings, text, strlen(text));
    }
    if (code) {
        free_strings(&strings);
        return code;
    }
    free_strings(field(settings, key));
    *(struct config_strings *)field(settings, key) = strings;
    return ERROR_NONE;
}

static enum error_code set_rate_json(const struct config_key *key, void *settings,
                                     const struct json *value, struct error *error)
{
    int64_t rate;

    if (json_string(value))
        return byte_rate_parse(json_string(value), field(settings, key), error);
    if (!json_integer(value, &rate))
        return wrong_type("rate", value, error);
    if (byte_rate_check(rate, error))
        return ERROR_INVALID;
    *(int64_t *)field(settings, key) = rate;
    return ERROR_NONE;
}

static enum error_code set_json(const struct config_key *key, void *settings,
                                const struct json *value, struct error *error)
{
    int64_t number;

    switch (key->type) {
    case CONFIG_STRING:
        return json_string(value) ? set_string(key, settings, json_string(value), error)
                                  : wrong_type("string", value, error);
    case CONFIG_BOOLEAN:
        return json_boolean(value, field(settings, key)) ? ERROR_NONE
                                                         : wrong_type("boolean", value, error);
    case CONFIG_STRINGS:
        return set_strings_json(key, settings, value, error);
    case CONFIG_RATE:
        return set_rate_json(key, settings, value, error);
    case CONFIG_INTEGER:
        break;
    }
    if (!json_integer(value, &number))
        return wrong_type("whole number", value, error);
    return set_integer(key, settings, number, error);
}

static const struct config_key *find(const struct config_table *table, const char *name)
{
    for (size_t i = 0; i < table->count; i++)
        if (strcmp(table->keys[i].name, name) == 0)
            return &table->keys[i];
    return NULL;
}

void config_init(const struct config_table *table, void *settings)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct config_key *key = &table->keys[i];
        if (!key->preset) {
            if (key->type == CONFIG_INTEGER)
                *(int64_t *)field(settings, key) = CONFIG_INTEGER_UNSET;
            continue;
        }
        enum error_code code = set_text(key, settings, key->preset, NULL);
        assert(code == ERROR_NONE);
        (void)code;
    }
}

void config_done(const struct config_table *table, void *settings)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct config_key *key = &table->keys[i];
        if (key->type == CONFIG_STRING) {
            free(*(char **)field(settings, key));
            *(char **)field(settings, key) = NULL;
        } else if (key->type == CONFIG_STRINGS) {
            free_strings(field(settings, key));
        }
    }
}

enum error_code config_read_text(const struct config_table *table, void *settings,
                                 const char *source, const char *text, size_t length,
                                 config_unknown_fn *unknown, struct error *error)
{
    auto_json *root = NULL;

    if (json_parse(text, length, &root, error))
        return error_context(error, "%s", source);
    if (!json_is_object(root))
        return error_set(error, ERROR_INVALID, "%s: must be a JSON object, not a %s", source,
                         json_type_name(root));
    for (const struct json *item = json_first(root); item; item = json_next(item)) {
        const struct config_key *key = find(table, json_key(item));
        if (!key) {
            unknown(source, json_key(item));
            continue;
        }
        /* null is how other programs write "not set". */
        if (!json_is_null(item) && set_json(key, settings, item, error))
            return error_context(error, "%s: %s", source, key->name);
    }
    return ERROR_NONE;
}

enum error_code config_read_file(const struct config_table *table, void *settings, const char *path,
                                 config_unknown_fn *unknown, struct error *error)
{
    auto_free char *text = NULL;
    size_t length;
    enum error_code code = file_read(path, CONFIG_FILE_MAX_BYTES, &text, &length, error);

    if (code)
        return code;
    return config_read_text(table, settings, path, text, length, unknown, error);
}

enum error_code config_read_environment(const struct config_table *table, void *settings,
                                        const char *prefix, struct error *error)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct config_key *key = &table->keys[i];
        auto_free char *name = memory_format("%s%s", prefix, key->name);
        for (char *c = name; *c; c++)
            *c = (char)toupper((unsigned char)*c);
        const char *value = getenv(name);
        if (value && set_text(key, settings, value, error))
            return error_context(error, "%s", name);
    }
    return ERROR_NONE;
}

enum error_code config_set(const struct config_table *table, void *settings, const char *source,
                           const char *key_name, const char *value, struct error *error)
{
    const struct config_key *key = find(table, key_name);

    if (!key)
        return error_set(error, ERROR_NOT_FOUND, "%s: unknown key '%s'", source, key_name);
    if (set_text(key, settings, value, error))
        return error_context(error, "%s", source);
    return ERROR_NONE;
}

static bool is_set(const struct config_key *key, const void *settings)
{
    const void *slot = (const char *)settings + key->offset;

    switch (key->type) {
    case CONFIG_STRING:
        return *(char *const *)slot != NULL && **(char *const *)slot != '\0';
    case CONFIG_INTEGER:
        return *(const int64_t *)slot != CONFIG_INTEGER_UNSET;
    case CONFIG_STRINGS:
        return ((const struct config_strings *)slot)->count > 0;
    case CONFIG_BOOLEAN:
    case CONFIG_RATE:
        break;
    }
    return true;
}

enum error_code config_check(const struct config_table *table, const void *settings,
                             const char *source, struct error *error)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct config_key *key = &table->keys[i];
        if (key->required && !is_set(key, settings))
            return error_set(error, ERROR_INVALID, "%s: %s: missing", source, key->name);
    }
    return ERROR_NONE;
}

const struct config_key *config_find_flag(const struct config_table *table, const char *flag)
{
    auto_free char *name = memory_copy_string(flag);

    for (char *c = name; *c; c++)
        if (*c == '-')
            *c = '_';
    return find(table, name);
}

void config_describe(const struct config_table *table, struct buffer *out)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct config_key *key = &table->keys[i];
        auto_free char *flag = memory_format("--%s %s", key->name, key->value_name);
        for (char *c = flag; *c && *c != ' '; c++)
            if (*c == '_')
                *c = '-';
        buffer_printf(out, "  %-24s %s", flag, key->help);
        if (key->preset)
            buffer_printf(out, " (default %s)", key->preset);
        buffer_append_char(out, '\n');
    }
}
