#include "common/file_io.h"
#include "common/log.h"
#include "common/signals.h"
#include "directory/backup_command.h"
#include "directory/daemon.h"
#include "directory/secrets.h"
#include "directory/settings.h"
#include "directory/user_command.h"
#include "directory/version.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { EXIT_USAGE = 2 };

static int show_help(void)
{
    auto_buffer text;

    buffer_init(&text, 1 << 16);
    buffer_append_string(&text,
                         "usage: p2p-directory [FLAGS]\n"
                         "       p2p-directory user add NAME|- [--generate] [--users FILE]\n"
                         "       p2p-directory user remove NAME [--users FILE]\n"
                         "       p2p-directory user list [--users FILE]\n"
                         "       p2p-directory backup FILE [--database FILE]\n"
                         "\n"
                         "The directory of a peer-to-peer file sharing network: knows who is\n"
                         "there and who shares what.\n"
                         "\n"
                         "user add asks for the password, or reads it from standard input; with\n"
                         "--generate it makes one up and prints NAME:PASSWORD, for - of each name\n"
                         "on standard input. A running directory rereads its users on SIGHUP.\n"
                         "backup writes a copy of the database while the directory runs.\n"
                         "\n");
    settings_describe(&text);
    buffer_append_string(&text,
                         "\nEach key can also be a variable P2P_DIRECTORY_KEY; flags go over\n"
                         "variables, those over the file. More: man p2p-directory\n");
    fputs(text.data, stdout);
    return EXIT_SUCCESS;
}

/* Among the arguments of a command, which has its own flags. */
static bool asks_for_help(int argc, char **argv)
{
    for (int i = 2; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

static void warn_unknown(const char *source, const char *key)
{
    log_line(LOG_WARNING, "directory", "%s: unknown key '%s' is ignored", source, key);
}

static int fail(const struct error *error)
{
    fprintf(stderr, "p2p-directory: %s\n", error->text);
    return EXIT_USAGE;
}

static int serve(const struct settings *settings)
{
    struct daemon *daemon = NULL;
    struct error error;
    enum log_level level = LOG_INFO;

    if (log_level_parse(settings->log_level, &level))
        log_set_level(level);
    signals_block();
    /* Long bodies go back to the system when they are freed: the limit must not grow by itself. */
    mallopt(M_MMAP_THRESHOLD, 256 << 10);
    if (secrets_init(&error))
        return fail(&error);
    if (daemon_start(settings, &daemon, &error))
        return fail(&error);
    daemon_run(daemon);
    daemon_stop(daemon);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    CLEANUP(settings_done) struct settings settings = {0};
    enum settings_action action;
    struct error error;

    file_occupy_standard();
    umask(077);
    bool is_command = argc > 1 && (strcmp(argv[1], "user") == 0 || strcmp(argv[1], "backup") == 0);
    if (is_command && asks_for_help(argc, argv))
        return show_help();
    if (argc > 1 && strcmp(argv[1], "user") == 0)
        return user_command(argc - 2, argv + 2);
    if (argc > 1 && strcmp(argv[1], "backup") == 0)
        return backup_command(argc - 2, argv + 2);
    if (settings_read(argc, argv, &settings, &action, warn_unknown, &error))
        return fail(&error);
    switch (action) {
    case SETTINGS_HELP:
        return show_help();
    case SETTINGS_VERSION:
        puts("p2p-directory " P2P_VERSION);
        return EXIT_SUCCESS;
    case SETTINGS_CHECK:
        puts("the settings are good");
        return EXIT_SUCCESS;
    case SETTINGS_RUN:
        break;
    }
    return serve(&settings);
}
