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
                         "       p2p-directory user add NAME [--generate] | remove NAME | list "
                         "[--users FILE]\n"
                         "       p2p-directory backup FILE [--database FILE]\n"
                         "\n"
                         "The directory of a peer-to-peer file sharing network: knows who is there "
                         "and who shares what.\n"
                         "\n");
    settings_describe(&text);
    buffer_append_string(&text,
                         "\nEach key can also be a variable P2P_DIRECTORY_KEY; flags go over "
                         "variables, those over the file.\n");
    fputs(text.data, stdout);
    return EXIT_SUCCESS;
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
