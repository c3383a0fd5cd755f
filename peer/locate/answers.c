#include "peer/locate/answers.h"

#include "common/clock.h"
#include "common/file_io.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/stop_event.h"
#include "peer/locate/answers_file.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define MODULE "answers"

struct answers {
    char *path; /* these do not change */
    struct stop_event *stop;
    pthread_t thread;
    bool write_failed; /* of the thread: and that was said */

    pthread_mutex_t lock; /* guards what follows */
    struct answers_table *table;
    bool changed;
};

static void move_aside(const char *path, const struct error *error)
{
    auto_free char *aside = memory_format("%s.bad", path);

    if (rename(path, aside) == 0)
        log_line(LOG_WARNING, MODULE, "%s: %s; it is now %s, and we begin anew", path, error->text,
                 aside);
    else
        log_line(LOG_WARNING, MODULE, "%s: %s; we begin anew", path, error->text);
}

static void read_table(struct answers *answers)
{
    auto_free char *text = NULL;
    struct error error;
    size_t length;

    enum error_code code = file_read(answers->path, ANSWERS_FILE_MAX_BYTES, &text, &length, &error);
    if (code == ERROR_NONE)
        code = answers_parse(text, length, clock_wall_ms(), answers->table, &error);
    if (code == ERROR_CORRUPT || code == ERROR_TOO_LARGE)
        move_aside(answers->path, &error);
    else if (code != ERROR_NONE && code != ERROR_NOT_FOUND)
        log_line(LOG_WARNING, MODULE, "%s", error.text);
}

static void write_table(struct answers *answers)
{
    struct error error;
    auto_buffer text;

    buffer_init(&text, ANSWERS_FILE_MAX_BYTES);
    pthread_mutex_lock(&answers->lock);
    bool changed = answers->changed;
    if (changed)
        answers_format(answers->table, &text);
    answers->changed = false;
    pthread_mutex_unlock(&answers->lock);
    if (!changed || text.failed)
        return;
    enum error_code code = file_replace_cache(answers->path, text.data, text.length, 0600, &error);
    if (code != ERROR_NONE && !answers->write_failed)
        log_line(LOG_WARNING, MODULE, "what directories answer is kept in memory only: %s",
                 error.text);
    answers->write_failed = code != ERROR_NONE;
}

static void *run(void *context)
{
    struct answers *answers = context;

    while (!stop_event_wait_ms(answers->stop, ANSWERS_WRITE_MS))
        write_table(answers);
    write_table(answers);
    return NULL;
}

static void free_answers(struct answers *answers)
{
    answers_table_done(answers->table);
    free(answers->table);
    stop_event_free(answers->stop);
    pthread_mutex_destroy(&answers->lock);
    free(answers->path);
    free(answers);
}

enum error_code answers_open(const char *path, struct answers **out, struct error *error)
{
    struct answers *answers = memory_new(1, sizeof *answers);

    answers->path = memory_copy_string(path);
    answers->table = memory_new(1, sizeof *answers->table);
    answers->stop = stop_event_new();
    pthread_mutex_init(&answers->lock, NULL);
    read_table(answers);
    int failed = pthread_create(&answers->thread, NULL, run, answers);
    if (failed) {
        free_answers(answers);
        return error_set_errno(error, failed, "cannot start a thread");
    }
    pthread_setname_np(answers->thread, MODULE);
    *out = answers;
    return ERROR_NONE;
}

void answers_close(struct answers *answers)
{
    if (!answers)
        return;
    stop_event_raise(answers->stop);
    pthread_join(answers->thread, NULL);
    free_answers(answers);
}

void answers_remember(struct answers *answers, const struct file_name *name,
                      const struct directory_sources *sources)
{
    int64_t now_ms = clock_wall_ms();

    pthread_mutex_lock(&answers->lock);
    if (answers_table_remember(answers->table, name, sources, now_ms))
        answers->changed = true;
    for (size_t i = 0; i < sources->count && i < ANSWER_SOURCES_MAX; i++)
        if (sources->items[i].address_count > 0)
            answers_table_met(answers->table, &sources->items[i].addresses[0], now_ms);
    pthread_mutex_unlock(&answers->lock);
}

void answers_find(struct answers *answers, const struct file_name *name,
                  struct directory_sources *sources)
{
    int64_t now_ms = clock_wall_ms();

    *sources = (struct directory_sources){0};
    pthread_mutex_lock(&answers->lock);
    const struct answer *answer = answers_table_find(answers->table, name, now_ms);
    size_t count = answer ? answer->sources.count : 0;
    if (count > 0)
        sources->items = memory_new(count, sizeof *sources->items);
    for (; sources->count < count; sources->count++) {
        const struct directory_source *from = &answer->sources.items[sources->count];
        struct directory_source *to = &sources->items[sources->count];
        *to = *from;
        to->peer = memory_copy_string(from->peer);
        to->addresses = (struct address *)memory_copy(from->addresses, from->address_count *
                                                                           sizeof *from->addresses);
        to->origin = SOURCE_REMEMBERED;
        to->age_ms = now_ms > answer->seen_ms ? now_ms - answer->seen_ms : 0;
    }
    pthread_mutex_unlock(&answers->lock);
}

void answers_met(struct answers *answers, const struct address *address)
{
    pthread_mutex_lock(&answers->lock);
    answers_table_met(answers->table, address, clock_wall_ms());
    answers->changed = true;
    pthread_mutex_unlock(&answers->lock);
}

size_t answers_peers(struct answers *answers, struct address *peers, size_t max)
{
    pthread_mutex_lock(&answers->lock);
    size_t count = answers->table->peer_count < max ? answers->table->peer_count : max;
    for (size_t i = 0; i < count; i++)
        peers[i] = answers->table->peers[i].address;
    pthread_mutex_unlock(&answers->lock);
    return count;
}
