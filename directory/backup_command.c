#include "directory/backup_command.h"

#include "common/signals.h"
#include "directory/backup.h"
#include "directory/settings.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* SQLite works on a thread of its own, so that the main one can take signals. */
struct work {
    const char *database, *file;
    atomic_bool cancelled, done;
    pthread_t main;
    enum error_code code; /* the thread's until it is joined */
    struct error error;
};

static void *run(void *context)
{
    struct work *work = context;

    work->code = backup_make(work->database, work->file, &work->cancelled, &work->error);
    atomic_store(&work->done, true);
    pthread_kill(work->main, SIGHUP); /* blocked, and waited for below */
    return NULL;
}

static int back_up(const char *database, const char *file)
{
    struct work work = {.database = database, .file = file, .main = pthread_self()};
    pthread_t thread;

    signals_block();
    if (pthread_create(&thread, NULL, run, &work) != 0) {
        fputs("p2p-directory: cannot start a thread\n", stderr);
        return EXIT_FAILED;
    }
    while (!atomic_load(&work.done)) {
        int got = signals_wait_ms(-1);
        if (got == SIGTERM || got == SIGINT)
            atomic_store(&work.cancelled, true);
    }
    pthread_join(thread, NULL);
    if (work.code == ERROR_CANCELLED)
        fputs("p2p-directory: broken off, nothing is left\n", stderr);
    else if (work.code)
        fprintf(stderr, "p2p-directory: %s\n", work.error.text);
    return work.code ? EXIT_FAILED : EXIT_SUCCESS;
}

static int usage(const char *problem)
{
    fprintf(stderr,
            "p2p-directory: %s\n"
            "usage: p2p-directory backup FILE [--config FILE] [--database FILE]\n",
            problem);
    return EXIT_USAGE;
}

static void ignore_unknown(const char *source, const char *key)
{
    (void)source;
    (void)key; /* the daemon warns of it */
}

int backup_command(int argc, char **argv)
{
    CLEANUP(settings_done) struct settings settings = {0};
    enum settings_action action;
    struct error error;

    if (argc < 1 || !*argv[0] || strncmp(argv[0], "--", 2) == 0)
        return usage("the FILE to write is missing");
    /* The flags follow; the file stands where a program's name would. */
    if (settings_read(argc, argv, &settings, &action, ignore_unknown, &error))
        return usage(error.text);
    if (action != SETTINGS_RUN)
        return usage("only --config and --database fit here");
    return back_up(settings.database, argv[0]);
}
