#include "peer/network/directories.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Of each directory, with their connections: who searches for thousands of files connects once. */
#define IDLE_CLIENTS_MAX 4

struct one {
    char *login_url; /* these do not change */
    char *search_url;
    bool failed;             /* guarded by the lock, as what follows */
    uint64_t answered;       /* grows over all: who answered a search last has the greatest */
    int64_t single_until_ms; /* boot clock: it is not asked for many names at once */
    struct directory_client *idle[IDLE_CLIENTS_MAX];
    size_t idle_count;
};

struct directories {
    struct one *items; /* constant, but for the guarded fields */
    size_t count;
    pthread_mutex_t lock;
    uint64_t answers;
    bool answered; /* any, ever */
};

static bool is_known(const struct directories *directories, const char *login_url)
{
    for (size_t i = 0; i < directories->count; i++)
        if (strcmp(directories->items[i].login_url, login_url) == 0)
            return true;
    return false;
}

struct directories *directories_new(const struct config_strings *login_urls,
                                    const struct config_strings *search_urls)
{
    struct directories *directories = memory_new(1, sizeof *directories);

    directories->items = memory_new(login_urls->count, sizeof *directories->items);
    pthread_mutex_init(&directories->lock, NULL);
    for (size_t i = 0; i < login_urls->count; i++) {
        if (is_known(directories, login_urls->items[i])) {
            log_line(LOG_WARNING, "directories", "api_url: %s is there twice, one counts",
                     login_urls->items[i]);
            continue;
        }
        struct one *one = &directories->items[directories->count++];
        one->login_url = memory_copy_string(login_urls->items[i]);
        one->search_url = memory_copy_string(search_urls->items[i]);
    }
    return directories;
}

void directories_free(struct directories *directories)
{
    if (!directories)
        return;
    for (size_t i = 0; i < directories->count; i++) {
        for (size_t k = 0; k < directories->items[i].idle_count; k++)
            directory_client_free(directories->items[i].idle[k]);
        free(directories->items[i].login_url);
        free(directories->items[i].search_url);
    }
    free(directories->items);
    pthread_mutex_destroy(&directories->lock);
    free(directories);
}

size_t directories_count(const struct directories *directories)
{
    return directories->count;
}

const char *directories_login_url(const struct directories *directories, size_t number)
{
    return directories->items[number].login_url;
}

/* Whether a directory is there, whatever it thinks of us. */
static bool is_answer(enum error_code code)
{
    return code == ERROR_NONE || code == ERROR_NOT_FOUND || code == ERROR_INVALID ||
           code == ERROR_DENIED || code == ERROR_TOO_LARGE;
}

void directories_note(struct directories *directories, size_t number, enum error_code code)
{
    struct one *one = &directories->items[number];

    pthread_mutex_lock(&directories->lock);
    if (one->failed && is_answer(code))
        one->single_until_ms = 0; /* it may have been brought up to date */
    one->failed = !is_answer(code);
    directories->answered |= !one->failed;
    pthread_mutex_unlock(&directories->lock);
}

bool directories_have_answered(struct directories *directories)
{
    pthread_mutex_lock(&directories->lock);
    bool answered = directories->answered;
    pthread_mutex_unlock(&directories->lock);
    return answered;
}

static void note_search(struct directories *directories, size_t number, enum error_code code)
{
    directories_note(directories, number, code);
    pthread_mutex_lock(&directories->lock);
    if (code == ERROR_NONE)
        directories->items[number].answered = ++directories->answers;
    pthread_mutex_unlock(&directories->lock);
}

/* The next one to ask: of those not asked yet the one in health that answered last. False: all have
 * been asked. */
static bool choose(struct directories *directories, const bool *asked, size_t *number, bool *failed)
{
    const struct one *best = NULL;

    pthread_mutex_lock(&directories->lock);
    for (size_t i = 0; i < directories->count; i++) {
        const struct one *one = &directories->items[i];
        if (asked[i])
            continue;
        if (!best || (best->failed && !one->failed) ||
            (best->failed == one->failed && one->answered > best->answered))
            best = one;
    }
    if (best)
        *failed = best->failed;
    pthread_mutex_unlock(&directories->lock);
    if (best)
        *number = (size_t)(best - directories->items);
    return best != NULL;
}

static struct directory_client *take_client(struct directories *directories, size_t number,
                                            const struct directory_client_options *options)
{
    struct one *one = &directories->items[number];
    struct directory_client *client = NULL;

    pthread_mutex_lock(&directories->lock);
    if (one->idle_count > 0)
        client = one->idle[--one->idle_count];
    pthread_mutex_unlock(&directories->lock);
    if (!client)
        return directory_client_new(options);
    directory_client_prepare(client, options);
    return client;
}

static void give_client(struct directories *directories, size_t number,
                        struct directory_client *client)
{
    struct one *one = &directories->items[number];

    pthread_mutex_lock(&directories->lock);
    if (one->idle_count < IDLE_CLIENTS_MAX)
        one->idle[one->idle_count++] = take_pointer(&client);
    pthread_mutex_unlock(&directories->lock);
    directory_client_free(client);
}

static struct directory_client_options options_for(const struct directories *directories,
                                                   size_t number, bool failed,
                                                   struct stop_event *stop)
{
    return (struct directory_client_options){
        .login_url = directories->items[number].login_url,
        .search_url = directories->items[number].search_url,
        .stop = stop,
        .connect_ms = failed ? DIRECTORIES_FAILED_CONNECT_MS : 0,
        .timeout_ms = failed ? DIRECTORIES_FAILED_TIMEOUT_MS : 0,
    };
}

static enum error_code ask(struct directories *directories, size_t number,
                           const struct directories_query *query, bool failed,
                           struct directory_sources *sources, struct error *error)
{
    struct directory_client_options options = options_for(directories, number, failed, query->stop);

    if (query->quick_ms > 0)
        options.connect_ms = options.timeout_ms = query->quick_ms;
    struct directory_client *client = take_client(directories, number, &options);
    enum error_code code = directory_search(client, query->name, query->partial, sources, error);
    give_client(directories, number, client);
    return code;
}

enum error_code directories_search(struct directories *directories,
                                   const struct directories_query *query,
                                   struct directory_sources *sources, bool *answered,
                                   struct error *error)
{
    auto_free bool *asked = memory_new(directories->count, sizeof *asked);
    struct error first = {0};
    size_t number;
    bool failed;

    *answered = false;
    *sources = (struct directory_sources){0};
    while (choose(directories, asked, &number, &failed)) {
        struct error reason = {0};
        if (failed && (*answered || query->quick_ms > 0))
            break;
        asked[number] = true;
        enum error_code code = ask(directories, number, query, failed, sources, &reason);
        if (code != ERROR_CANCELLED)
            note_search(directories, number, code);
        if (is_answer(code) && !*answered)
            first = reason; /* goes before the failures of others */
        *answered = *answered || is_answer(code);
        if (code == ERROR_NONE || code == ERROR_CANCELLED) {
            first = reason;
            break;
        }
        if (!first.code)
            first = reason;
        if (query->quick_ms > 0)
            break;
    }
    if (!*answered && !first.code)
        error_set(&first, ERROR_UNREACHABLE, "El directorio no responde");
    if (error && first.code)
        *error = first;
    return first.code;
}

/* ---- many names ---- */

static bool is_single(struct directories *directories, size_t number)
{
    pthread_mutex_lock(&directories->lock);
    bool single = clock_boot_ms() < directories->items[number].single_until_ms;
    pthread_mutex_unlock(&directories->lock);
    return single;
}

static void note_single(struct directories *directories, size_t number)
{
    pthread_mutex_lock(&directories->lock);
    directories->items[number].single_until_ms = clock_boot_ms() + DIRECTORIES_SINGLE_MS;
    pthread_mutex_unlock(&directories->lock);
}

static bool any_found(const struct directory_sources *sources, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (sources[i].count > 0)
            return true;
    return false;
}

/* ERROR_NOT_FOUND, without a text: it knows none of them. */
static enum error_code ask_many(struct directories *directories, size_t number, bool failed,
                                const struct directories_names *names,
                                struct directory_sources *sources, struct error *error)
{
    struct directory_client_options options = options_for(directories, number, failed, names->stop);

    if (is_single(directories, number))
        return error_set(error, ERROR_UNSUPPORTED, "El directorio no admite varios nombres");
    struct directory_client *client = take_client(directories, number, &options);
    enum error_code code =
        directory_search_many(client, names->items, names->count, sources, error);
    give_client(directories, number, client);
    if (code == ERROR_NONE && !any_found(sources, names->count))
        code = ERROR_NOT_FOUND;
    if (code == ERROR_UNSUPPORTED)
        note_single(directories, number);
    else if (code != ERROR_CANCELLED)
        note_search(directories, number, code);
    return code;
}

enum error_code directories_search_many(struct directories *directories,
                                        const struct directories_names *names,
                                        struct directory_sources *sources, struct error *error)
{
    auto_free bool *asked = memory_new(directories->count + 1, sizeof *asked);
    struct error first = {0};
    enum error_code code = ERROR_NONE;
    bool answered = false;
    bool single = false;
    size_t number;
    bool failed;

    memset(sources, 0, names->count * sizeof *sources);
    while (choose(directories, asked, &number, &failed)) {
        struct error reason = {0};
        /* One that is asked name by name is better than one that is away. */
        if (failed && (answered || single))
            break;
        asked[number] = true;
        code = ask_many(directories, number, failed, names, sources, &reason);
        answered |= code == ERROR_NONE || code == ERROR_NOT_FOUND;
        if (!first.code || code == ERROR_CANCELLED || (code == ERROR_UNSUPPORTED && !single))
            first = reason;
        single |= code == ERROR_UNSUPPORTED;
        if (code == ERROR_NONE || code == ERROR_CANCELLED)
            break;
    }
    if (answered && code != ERROR_CANCELLED)
        return ERROR_NONE;
    if (!first.code)
        error_set(&first, ERROR_UNREACHABLE, "No hay directorio");
    if (error)
        *error = first;
    return first.code;
}

enum error_code directories_words(struct directories *directories,
                                  const struct directory_words *words, struct stop_event *stop,
                                  struct directory_hits *hits, struct error *error)
{
    auto_free bool *asked = memory_new(directories->count + 1, sizeof *asked);
    struct error first = {0};
    size_t number;
    bool failed;

    *hits = (struct directory_hits){0};
    while (choose(directories, asked, &number, &failed)) {
        struct directory_client_options options = options_for(directories, number, failed, stop);
        struct error reason = {0};
        if (failed && first.code == ERROR_UNSUPPORTED)
            break;
        struct directory_client *client = take_client(directories, number, &options);
        asked[number] = true;
        enum error_code code = directory_search_words(client, words, hits, &reason);
        give_client(directories, number, client);
        if (code != ERROR_CANCELLED && code != ERROR_UNSUPPORTED)
            directories_note(directories, number, code);
        if (is_answer(code) || code == ERROR_CANCELLED) {
            first = reason;
            break;
        }
        if (!first.code || code == ERROR_UNSUPPORTED)
            first = reason;
    }
    if (error && first.code)
        *error = first;
    return first.code;
}

enum error_code directories_files(struct directories *directories,
                                  const struct directory_files_taker *taker,
                                  struct stop_event *stop, struct error *error)
{
    auto_free bool *asked = memory_new(directories->count + 1, sizeof *asked);
    struct error reason = {0};
    size_t number;
    bool failed;

    error_set(&reason, ERROR_UNREACHABLE, "No hay directorio");
    while (choose(directories, asked, &number, &failed)) {
        struct directory_client_options options = options_for(directories, number, failed, stop);
        options.timeout_ms = 0; /* pages may be long */
        struct directory_client *client = take_client(directories, number, &options);
        asked[number] = true;
        reason = (struct error){0};
        enum error_code code = directory_files(client, taker, &reason);
        give_client(directories, number, client);
        if (code != ERROR_CANCELLED)
            directories_note(directories, number, code);
        if (is_answer(code) || code == ERROR_CANCELLED)
            break;
    }
    if (error && reason.code)
        *error = reason;
    return reason.code;
}
