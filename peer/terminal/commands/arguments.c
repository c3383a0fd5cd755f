#include "peer/terminal/commands/arguments.h"

#include "common/memory.h"
#include "peer/terminal/commands/usage_text.h"

#include <string.h>

struct flag {
    const char *name;
    unsigned needs;    /* the shape's flag; 0: every command has it */
    size_t offset;     /* of a bool, or of a const char * when it takes a value */
    const char *value; /* what the help calls it; NULL: it takes none */
    const char *help;
};

static const struct flag flags[] = {
    {"from", ARGUMENT_FROM, offsetof(struct arguments, from), "PEER",
     "only from this peer: its name, or its address ip:port"},
    {"output", ARGUMENT_OUTPUT, offsetof(struct arguments, output), "PATH",
     "to this path or folder instead of the shared folder; - is standard output"},
    {"priority", ARGUMENT_PRIORITY, offsetof(struct arguments, priority), "high|normal|low",
     "what waits goes by priority, then by age (normal)"},
    {"timeout", ARGUMENT_TIMEOUT, offsetof(struct arguments, timeout), "SECONDS",
     "end when nothing has come for so long"},
    {"follow", ARGUMENT_FOLLOW, offsetof(struct arguments, follow), NULL,
     "go on telling: bars on a terminal, with --json a line for each change"},
    {"exact", ARGUMENT_WORDS, offsetof(struct arguments, exact), NULL,
     "only the file of exactly this name; never by words"},
    {"words", ARGUMENT_WORDS, offsetof(struct arguments, by_words), NULL,
     "by words at once, also with one word"},
    {"min-size", ARGUMENT_WORDS, offsetof(struct arguments, min_size), "SIZE",
     "only files so large: bytes, or 700k, 5M, 2GiB"},
    {"max-size", ARGUMENT_WORDS, offsetof(struct arguments, max_size), "SIZE",
     "only files no larger than this"},
    {"ext", ARGUMENT_WORDS, offsetof(struct arguments, ext), "EXT",
     "only names that end with this, mp3 for instance"},
    {"limit", ARGUMENT_WORDS, offsetof(struct arguments, limit), "N",
     "at most so many files (50; up to 10000)"},
    {"upload", ARGUMENT_RATES, offsetof(struct arguments, upload), "RATE",
     "what is sent to all: bytes a second, 500k, 2MiB/s, or none"},
    {"download", ARGUMENT_RATES, offsetof(struct arguments, download), "RATE",
     "what is received from all"},
    {"upload-per-peer", ARGUMENT_RATES, offsetof(struct arguments, upload_per_peer), "RATE",
     "what is sent to each other host"},
    {"download-per-peer", ARGUMENT_RATES, offsetof(struct arguments, download_per_peer), "RATE",
     "what is received from each other host"},
    {"json", ARGUMENT_JSON, offsetof(struct arguments, json), NULL, "results for programs"},
    {"config", 0, offsetof(struct arguments, config), "FILE",
     "the configuration; without it that of the variable PEER_CONFIG"},
    {"help", 0, offsetof(struct arguments, help), NULL, "show this; also -h"},
};

void arguments_describe(const struct argument_shape *shape, struct buffer *out)
{
    for (size_t i = 0; i < ARRAY_LENGTH(flags); i++) {
        const struct flag *flag = &flags[i];
        if (flag->needs != 0 && !(shape->flags & flag->needs))
            continue;
        auto_free char *word = memory_format("--%s%s%s", flag->name, flag->value ? " " : "",
                                             flag->value ? flag->value : "");
        usage_row(out, word, flag->help);
    }
}

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
        return error_set(
            error, ERROR_INVALID,
            word[1] == '-' ? "unknown flag %s" : "unknown flag %s (after -- it is a name)", word);
    if (!flag->value && value)
        return error_set(error, ERROR_INVALID, "--%s takes no value", flag->name);
    if (!flag->value) {
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
