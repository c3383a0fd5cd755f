#include "peer/catalogue/catalogue.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/stop_event.h"
#include "peer/catalogue/catalogue_private.h"

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define MODULE "catalogue"

/* Of large files that had to make way for smaller ones. Each has a descriptor and its hashes. */
#define JOBS_MAX 64

/* After a file has changed while it was hashed. */
#define RETRY_MS 1000

/* After a file could not be opened, or no thread could take it: no descriptors, a disk's fault. */
#define RETRY_FAILED_MS 30000

/* When files come by the thousand, the next scan begins after so many times the time that the last
 * one took, and not before what comes in the meantime is worth it. */
#define SCAN_REST    10
#define SCAN_REST_MS 100

void catalogue_wake(struct catalogue *catalogue)
{
    eventfd_write(catalogue->wake, 1);
}

/* On a hashing thread. */
static void file_hashed(void *context)
{
    catalogue_wake(context);
}

void catalogue_store_failed(struct catalogue *catalogue, const struct error *error)
{
    if (!catalogue->store_failed)
        log_line(LOG_WARNING, MODULE, "what is hashed is not kept: %s", error->text);
    catalogue->store_failed = true;
}

void catalogue_put_known(struct catalogue *catalogue, const struct known_file *file)
{
    struct known_file seen = *file;

    pthread_mutex_lock(&catalogue->lock);
    seen.scan = catalogue->scan;
    known_put(&catalogue->known, &seen);
    if (catalogue->damages.count > 0)
        damages_drop(&catalogue->damages, &file->identity);
    pthread_mutex_unlock(&catalogue->lock);
}

static void open_store(struct catalogue *catalogue)
{
    struct store *store = NULL;
    struct error error;
    bool aside = false;

    enum error_code code = store_open(catalogue->path, &store, &aside, &error);
    if (aside)
        log_line(
            LOG_WARNING, MODULE,
            "%s was damaged, or of something else: it is now %s.bad, all files are hashed anew",
            catalogue->path, catalogue->path);
    if (code) {
        log_line(LOG_WARNING, MODULE, "%s: %s: hashes are kept in memory only", catalogue->path,
                 error.text);
        code = store_open(NULL, &store, &aside, &error);
    }
    if (code)
        log_line(LOG_ERROR, MODULE, "no content ids: %s", error.text);
    atomic_store(&catalogue->store, store);
}

static bool is_known(struct catalogue *catalogue, const struct share_identity *identity)
{
    struct content_id id;

    return catalogue_find_id(catalogue, identity, &id);
}

static void scan_again_in(struct catalogue *catalogue, int64_t delay_ms)
{
    int64_t retry_ms = clock_boot_ms() + delay_ms;

    if (catalogue->retry_ms == 0 || retry_ms < catalogue->retry_ms)
        catalogue->retry_ms = retry_ms;
}

static void retry_in(struct catalogue *catalogue, int64_t delay_ms)
{
    atomic_store(&catalogue->whole, true);
    scan_again_in(catalogue, delay_ms);
}

static void begin(struct catalogue *catalogue, const struct waiting *file)
{
    struct file_name name;
    struct share_identity identity;
    struct hashing_job *job;
    auto_close int descriptor = -1;

    if (is_known(catalogue, &file->identity) || hashing_has(catalogue->hashing, &file->identity))
        return; /* another name of a file that had its turn, or one that we have learned */
    listed_name(file->name, &name);
    enum error_code code = share_open_file(catalogue->share, &name, &descriptor, &identity, NULL);
    if (code == ERROR_NOT_FOUND || code == ERROR_DENIED)
        return; /* gone, or not ours to read: only a change of the folder changes that */
    if (!code && !share_identity_equal(&identity, &file->identity)) {
        share_look_again(catalogue->share, &name);
        retry_in(catalogue, RETRY_MS);
        return;
    }
    if (!code)
        code = hashing_job_new(&name, &identity, descriptor, &job, NULL);
    if (code) {
        retry_in(catalogue, RETRY_FAILED_MS);
        return;
    }
    (void)take_descriptor(&descriptor);
    if (hashing_add(catalogue->hashing, job, NULL)) {
        hashing_job_free(job);
        retry_in(catalogue, RETRY_FAILED_MS);
    }
}

static void record(struct catalogue *catalogue, const struct hashing_job *job)
{
    const struct store_file file = {.identity = &job->identity, .name = &job->name};
    struct known_file known = {.identity = job->identity,
                               .content = job->manifest.id,
                               .named = known_hash_name(&job->name),
                               .checked_s = clock_wall_ms() / 1000};
    struct store *store = atomic_load(&catalogue->store);
    auto_damage damage = {.number = 0};
    struct error error;

    if (!catalogue_recognise(catalogue, job, &known, &damage) &&
        store_add(store, &file, &job->manifest, &known.number, &error))
        catalogue_store_failed(catalogue, &error);
    catalogue_put_known(catalogue, &known);
    if (known.damaged)
        catalogue_put_damaged(catalogue, &damage);
    atomic_store(&catalogue->news, true);
}

/* What has changed meanwhile is remembered as such, so that it has to be quiet for longer; what is
 * known of it since then stays. */
static void note_failure(struct catalogue *catalogue, const struct hashing_job *job)
{
    struct known_file changed = {.identity = {.device = job->identity.device,
                                              .inode = job->identity.inode,
                                              .size_bytes = -1}};

    pthread_mutex_lock(&catalogue->lock);
    if (!known_see(&catalogue->known, &job->identity, catalogue->scan)) {
        changed.scan = catalogue->scan;
        known_put(&catalogue->known, &changed);
    }
    pthread_mutex_unlock(&catalogue->lock);
    log_line(LOG_DEBUG, MODULE, "'%s' could not be hashed: %s", job->name.text,
             error_code_name(job->failure));
    if (job->failure != ERROR_CHANGED)
        return;
    share_look_again(catalogue->share, &job->name);
    retry_in(catalogue, RETRY_MS);
}

static void take_hashed(struct catalogue *catalogue)
{
    struct hashing_job *job;

    while ((job = hashing_take(catalogue->hashing))) {
        if (job->failure)
            note_failure(catalogue, job);
        else
            record(catalogue, job);
        hashing_job_free(job);
    }
}

/* Keeps the threads busy; a file that is smaller than what is left of all others goes before. */
static void feed(struct catalogue *catalogue)
{
    int64_t now_ms = clock_boot_ms();
    struct hashing_load load;
    struct waiting *next = NULL;

    catalogue->fed_ms = now_ms;
    do {
        take_hashed(catalogue);
        hashing_read_load(catalogue->hashing, &load);
        if (load.jobs >= JOBS_MAX || stop_event_raised(catalogue->stop))
            return;
        next = catalogue_next_waiting(catalogue, now_ms,
                                      load.is_short ? INT64_MAX : load.shortest_left - 1);
        if (next)
            begin(catalogue, next);
    } while (next);
    take_hashed(catalogue);
}

static bool is_at_work(struct catalogue *catalogue)
{
    struct hashing_load load;

    hashing_read_load(catalogue->hashing, &load);
    return load.jobs > 0;
}

/* When there is something to tell: at once when all is hashed, else after a while. */
static int64_t tell_due_ms(const struct catalogue *catalogue, bool at_work)
{
    if (catalogue->news_ms == 0)
        return INT64_MAX;
    int64_t due_ms = catalogue->told_ms + CATALOGUE_TELL_MS;
    if (at_work && due_ms < catalogue->news_ms + CATALOGUE_TELL_AT_WORK_MS)
        due_ms = catalogue->news_ms + CATALOGUE_TELL_AT_WORK_MS;
    return due_ms;
}

static void tell(struct catalogue *catalogue, bool at_work)
{
    int64_t now_ms = clock_boot_ms();

    if (atomic_exchange(&catalogue->news, false) && catalogue->news_ms == 0)
        catalogue->news_ms = now_ms;
    if (tell_due_ms(catalogue, at_work) > now_ms)
        return;
    catalogue->news_ms = 0;
    catalogue->told_ms = now_ms;
    if (catalogue->told)
        catalogue->told(catalogue->context);
}

static void wait_for_event(struct catalogue *catalogue, bool at_work)
{
    struct pollfd items[] = {
        {.fd = stop_event_descriptor(catalogue->stop), .events = POLLIN},
        {.fd = catalogue->wake, .events = POLLIN},
    };
    int64_t due_ms = tell_due_ms(catalogue, at_work);
    int64_t now_ms = clock_boot_ms();
    int64_t waiting_ms = catalogue_waiting_due_ms(catalogue, catalogue->fed_ms);
    eventfd_t count;

    if (waiting_ms < due_ms)
        due_ms = waiting_ms;
    if (catalogue->retry_ms != 0 && catalogue->retry_ms < due_ms)
        due_ms = catalogue->retry_ms;
    int64_t wait_ms = due_ms - now_ms;
    if (due_ms == INT64_MAX)
        wait_ms = -1;
    else if (wait_ms < 0)
        wait_ms = 0;
    poll(items, ARRAY_LENGTH(items), wait_ms > INT_MAX ? INT_MAX : (int)wait_ms);
    if (items[1].revents)
        eventfd_read(catalogue->wake, &count);
}

static bool is_scan_due(struct catalogue *catalogue)
{
    int64_t now_ms = clock_boot_ms();

    if (catalogue->retry_ms != 0 && now_ms >= catalogue->retry_ms) {
        catalogue->retry_ms = 0;
        atomic_store(&catalogue->rescan, true);
    }
    if (!atomic_load(&catalogue->rescan))
        return false;
    if (now_ms < catalogue->rested_ms) {
        scan_again_in(catalogue, catalogue->rested_ms - now_ms);
        return false;
    }
    atomic_store(&catalogue->rescan, false);
    return true;
}

/* Who waits for it is told at once. */
static void note_looked(struct catalogue *catalogue)
{
    if (!atomic_exchange(&catalogue->looked, true) && catalogue->told)
        catalogue->told(catalogue->context);
}

static void scan(struct catalogue *catalogue)
{
    int64_t begin_ms = clock_boot_ms();

    catalogue_scan(catalogue);
    if (catalogue->seen)
        note_looked(catalogue);
    int64_t end_ms = clock_boot_ms();
    int64_t rest_ms = SCAN_REST * (end_ms - begin_ms);
    catalogue->rested_ms = end_ms + (rest_ms > SCAN_REST_MS ? rest_ms : SCAN_REST_MS);
}

/* Between bursts of work nothing is held that is not needed. */
static void rest(struct catalogue *catalogue)
{
    hashing_rest(catalogue->hashing);
    store_rest(atomic_load(&catalogue->store));
    malloc_trim(0);
}

static void *run(void *context)
{
    struct catalogue *catalogue = context;
    bool worked = true;

    open_store(catalogue);
    while (!stop_event_raised(catalogue->stop) && atomic_load(&catalogue->store)) {
        if (is_scan_due(catalogue))
            scan(catalogue);
        feed(catalogue);
        bool at_work = is_at_work(catalogue);
        if (worked && !at_work)
            rest(catalogue);
        worked = at_work;
        tell(catalogue, at_work);
        wait_for_event(catalogue, at_work);
    }
    if (!atomic_load(&catalogue->store))
        note_looked(catalogue);
    hashing_stop(catalogue->hashing);
    return NULL;
}

static void destroy(struct catalogue *catalogue)
{
    hashing_free(catalogue->hashing);
    store_close(atomic_load(&catalogue->store));
    known_done(&catalogue->known);
    damages_done(&catalogue->damages);
    catalogue_waiting_done(&catalogue->waiting);
    listing_release(catalogue->seen);
    stop_event_free(catalogue->stop);
    if (catalogue->wake >= 0)
        close(catalogue->wake);
    pthread_mutex_destroy(&catalogue->lock);
    free(catalogue->path);
    free(catalogue);
}

/* While one waits for the disk, another one has something to hash. */
static unsigned thread_count(unsigned wanted)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    return wanted > 0 ? wanted : cores > 0 ? 2 * (unsigned)cores : 2;
}

enum error_code catalogue_start(const struct catalogue_options *options,
                                struct catalogue **catalogue, struct error *error)
{
    struct catalogue *made = memory_new(1, sizeof *made);

    made->share = options->share;
    made->path = memory_copy_string(options->path);
    made->told = options->known;
    made->damaged = options->damaged;
    made->context = options->context;
    made->stop = stop_event_new();
    made->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    made->hashing = hashing_new(thread_count(options->threads), file_hashed, made);
    pthread_mutex_init(&made->lock, NULL);
    atomic_store(&made->rescan, true);
    made->told_ms = -CATALOGUE_TELL_MS;
    int reason = made->wake < 0 ? EMFILE : pthread_create(&made->thread, NULL, run, made);
    if (reason != 0) {
        destroy(made);
        return error_set_errno(error, reason, "cannot start the catalogue");
    }
    *catalogue = made;
    return ERROR_NONE;
}

void catalogue_stop(struct catalogue *catalogue)
{
    if (!catalogue || stop_event_raised(catalogue->stop))
        return;
    stop_event_raise(catalogue->stop);
    pthread_join(catalogue->thread, NULL);
}

void catalogue_free(struct catalogue *catalogue)
{
    if (!catalogue)
        return;
    catalogue_stop(catalogue);
    destroy(catalogue);
}

void catalogue_share_changed(struct catalogue *catalogue)
{
    atomic_store(&catalogue->rescan, true);
    catalogue_wake(catalogue);
}

void catalogue_look_again(struct catalogue *catalogue, const struct file_name *name)
{
    share_look_again(catalogue->share, name); /* should the watch not have told */
    atomic_store(&catalogue->whole, true);
    catalogue_share_changed(catalogue);
}

bool catalogue_find_known(struct catalogue *catalogue, const struct share_identity *identity,
                          struct known_file *known)
{
    pthread_mutex_lock(&catalogue->lock);
    const struct known_file *found = known_find(&catalogue->known, identity);
    if (found)
        *known = *found;
    pthread_mutex_unlock(&catalogue->lock);
    return found != NULL;
}

bool catalogue_find_id(struct catalogue *catalogue, const struct share_identity *identity,
                       struct content_id *id)
{
    struct known_file known;

    if (!catalogue_find_known(catalogue, identity, &known))
        return false;
    *id = known.content;
    return true;
}

bool catalogue_has_looked(struct catalogue *catalogue)
{
    return atomic_load(&catalogue->looked);
}

void catalogue_fill_list(struct catalogue *catalogue, struct share_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        struct share_file *file = &list->files[i];
        file->has_content = catalogue_find_id(catalogue, file->identity, &file->content);
    }
}

static enum error_code not_yet(struct error *error)
{
    return error_set(error, ERROR_BUSY, "El contenido del archivo todavía se está calculando");
}

enum error_code catalogue_look_up(struct catalogue *catalogue, const struct file_name *name,
                                  struct catalogue_entry *entry, struct error *error)
{
    struct share_identity identity;
    struct known_file known;
    enum error_code code = share_identify(catalogue->share, name, &identity, error);

    if (code)
        return code;
    if (identity.size_bytes > CONTENT_MAX_BYTES)
        return error_set(error, ERROR_TOO_LARGE, "El archivo es demasiado grande");
    if (!catalogue_find_known(catalogue, &identity, &known)) {
        catalogue_look_again(catalogue, name);
        return not_yet(error);
    }
    if (known.number == 0)
        return error_set(error, ERROR_BUSY, "El contenido del archivo no se pudo guardar");
    *entry = (struct catalogue_entry){
        .id = known.content, .size_bytes = identity.size_bytes, .number = known.number};
    return ERROR_NONE;
}

enum error_code catalogue_read_hashes(struct catalogue *catalogue,
                                      const struct catalogue_entry *entry, size_t first,
                                      size_t count, uint8_t (*hashes)[HASH_BYTES],
                                      struct error *error)
{
    return store_read_hashes(atomic_load(&catalogue->store), entry->number, first, count, hashes,
                             error);
}

enum error_code catalogue_learn(struct catalogue *catalogue, const struct file_name *name,
                                const struct manifest *manifest, struct error *error)
{
    struct share_identity identity;
    const struct catalogue_learned file = {
        .name = name, .identity = &identity, .manifest = manifest};
    enum error_code code = share_identify(catalogue->share, name, &identity, error);

    return code ? code : catalogue_learn_all(catalogue, &file, 1, error);
}

static void learn(struct catalogue *catalogue, const struct store_new *item, int64_t now_s)
{
    const struct known_file known = {.identity = *item->file.identity,
                                     .content = item->manifest->id,
                                     .number = item->number,
                                     .named = known_hash_name(item->file.name),
                                     .checked_s = now_s};

    catalogue_put_known(catalogue, &known);
}

enum error_code catalogue_learn_all(struct catalogue *catalogue,
                                    const struct catalogue_learned *files, size_t count,
                                    struct error *error)
{
    struct store *store = atomic_load(&catalogue->store);
    auto_free struct store_new *items = memory_new(count + 1, sizeof *items);
    int64_t now_s = clock_wall_ms() / 1000;

    for (size_t i = 0; i < count; i++) {
        if (files[i].identity->size_bytes != files[i].manifest->size_bytes)
            return error_set(error, ERROR_CHANGED, "El archivo ya no es el mismo");
        items[i] =
            (struct store_new){.file = {.identity = files[i].identity, .name = files[i].name},
                               .manifest = files[i].manifest};
    }
    if (count == 0)
        return ERROR_NONE;
    enum error_code code = store ? store_add_all(store, items, count, error) : not_yet(error);
    if (code)
        return code;
    for (size_t i = 0; i < count; i++)
        learn(catalogue, &items[i], now_s);
    atomic_store(&catalogue->news, true);
    catalogue_share_changed(catalogue); /* a scan that was running has not seen them */
    return ERROR_NONE;
}
