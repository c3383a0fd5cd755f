#include "directory/user_command.h"

#include "common/error.h"
#include "common/file_io.h"
#include "common/memory.h"
#include "directory/password.h"
#include "directory/secrets.h"
#include "directory/settings.h"
#include "directory/user_list.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <termios.h>
#include <unistd.h>

enum { EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_NO_USER = 3 };

#define PASSWORD_LINE_BYTES (PASSWORD_MAX_BYTES + 2) /* with a newline and NUL */

static enum error_code load(const char *path, struct user_list *list, struct error *error)
{
    auto_free char *text = NULL;
    size_t length;
    enum error_code code = file_read(path, USER_LIST_FILE_MAX_BYTES, &text, &length, error);

    *list = (struct user_list){0};
    return code ? code : user_list_take(path, take_pointer(&text), length, list, error);
}

static enum error_code save(const char *path, const struct user_list *list, struct error *error)
{
    auto_buffer text;

    buffer_init(&text, USER_LIST_FILE_MAX_BYTES);
    user_list_format(list, &text);
    if (text.failed)
        return error_set(error, ERROR_TOO_LARGE, "%s: too many users", path);
    return file_replace(path, text.data, text.length, 0600, error);
}

/* Two commands at once would lose a change; the lock is a file beside, since the users file itself
 * is replaced. */
static enum error_code lock_users(const char *path, int *lock_file, struct error *error)
{
    auto_free char *name = memory_format("%s.lock", path);

    *lock_file = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*lock_file < 0 || flock(*lock_file, LOCK_EX) < 0)
        return error_set_errno(error, errno, "%s", name);
    return ERROR_NONE;
}

/* A line from the terminal, not shown. Ctrl-C ends the line instead of the program, which would
 * leave the terminal silent. False: Ctrl-C, or the end of the input. */
static bool read_silently(const struct termios *before, char *line, size_t size)
{
    enum { CTRL_C = 3 };
    struct termios silent = *before;

    silent.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
    silent.c_cc[VEOL] = CTRL_C;
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    ssize_t got = read(STDIN_FILENO, line, size - 1);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, before);
    fputc('\n', stderr);
    line[got > 0 ? got : 0] = '\0';
    return got > 0 && line[got - 1] != CTRL_C;
}

static enum error_code read_line(const char *prompt, char line[PASSWORD_LINE_BYTES],
                                 struct error *error)
{
    struct termios before;

    if (isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &before) == 0) {
        fputs(prompt, stderr);
        if (!read_silently(&before, line, PASSWORD_LINE_BYTES))
            return error_set(error, ERROR_CANCELLED, "no password was given");
    } else if (!fgets(line, PASSWORD_LINE_BYTES, stdin)) {
        return error_set(error, ERROR_INVALID, "no password on standard input");
    }
    line[strcspn(line, "\r\n")] = '\0';
    return ERROR_NONE;
}

static enum error_code read_password(char line[PASSWORD_LINE_BYTES], struct error *error)
{
    char again[PASSWORD_LINE_BYTES];
    enum error_code code = read_line("Password: ", line, error);

    if (code || !isatty(STDIN_FILENO))
        return code;
    code = read_line("Again: ", again, error);
    if (!code && strcmp(line, again) != 0)
        code = error_set(error, ERROR_INVALID, "the two passwords differ");
    secrets_wipe(again, sizeof again);
    return code;
}

static enum error_code hash_password(char hash[PASSWORD_HASH_BYTES], struct error *error)
{
    char line[PASSWORD_LINE_BYTES];
    enum error_code code = read_password(line, error);

    if (!code)
        code = password_hash(line, strlen(line), hash, error);
    secrets_wipe(line, sizeof line);
    return code;
}

/* ---- generated passwords ---- */

static enum error_code generate(struct user_list *list, const char *name, struct buffer *out,
                                struct error *error)
{
    char password[PASSWORD_RANDOM_BYTES];
    char hash[PASSWORD_HASH_BYTES];
    enum error_code code = user_name_check(name, strlen(name), error);

    if (code)
        return code;
    if (list->count == USER_LIST_MAX && !user_list_find(list, name))
        return error_set(error, ERROR_TOO_LARGE, "more than %d users", USER_LIST_MAX);
    password_generate(password, hash);
    user_list_set(list, name, hash);
    buffer_printf(out, "%s:%s\n", name, password);
    secrets_wipe(password, sizeof password);
    return ERROR_NONE;
}

/* For each line of standard input. */
static enum error_code generate_many(struct user_list *list, struct buffer *out,
                                     struct error *error)
{
    char line[USER_NAME_MAX_BYTES + 3]; /* with CR, LF and NUL */
    enum error_code code = ERROR_NONE;

    for (size_t number = 1; !code && fgets(line, sizeof line, stdin); number++) {
        line[strcspn(line, "\r\n")] = '\0';
        if (*line)
            code = generate(list, line, out, error);
        if (code)
            error_context(error, "line %zu", number);
    }
    return code;
}

/* Says the passwords when they are stored, and not before. */
static enum error_code add_generated(const char *path, const char *name, struct error *error)
{
    CLEANUP(user_list_done) struct user_list list = {0};
    auto_close int lock_file = -1;
    auto_buffer out;
    enum error_code code = lock_users(path, &lock_file, error);

    buffer_init(&out, USER_LIST_FILE_MAX_BYTES);
    if (code)
        return code;
    code = load(path, &list, error);
    if (code && code != ERROR_NOT_FOUND)
        return code;
    code = strcmp(name, "-") == 0 ? generate_many(&list, &out, error)
                                  : generate(&list, name, &out, error);
    if (!code)
        code = save(path, &list, error);
    if (!code && out.length > 0)
        fwrite(out.data, 1, out.length, stdout);
    if (out.data)
        secrets_wipe(out.data, out.length);
    return code;
}

static enum error_code add_user(const char *path, const char *name, struct error *error)
{
    CLEANUP(user_list_done) struct user_list list = {0};
    char hash[PASSWORD_HASH_BYTES];
    auto_close int lock_file = -1;
    enum error_code code = user_name_check(name, strlen(name), error);

    if (!code)
        code = hash_password(hash, error);
    if (!code)
        code = lock_users(path, &lock_file, error);
    if (code)
        return code;
    code = load(path, &list, error);
    if (code && code != ERROR_NOT_FOUND)
        return code;
    user_list_set(&list, name, hash);
    return save(path, &list, error);
}

static enum error_code remove_user(const char *path, const char *name, struct error *error)
{
    CLEANUP(user_list_done) struct user_list list = {0};
    auto_close int lock_file = -1;
    enum error_code code = lock_users(path, &lock_file, error);

    if (!code)
        code = load(path, &list, error);
    if (!code)
        code = user_list_remove(&list, name, error);
    return code ? code : save(path, &list, error);
}

static enum error_code list_users(const char *path, const char *name, struct error *error)
{
    CLEANUP(user_list_done) struct user_list list = {0};
    enum error_code code = load(path, &list, error);

    (void)name;
    for (size_t i = 0; i < list.count && !code; i++)
        puts(list.entries[i].name);
    return code;
}

static const struct command {
    const char *verb;
    bool takes_name;
    enum error_code (*run)(const char *path, const char *name, struct error *error);
} commands[] = {
    {"add", true, add_user},
    {"add --generate", true, add_generated},
    {"remove", true, remove_user},
    {"list", false, list_users},
};

static int usage(const char *problem)
{
    fprintf(stderr,
            "p2p-directory: %s\n"
            "usage: p2p-directory user add NAME [--generate] | add - --generate | remove NAME | "
            "list [--config FILE] [--users FILE]\n",
            problem);
    return EXIT_USAGE;
}

static const struct command *find_command(const char *verb)
{
    for (size_t i = 0; i < ARRAY_LENGTH(commands); i++)
        if (strcmp(commands[i].verb, verb) == 0)
            return &commands[i];
    return NULL;
}

static void ignore_unknown(const char *source, const char *key)
{
    (void)source;
    (void)key; /* the daemon warns of it */
}

static int run(const struct command *command, const char *name, const char *path)
{
    struct error error;

    if (secrets_init(&error))
        return usage(error.text);
    enum error_code code = command->run(path, name, &error);
    if (!code)
        return EXIT_SUCCESS;
    fprintf(stderr, "p2p-directory: %s\n", error.text);
    return code == ERROR_NOT_FOUND ? EXIT_NO_USER : EXIT_FAILED;
}

/* Takes the flag out of the arguments. */
static bool take_generate(int *argc, char **argv)
{
    for (int i = 0; i < *argc; i++) {
        if (strcmp(argv[i], "--generate") != 0)
            continue;
        memmove(argv + i, argv + i + 1, (size_t)(*argc - i) * sizeof *argv); /* the NULL, too */
        --*argc;
        return true;
    }
    return false;
}

int user_command(int argc, char **argv)
{
    CLEANUP(settings_done) struct settings settings = {0};
    enum settings_action action;
    struct error error;
    bool generates = take_generate(&argc, argv);
    const struct command *command = argc > 0 ? find_command(argv[0]) : NULL;
    int words = command && command->takes_name ? 2 : 1;

    if (!command)
        return usage("which of add, remove and list?");
    if (generates) {
        command = strcmp(command->verb, "add") == 0 ? find_command("add --generate") : NULL;
        if (!command)
            return usage("--generate goes with add");
    }
    if (argc < words || (words == 2 && strncmp(argv[1], "--", 2) == 0))
        return usage("a NAME is missing");
    /* The flags follow; the last word before them stands where a program's name would. */
    if (settings_read(argc - words + 1, argv + words - 1, &settings, &action, ignore_unknown,
                      &error))
        return usage(error.text);
    if (action != SETTINGS_RUN)
        return usage("only --config and --users fit here");
    return run(command, words == 2 ? argv[1] : NULL, settings.users);
}
