#include "peer/terminal/commands/arguments.h"

#include <string.h>

struct flag {
    const char *name;
    unsigned needs; /* the shape's flag; 0: every command has it */
    size_t offset;  /* of a bool, or of a const char * when it takes a value */
    bool takes_value;
};

static const struct flag flags[] = {
    {"help", 0, offsetof(struct arguments, help), false},
    {"config", 0, offsetof(struct arguments, config), true},
    {"json", ARGUMENT_JSON, offsetof(struct arguments, json), false},
    {"follow", ARGUMENT_FOLLOW, offsetof(struct arguments, follow), false},
    {"from", ARGUMENT_FROM, offsetof(struct arguments, from), true},
    {"output", ARGUMENT_OUTPUT, offsetof(struct arguments, output), true},
    {"priority", ARGUMENT_PRIORITY, offsetof(struct arguments, priority), true},
    {"timeout", ARGUMENT_TIMEOUT, offsetof(struct arguments, timeout), true},
    {"words", ARGUMENT_WORDS, offsetof(struct arguments, by_words), false},
    {"exact", ARGUMENT_WORDS, offsetof(struct arguments, exact), false},
    {"min-size", ARGUMENT_WORDS, offsetof(struct arguments, min_size), true},
    {"max-size", ARGUMENT_WORDS, offsetof(struct arguments, max_size), true},
    {"ext", ARGUMENT_WORDS, offsetof(struct arguments, ext), true},
    {"limit", ARGUMENT_WORDS, offsetof(struct arguments, limit), true},
    {"upload", ARGUMENT_RATES, offsetof(struct arguments, upload), true},
    {"download", ARGUMENT_RATES, offsetof(struct arguments, download), true},
    {"upload-per-peer", ARGUMENT_RATES, offsetof(struct arguments, upload_per_peer), true},
    {"download-per-peer", ARGUMENT_RATES, offsetof(struct arguments, download_per_peer), true},
};

static const struct flag *find_flag(const struct argument_shape *shape, const char *name,
                                    size_t length)
{
    for (size_t i = 0; i < ARRAY_LENGTH(flags); i++) {
        const struct flag *flag = &flags[i];
        if (strlen(flag->name) == length && memcmp(flag->name, name, length) == 0)
            return flag->needs == 0 || shape->flags & flag->needs ? flag : NULL;
    }
    return NULL;
}

/* The flag at argv[*index]; moves on over its value. */
static enum error_code take_flag(const struct argument_shape *shape, char *const *argv, int *index,
                                 struct arguments *arguments, struct error *error)
{
    const char *word = argv[*index];
    const char *name = strcmp(word, "-h") == 0 ? "help" : word + 2;
    size_t length = strcspn(name, "=");
    const char *value = name[length] == '=' ? name + length + 1 : NULL;
    bool flag_like = strncmp(word, "--", 2) == 0 || strcmp(word, "-h") == 0;
    const struct flag *flag = flag_like ? find_flag(shape, name, length) : NULL;

    if (!flag)
        return error_set(error, ERROR_INVALID, "unknown flag %s", word);
    if (!flag->takes_value && value)
        return error_set(error, ERROR_INVALID, "--%s takes no value", flag->name);
    if (!flag->takes_value) {
        *(bool *)((char *)arguments + flag->offset) = true;
        return ERROR_NONE;
    }
    if (!value && argv[*index + 1])
        value = argv[++*index];
    if (!value || value[0] == '\0')
        return error_set(error, ERROR_INVALID, "--%s needs a value", flag->name);
    *(const char **)((char *)arguments + flag->offset) = value;
    return ERROR_NONE;
}

static enum error_code take_word(const struct argument_shape *shape, const char *word,
                                 struct arguments *arguments, struct error *error)
{
    if (arguments->word_count == shape->words_max)
        return error_set(error, ERROR_INVALID, "too many arguments");
    arguments->words[arguments->word_count++] = word;
    return ERROR_NONE;
}

static bool is_flag(const struct argument_shape *shape, const char *word)
{
    if (word[0] != '-' || word[1] == '\0')
        return false;
    return !(shape->flags & ARGUMENT_WORDS) || word[1] == '-' || strcmp(word, "-h") == 0;
}

enum error_code arguments_parse(const struct argument_shape *shape, int argc, char *const *argv,
                                struct arguments *arguments, struct error *error)
{
    bool only_words = false;
    enum error_code code = ERROR_NONE;

    *arguments = (struct arguments){0};
    for (int i = 1; i < argc && code == ERROR_NONE; i++) {
        if (!only_words && strcmp(argv[i], "--") == 0)
            only_words = true;
        else if (!only_words && is_flag(shape, argv[i]))
            code = take_flag(shape, argv, &i, arguments, error);
        else
            code = take_word(shape, argv[i], arguments, error);
    }
    if (arguments->help)
        return ERROR_NONE;
    if (code == ERROR_NONE && arguments->word_count < shape->words_min)
        code = error_set(error, ERROR_INVALID, "too few arguments");
    return code;
}
