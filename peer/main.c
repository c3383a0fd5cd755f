#include "common/file_io.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/notify.h"
#include "common/signals.h"
#include "peer/daemon.h"
#include "peer/settings.h"
#include "peer/startup_pages.h"
#include "peer/terminal/commands/commands.h"
#include "peer/version.h"

#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define PROGRAM "p2p-peer"

static int fail(const char *text)
{
    fprintf(stderr, PROGRAM ": %s\n", text);
    return EXIT_USAGE;
}

static void warn_unknown(const char *source, const char *key)
{
    log_line(LOG_WARNING, "peer", "%s: unknown key '%s' is ignored", source, key);
}

static int show_help(FILE *out, int status)
{
    auto_buffer text;

    buffer_init(&text, 1 << 16);
    buffer_append_string(
        &text, "usage: " PROGRAM " run [--config FILE]\n"
               "       " PROGRAM " COMMAND [ARGUMENTS] [--config FILE] [--json]\n"
               "       " PROGRAM " --version | --help\n"
               "\n"
               "A peer of a file sharing network: shares a folder and fetches files of others.\n"
               "\n"
               "  run                          the daemon: serves until SIGTERM or SIGINT\n");
    commands_describe(&text);
    buffer_append_string(
        &text, "\nThe configuration is FILE, or the one that the variable " SETTINGS_VARIABLE
               " names,\nor " SETTINGS_DEFAULT_PATH ".\n"
               "p2p-peer COMMAND --help explains its flags, man p2p-peer everything.\n");
    fputs(text.data, out);
    return status;
}

static void serve_until_signal(struct daemon *daemon, const struct settings *settings)
{
    int64_t watchdog_ms = notify_watchdog_ms();
    int signal_number;

    log_line(LOG_INFO, "peer", "ready: '%s' serves %s at %s", settings->peer_name,
             settings->directory, daemon_address(daemon));
    notify_send("READY=1");
    do {
        signal_number = signals_wait_ms(watchdog_ms ? watchdog_ms / 4 : -1);
        if (watchdog_ms && daemon_busy_ms(daemon) < watchdog_ms / 2)
            notify_send("WATCHDOG=1");
    } while (signal_number != SIGTERM && signal_number != SIGINT);
    notify_send("STOPPING=1");
    log_line(LOG_INFO, "peer", "stopping (%s)", signal_number == SIGTERM ? "SIGTERM" : "SIGINT");
}

/* Buffers of a transfer are a few hundred KiB and live for one message. By default glibc gives each
 * back to the system at once, so that its pages are faulted in and zeroed anew for every message:
 * 30,000 to 80,000 faults and an eighth of the processor time a GiB. Kept are at most so many bytes
 * at the end of each arena; arenas are few, for the threads that move data are. */
static void keep_message_buffers(void)
{
    mallopt(M_MMAP_THRESHOLD, 4 << 20);
    mallopt(M_TRIM_THRESHOLD, 4 << 20);
    mallopt(M_ARENA_MAX, 4);
}

static int run_daemon(const char *config)
{
    CLEANUP(settings_done) struct settings settings = {0};
    struct daemon *daemon = NULL;
    struct error error;

    umask(077);
    signals_block();
    keep_message_buffers();
    if (settings_load(config, warn_unknown, &settings, &error))
        return fail(error.text);
    log_set_level(settings.log_level);
    if (daemon_start(&settings, &daemon, &error))
        return fail(error.text);
    startup_pages_release();
    serve_until_signal(daemon, &settings);
    daemon_stop(daemon);
    return EXIT_DONE;
}

static int run_command(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"help", no_argument, NULL, 'h'}, {0}};
    const char *config = NULL;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            config = optarg;
            break;
        case 'h':
            return show_help(stdout, EXIT_DONE);
        default:
            return EXIT_USAGE; /* getopt has said why */
        }
    }
    if (optind < argc)
        return fail("run takes no arguments, only --config FILE");
    return run_daemon(config);
}

static int version_command(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    puts(PROGRAM " " P2P_VERSION);
    return EXIT_DONE;
}

static int help_command(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return show_help(stdout, EXIT_DONE);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
    } rows[] = {
        {"run", run_command}, {"--version", version_command}, {"--help", help_command},
        {"-h", help_command}, {"help", help_command},
    };
    char text[128];

    file_occupy_standard();
    if (argc < 2) {
        fputs(PROGRAM ": no command\n", stderr);
        return show_help(stderr, EXIT_USAGE);
    }
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
        if (strcmp(argv[1], rows[i].name) == 0)
            return rows[i].run(argc - 1, argv + 1);
    if (command_exists(argv[1]))
        return command_main(argc - 1, argv + 1);
    snprintf(text, sizeof text, "no command '%.60s'; see " PROGRAM " --help", argv[1]);
    return fail(text);
}
