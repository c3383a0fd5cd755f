#include "peer/locate/locator.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "peer/catalogue/catalogue_check.h"
#include "peer/locate/answers.h"
#include "peer/locate/client_rates.h"
#include "peer/locate/round.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#define MODULE "locator"

/* Our own questions have threads that those of others cannot use up. */
#define OWN_THREADS    6
#define PASS_THREADS   4
#define ANSWER_THREADS 2
#define OWN_QUEUE      256
#define PASS_QUEUE     32
#define ANSWER_QUEUE   32

/* An asker has to get our answer before its own time is over. */
#define MARGIN_MS 300

/* Of a directory, when another peer asks. */
#define DIRECTORY_QUICK_MS 1000

#define NOTES_MAX 64

struct note {
    struct file_name name;
    int64_t time_ms; /* 0: none */
    char text[LOCATED_NOTE_BYTES];
};

struct locator {
    char *own_name; /* these do not change */
    struct address own_address;
    struct address friends[2];
    size_t friend_count;
    struct directories *directories;
    struct share *share;
    struct catalogue *catalogue;
    struct answers *answers;
    struct thread_pool *own_pool;
    struct thread_pool *pass_pool;
    struct thread_pool *answer_pool;

    pthread_mutex_t lock; /* guards what follows */
    struct questions *questions;
    struct client_rates *rates;
    struct note *notes; /* NOTES_MAX */
};

/* ---- start and stop ---- */

static bool address_equal(const struct address *left, const struct address *right)
{
    return left->port == right->port && strcasecmp(left->host, right->host) == 0;
}

static void add_friend(struct locator *locator, const char *text)
{
    struct address *address = &locator->friends[locator->friend_count];

    if (!text || !*text || address_parse(text, false, address, NULL))
        return;
    if (address_equal(address, &locator->own_address))
        log_line(LOG_WARNING, MODULE, "the friend %s is this peer itself", text);
    else if (locator->friend_count > 0 && address_equal(address, &locator->friends[0]))
        log_line(LOG_WARNING, MODULE, "both friends are %s", text);
    else
        locator->friend_count++;
}

static enum error_code start_threads(struct locator *locator, const char *path, struct error *error)
{
    enum error_code code = answers_open(path, &locator->answers, error);

    if (!code)
        code = thread_pool_start("locate own", OWN_THREADS, OWN_QUEUE, &locator->own_pool, error);
    if (!code)
        code =
            thread_pool_start("locate pass", PASS_THREADS, PASS_QUEUE, &locator->pass_pool, error);
    if (!code)
        code =
            thread_pool_start("locate", ANSWER_THREADS, ANSWER_QUEUE, &locator->answer_pool, error);
    return code;
}

enum error_code locator_start(const struct locator_options *options, struct locator **out,
                              struct error *error)
{
    struct locator *locator = memory_new(1, sizeof *locator);

    locator->own_name = memory_copy_string(options->own_name);
    locator->directories = options->directories;
    locator->share = options->share;
    locator->catalogue = options->catalogue;
    locator->questions = memory_new(1, sizeof *locator->questions);
    locator->rates = memory_new(1, sizeof *locator->rates);
    locator->notes = memory_new(NOTES_MAX, sizeof *locator->notes);
    pthread_mutex_init(&locator->lock, NULL);
    if (address_parse(options->own_address, false, &locator->own_address, NULL))
        log_line(LOG_WARNING, MODULE, "'%s' is no address to tell others", options->own_address);
    for (size_t i = 0; i < ARRAY_LENGTH(options->friends); i++)
        add_friend(locator, options->friends[i]);
    enum error_code code = start_threads(locator, options->path, error);
    if (code)
        locator_stop(locator);
    else
        *out = locator;
    return code;
}

void locator_stop(struct locator *locator)
{
    if (!locator)
        return;
    thread_pool_free(locator->answer_pool);
    thread_pool_free(locator->pass_pool);
    thread_pool_free(locator->own_pool);
    answers_close(locator->answers);
    pthread_mutex_destroy(&locator->lock);
    free(locator->questions);
    free(locator->rates);
    free(locator->notes);
    free(locator->own_name);
    free(locator);
}

/* ---- asking others ---- */

struct addresses {
    struct address items[ROUND_PEERS_MAX];
    size_t count;
};

static void add_address(const struct locator *locator, struct addresses *addresses,
                        const struct address *address)
{
    if (addresses->count == ROUND_PEERS_MAX || address_equal(address, &locator->own_address))
        return;
    for (size_t i = 0; i < addresses->count; i++)
        if (address_equal(&addresses->items[i], address))
            return;
    addresses->items[addresses->count++] = *address;
}

static void add_friends(const struct locator *locator, struct addresses *addresses)
{
    for (size_t i = 0; i < locator->friend_count; i++)
        add_address(locator, addresses, &locator->friends[i]);
}

/* At most so many more, not the friends. */
static void add_met(struct locator *locator, struct addresses *addresses, size_t more)
{
    struct addresses all = {.count = 0};
    struct address met[ROUND_PEERS_MAX + ARRAY_LENGTH(locator->friends) + 1];
    size_t count = answers_peers(locator->answers, met, ARRAY_LENGTH(met));

    add_friends(locator, &all);
    size_t friends = all.count;
    for (size_t i = 0; i < count; i++)
        add_address(locator, &all, &met[i]);
    for (size_t i = friends; i < all.count && i < friends + more; i++)
        add_address(locator, addresses, &all.items[i]);
}

/* Asks them all; what they know goes behind what is there. */
static void ask_all(struct locator *locator, struct thread_pool *pool,
                    const struct question *question, const struct addresses *addresses,
                    struct interrupt *interrupt, struct directory_sources *sources)
{
    struct round_options options = {.pool = pool,
                                    .question = question,
                                    .peers = addresses->items,
                                    .count = addresses->count,
                                    .interrupt = interrupt};
    struct directory_sources found;
    bool answered[ROUND_PEERS_MAX];

    if (addresses->count == 0 || interrupt_raised(interrupt))
        return;
    round_run(&options, &found, answered);
    for (size_t i = 0; i < addresses->count; i++)
        if (answered[i])
            answers_met(locator->answers, &addresses->items[i]);
    located_drop_peer(&found, locator->own_name);
    located_merge(sources, &found);
}

/* ---- our own questions ---- */

static void set_note(struct locator *locator, const struct file_name *name,
                     const struct directory_sources *sources)
{
    char text[LOCATED_NOTE_BYTES];

    located_note(sources, text);
    pthread_mutex_lock(&locator->lock);
    struct note *note = &locator->notes[0];
    for (size_t i = 0; i < NOTES_MAX && strcmp(note->name.text, name->text) != 0; i++)
        if (locator->notes[i].time_ms < note->time_ms ||
            strcmp(locator->notes[i].name.text, name->text) == 0)
            note = &locator->notes[i];
    if (text[0] || strcmp(note->name.text, name->text) == 0) {
        note->name = *name;
        note->time_ms = clock_boot_ms();
        snprintf(note->text, sizeof note->text, "%s", text);
    }
    pthread_mutex_unlock(&locator->lock);
}

const char *locator_note(struct locator *locator, const struct file_name *name, int64_t since_ms,
                         char out[LOCATED_NOTE_BYTES])
{
    out[0] = '\0';
    pthread_mutex_lock(&locator->lock);
    for (size_t i = 0; i < NOTES_MAX; i++) {
        const struct note *note = &locator->notes[i];
        if (note->time_ms >= since_ms && strcmp(note->name.text, name->text) == 0)
            snprintf(out, LOCATED_NOTE_BYTES, "%s", note->text);
    }
    pthread_mutex_unlock(&locator->lock);
    return out;
}

static bool make_question(struct locator *locator, const struct file_name *name,
                          struct question *question)
{
    *question = (struct question){.name = *name, .hops = LOCATE_HOPS, .wait_ms = LOCATE_WAIT_MS};
    if (getrandom(question->id, sizeof question->id, 0) != (ssize_t)sizeof question->id)
        return false;
    pthread_mutex_lock(&locator->lock); /* when it comes back to us, we know it */
    (void)questions_take(locator->questions, question->id, clock_boot_ms());
    pthread_mutex_unlock(&locator->lock);
    return true;
}

/* No directory answers. Who is remembered may be away by now, so the friends are asked in any case;
 * all others only when there is nobody to try. */
static void find_without_directory(struct locator *locator, const struct file_name *name,
                                   struct interrupt *interrupt, struct directory_sources *sources)
{
    struct addresses friends = {.count = 0};
    struct addresses met = {.count = 0};
    struct question question;

    answers_find(locator->answers, name, sources);
    located_drop_peer(sources, locator->own_name);
    if (!make_question(locator, name, &question))
        return;
    add_friends(locator, &friends);
    ask_all(locator, locator->own_pool, &question, &friends, interrupt, sources);
    if (sources->count > 0)
        return;
    add_met(locator, &met, ROUND_PEERS_MAX);
    ask_all(locator, locator->own_pool, &question, &met, interrupt, sources);
}

static bool has_whole(const struct directory_sources *sources)
{
    for (size_t i = 0; i < sources->count; i++)
        if (!sources->items[i].partial)
            return true;
    return false;
}

enum error_code locator_find(struct locator *locator, const struct locator_search *search,
                             struct directory_sources *sources, struct error *error)
{
    struct directories_query query = {.name = search->name,
                                      .stop = interrupt_event(search->interrupt),
                                      .partial = search->partial};
    struct error reason = {0}; /* error stays untouched where the others know */
    bool answered;

    enum error_code code =
        directories_search(locator->directories, &query, sources, &answered, &reason);
    if (code == ERROR_NONE && (sources->count == 0 || has_whole(sources)))
        answers_remember(locator->answers, search->name, sources);
    if (!answered && code != ERROR_CANCELLED) {
        find_without_directory(locator, search->name, search->interrupt, sources);
        if (sources->count > 0)
            code = ERROR_NONE;
    }
    /* A search that found nobody, or was broken off, takes nothing back of what an earlier one
     * said. */
    if (answered || sources->count > 0)
        set_note(locator, search->name, sources);
    if (code != ERROR_NONE && error)
        *error = reason;
    return code;
}

static bool take_holder(void *context, const struct file_name *name,
                        struct directory_source *source)
{
    struct locator_holders *holders = context;

    holders->items = memory_resize(holders->items, holders->count + 1, sizeof *holders->items);
    holders->items[holders->count++] = (struct locator_holder){.name = *name, .source = *source};
    *source = (struct directory_source){0};
    return holders->count < LOCATOR_HOLDERS_MAX;
}

enum error_code locator_find_content(struct locator *locator, const struct content_id *content,
                                     struct interrupt *interrupt, struct locator_holders *holders,
                                     struct error *error)
{
    const struct directory_files_taker taker = {
        .folders = true, .content = content, .take_holder = take_holder, .context = holders};

    *holders = (struct locator_holders){0};
    return directories_files(locator->directories, &taker, interrupt_event(interrupt), error);
}

void locator_holders_done(struct locator_holders *holders)
{
    for (size_t i = 0; i < holders->count; i++) {
        free(holders->items[i].source.peer);
        free(holders->items[i].source.addresses);
    }
    free(holders->items);
    *holders = (struct locator_holders){0};
}

enum error_code locator_find_many(struct locator *locator, const struct locator_names *names,
                                  struct directory_sources *sources, struct error *error)
{
    struct directories_names query = {
        .items = names->items, .count = names->count, .stop = interrupt_event(names->interrupt)};
    enum error_code code = directories_search_many(locator->directories, &query, sources, error);

    for (size_t i = 0; i < names->count && code == ERROR_NONE; i++) {
        if (sources[i].count == 0)
            continue;
        answers_remember(locator->answers, names->items[i], &sources[i]);
        set_note(locator, names->items[i], &sources[i]);
    }
    return code;
}

bool locator_had_directory(struct locator *locator)
{
    return directories_have_answered(locator->directories);
}

void locator_met(struct locator *locator, const struct address *address)
{
    answers_met(locator->answers, address);
}

/* ---- what others ask us ---- */

enum error_code locator_admit(struct locator *locator, const char *client,
                              const struct question *question, bool *is_new, struct error *error)
{
    int64_t now_ms = clock_boot_ms();

    pthread_mutex_lock(&locator->lock);
    bool taken = client_rates_take(locator->rates, client, now_ms);
    *is_new = taken && questions_take(locator->questions, question->id, now_ms);
    pthread_mutex_unlock(&locator->lock);
    return taken ? ERROR_NONE
                 : error_set(error, ERROR_BUSY, "Demasiadas preguntas a la vez; pruebe más tarde");
}

static bool find_own(struct locator *locator, const struct file_name *name,
                     struct directory_sources *sources)
{
    struct share_identity identity;

    *sources = (struct directory_sources){0};
    if (locator->own_address.port == 0 || file_name_is_hidden(name) ||
        share_identify(locator->share, name, &identity, NULL) ||
        (locator->catalogue && catalogue_is_withdrawn(locator->catalogue, &identity)))
        return false;
    sources->items = memory_new(1, sizeof *sources->items);
    sources->count = 1;
    struct directory_source *source = &sources->items[0];
    source->peer = memory_copy_string(locator->own_name);
    source->addresses =
        (struct address *)memory_copy(&locator->own_address, sizeof locator->own_address);
    source->address_count = 1;
    source->size_bytes = identity.size_bytes;
    source->has_content =
        locator->catalogue && catalogue_find_id(locator->catalogue, &identity, &source->content);
    return true;
}

bool locator_answer_here(struct locator *locator, const struct question *question,
                         struct directory_sources *sources)
{
    struct directory_sources remembered;

    bool is_own = find_own(locator, &question->name, sources);
    answers_find(locator->answers, &question->name, &remembered);
    located_drop_peer(&remembered, locator->own_name);
    located_merge(sources, &remembered);
    return is_own;
}

/* What a directory says now goes before what was remembered. */
static bool ask_directory(struct locator *locator, const struct question *question, int64_t end_ms,
                          struct interrupt *interrupt, struct directory_sources *sources)
{
    int64_t left_ms = end_ms - clock_boot_ms();
    struct directories_query query = {
        .name = &question->name,
        .stop = interrupt_event(interrupt),
        .quick_ms = left_ms / 2 < DIRECTORY_QUICK_MS ? left_ms / 2 : DIRECTORY_QUICK_MS};
    struct directory_sources told;
    bool answered;

    if (query.quick_ms <= 0 ||
        directories_search(locator->directories, &query, &told, &answered, NULL))
        return false;
    answers_remember(locator->answers, &question->name, &told);
    located_drop_peer(&told, locator->own_name); /* we do not have it: the directory is behind */
    struct directory_sources all = {0};
    located_merge(&all, &told); /* it leaves out those without an address */
    bool found = all.count > 0;
    located_merge(&all, sources);
    *sources = all;
    return found;
}

void locator_answer_wide(struct locator *locator, const struct question *question,
                         struct interrupt *interrupt, struct directory_sources *sources)
{
    int64_t end_ms = clock_boot_ms() + question->wait_ms - MARGIN_MS;
    struct addresses others = {.count = 0};
    struct question passed = *question;

    if (ask_directory(locator, question, end_ms, interrupt, sources) || question->hops == 0)
        return;
    passed.hops = question->hops - 1;
    passed.wait_ms = end_ms - clock_boot_ms();
    if (passed.wait_ms <= MARGIN_MS)
        return;
    add_friends(locator, &others);
    add_met(locator, &others, LOCATOR_PASS_PEERS);
    ask_all(locator, locator->pass_pool, &passed, &others, interrupt, sources);
}

enum error_code locator_run(struct locator *locator, void (*run)(void *context), void *context)
{
    return thread_pool_submit(locator->answer_pool, run, context, NULL);
}
