#include "directory/checker.h"

#include "common/background.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"

#include <pthread.h>
#include <stdlib.h>

struct checker {
    struct index *index;
    const char *path;
    struct health *health;
    pthread_t thread;
    atomic_bool stopping;
};

static void *run(void *context)
{
    struct checker *checker = context;
    int64_t begin_ms = clock_boot_ms();
    struct error error;

    background_give_way("checker");
    enum error_code code = index_check(checker->index, checker->path, &checker->stopping, &error);
    if (code == ERROR_CORRUPT)
        health_raise(checker->health, HEALTH_DAMAGED);
    if (code == ERROR_NONE)
        log_line(LOG_INFO, "directory", "the database is sound (checked for %lld s)",
                 (long long)((clock_boot_ms() - begin_ms) / 1000));
    else if (code != ERROR_CANCELLED)
        log_line(LOG_ERROR, "directory", "%s: %s", checker->path, error.text);
    return NULL;
}

enum error_code checker_start(struct index *index, const char *path, struct health *health,
                              struct checker **out, struct error *error)
{
    *out = NULL;
    if (index_is_checked(index))
        return ERROR_NONE;
    struct checker *checker = memory_new(1, sizeof *checker);
    *checker = (struct checker){.index = index, .path = path, .health = health};
    int failed = pthread_create(&checker->thread, NULL, run, checker);
    if (failed) {
        free(checker);
        return error_set_errno(error, failed, "cannot start a thread");
    }
    *out = checker;
    return ERROR_NONE;
}

void checker_stop(struct checker *checker)
{
    if (!checker)
        return;
    atomic_store(&checker->stopping, true);
    pthread_join(checker->thread, NULL);
    free(checker);
}
