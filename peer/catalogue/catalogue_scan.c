/* From the share's list to what is known and what is to be hashed. */
#include "common/clock.h"
#include "common/memory.h"
#include "common/stop_event.h"
#include "peer/catalogue/catalogue_private.h"

#include <stdlib.h>
#include <string.h>

#define KEEP_EVERY_MS ((int64_t)24 * 3600 * 1000)

struct scan {
    struct catalogue *catalogue;
    struct listing *listing;
    struct waiting_list waiting; /* the new one */
    bool news;
    int64_t now_ms, wall_ms;
    struct share_identity *gone; /* since the last scan, by inode */
    size_t gone_count, gone_capacity;
    bool linked_gone; /* one of them had other names */
};

/* A file of the share that is looked at. */
struct looked {
    struct file_name name;
    struct share_identity identity;
};

/* ---- what is stored ---- */

/* Whether the stored file was renamed to this one: the same inode with the same size and time of
 * modification, and nothing has the old name, or something else. A file that kept its name and has
 * another time of change may have been written, its time of modification set back. */
static bool was_renamed(const struct scan *scan, const struct store_row *row,
                        const struct looked *file)
{
    struct listed old;

    if (strcmp(row->name.text, file->name.text) == 0)
        return false;
    return !listing_find(scan->listing, row->name.text, &old) ||
           old.identity->inode != file->identity.inode ||
           old.identity->device != file->identity.device;
}

static bool find_stored(struct scan *scan, const struct looked *file, struct known_file *known)
{
    const struct store_file moved = {.identity = &file->identity, .name = &file->name};
    struct store *store = atomic_load(&scan->catalogue->store);
    struct store_row row;
    struct error error;
    enum error_code code = store_find(store, &file->identity, &row, &error);

    if (code == ERROR_NOT_FOUND)
        return false;
    bool renamed = !code && was_renamed(scan, &row, file);
    if (!code && !row.exact && !renamed)
        return false;
    if (renamed)
        code = store_move(store, row.number, &moved, &error);
    if (code) {
        catalogue_store_failed(scan->catalogue, &error);
        return false;
    }
    *known = (struct known_file){.identity = file->identity,
                                 .content = row.content,
                                 .number = row.number,
                                 .named = known_hash_name(renamed ? &file->name : &row.name),
                                 .checked_s = row.checked_s,
                                 .damaged = row.damaged,
                                 .withdrawn = row.damaged};
    return true;
}

/* What was found bad before the start. A list that cannot be is none: the next check tells. */
static void put_stored(struct catalogue *catalogue, const struct looked *file,
                       struct known_file *known)
{
    struct damage damage = {.name = file->name,
                            .identity = file->identity,
                            .content = known->content,
                            .number = known->number};
    struct file_name stored;

    if (known->damaged &&
        (store_read_damage(atomic_load(&catalogue->store), known->number, &stored, &damage.bad,
                           NULL) ||
         damage.bad.count == 0 || !piece_list_fits(&damage.bad, file->identity.size_bytes)))
        known->damaged = known->withdrawn = false;
    catalogue_put_known(catalogue, known);
    if (known->damaged)
        catalogue_put_damaged(catalogue, &damage);
    damage_done(&damage);
}

/* How long the file has to be left alone yet. A time in the future says nothing. */
static int64_t quiet_left_ms(const struct scan *scan, const struct looked *file, bool again)
{
    const struct share_identity *identity = &file->identity;
    int64_t quiet_ms = again ? CATALOGUE_QUIET_AGAIN_MS : CATALOGUE_QUIET_MS;
    int64_t changed_ns =
        identity->changed_ns > identity->modified_ns ? identity->changed_ns : identity->modified_ns;
    int64_t age_ms = scan->wall_ms - changed_ns / 1000000;

    return age_ms < 0 || age_ms > quiet_ms ? 0 : quiet_ms - age_ms + 1;
}

static void add_waiting(struct waiting_list *waiting, const struct waiting *item)
{
    if (waiting->count == waiting->capacity) {
        waiting->capacity = waiting->capacity ? 2 * waiting->capacity : 16;
        waiting->items = memory_resize(waiting->items, waiting->capacity, sizeof *waiting->items);
    }
    waiting->items[waiting->count++] = *item;
}

static void let_wait(struct scan *scan, const struct looked *file, bool again)
{
    const struct waiting item = {.name = memory_copy_string(file->name.text),
                                 .identity = file->identity,
                                 .due_ms = scan->now_ms + quiet_left_ms(scan, file, again)};

    add_waiting(&scan->waiting, &item);
}

void catalogue_waiting_done(struct waiting_list *waiting)
{
    for (size_t i = 0; i < waiting->count; i++)
        free(waiting->items[i].name);
    free(waiting->items);
    *waiting = (struct waiting_list){0};
}

/* A known file has a name that it is not stored under: a folder was renamed, or it has several. */
static void follow_name(struct scan *scan, const struct looked *file)
{
    const struct store_file moved = {.identity = &file->identity, .name = &file->name};
    struct catalogue *catalogue = scan->catalogue;
    struct store *store = atomic_load(&catalogue->store);
    struct store_row row;
    struct error error;

    if (store_find(store, &file->identity, &row, NULL) || !was_renamed(scan, &row, file))
        return;
    if (store_move(store, row.number, &moved, &error)) {
        catalogue_store_failed(catalogue, &error);
        return;
    }
    pthread_mutex_lock(&catalogue->lock);
    const struct known_file *found = known_find(&catalogue->known, &file->identity);
    if (found) {
        struct known_file known = *found;
        known.named = known_hash_name(&file->name);
        known_put(&catalogue->known, &known);
    }
    damages_rename(&catalogue->damages, &file->identity, &file->name);
    pthread_mutex_unlock(&catalogue->lock);
}

/* What was known of an inode stays in the table in its old state: so it is seen that the file
 * changes again and again. */
static void look_at(void *context, const struct listed *listed)
{
    struct scan *scan = context;
    struct catalogue *catalogue = scan->catalogue;
    struct looked file = {.identity = *listed->identity};
    struct known_file known;

    if (stop_event_raised(catalogue->stop))
        return;
    listed_name(listed->name, &file.name);
    pthread_mutex_lock(&catalogue->lock);
    const struct known_file *old = known_see(&catalogue->known, &file.identity, catalogue->scan);
    bool is_known = old && share_identity_equal(&old->identity, &file.identity);
    bool is_seen_before = old != NULL;
    bool is_named = is_known && old->named == known_hash_name(&file.name);
    pthread_mutex_unlock(&catalogue->lock);
    if (is_known && !is_named)
        follow_name(scan, &file);
    if (is_known || file.identity.size_bytes > CONTENT_MAX_BYTES)
        return;
    if (find_stored(scan, &file, &known)) {
        put_stored(catalogue, &file, &known);
        scan->news = true;
    } else if (!hashing_has(catalogue->hashing, &file.identity)) {
        let_wait(scan, &file, is_seen_before);
    }
}

static int compare_size(const void *left, const void *right)
{
    const struct waiting *a = left;
    const struct waiting *b = right;

    return (a->identity.size_bytes > b->identity.size_bytes) -
           (a->identity.size_bytes < b->identity.size_bytes);
}

static void keep_rows(struct catalogue *catalogue, int64_t now_ms)
{
    const struct known *known = &catalogue->known;
    auto_free int64_t *numbers = NULL;
    struct error error;
    size_t count = 0;

    if (catalogue->kept_ms != 0 && now_ms - catalogue->kept_ms < KEEP_EVERY_MS)
        return;
    catalogue->kept_ms = now_ms;
    pthread_mutex_lock(&catalogue->lock);
    numbers = memory_new(known->count + 1, sizeof *numbers);
    for (size_t i = 0; i < known->capacity; i++)
        if (known->slots[i].used && known->slots[i].number != 0)
            numbers[count++] = known->slots[i].number;
    pthread_mutex_unlock(&catalogue->lock);
    if (store_keep(atomic_load(&catalogue->store), numbers, count, clock_wall_ms() / 1000, &error))
        catalogue_store_failed(catalogue, &error);
}

/* Drops what is not there any more, or not as it was. Under the lock. */
static void keep_known(struct catalogue *catalogue)
{
    known_keep(&catalogue->known, catalogue->scan);
    for (size_t i = catalogue->damages.count; i > 0; i--) {
        struct share_identity identity = catalogue->damages.items[i - 1].identity;
        if (!known_find(&catalogue->known, &identity))
            damages_drop(&catalogue->damages, &identity);
    }
}

/* ---- all of it ---- */

static void look_at_all(struct scan *scan)
{
    struct catalogue *catalogue = scan->catalogue;
    struct listing_cursor cursor = {.listing = scan->listing};
    struct listed file;

    catalogue_waiting_done(&scan->waiting);
    while (!stop_event_raised(catalogue->stop) && listing_next(&cursor, &file))
        look_at(scan, &file);
    pthread_mutex_lock(&catalogue->lock);
    if (!stop_event_raised(catalogue->stop))
        keep_known(catalogue);
    pthread_mutex_unlock(&catalogue->lock);
}

/* ---- what has changed ---- */

static int compare_inodes(const void *left, const void *right)
{
    const struct share_identity *a = left;
    const struct share_identity *b = right;

    if (a->inode != b->inode)
        return a->inode > b->inode ? 1 : -1;
    return (a->device > b->device) - (a->device < b->device);
}

static void note_gone(void *context, const struct listed *file)
{
    struct scan *scan = context;

    if (scan->gone_count == scan->gone_capacity) {
        scan->gone_capacity = scan->gone_capacity ? 2 * scan->gone_capacity : 16;
        scan->gone = memory_resize(scan->gone, scan->gone_capacity, sizeof *scan->gone);
    }
    scan->gone[scan->gone_count++] = *file->identity;
    scan->linked_gone = scan->linked_gone || file->linked;
}

/* Those that are as they were wait on. */
static void keep_waiting(struct scan *scan)
{
    struct waiting_list *old = &scan->catalogue->waiting;

    for (size_t i = old->first; i < old->count; i++) {
        struct waiting *item = &old->items[i];
        if (item->taken ||
            (scan->gone_count > 0 && bsearch(&item->identity, scan->gone, scan->gone_count,
                                             sizeof *scan->gone, compare_inodes)))
            continue;
        add_waiting(&scan->waiting, item);
        item->name = NULL;
    }
}

/* Whether something has gone for good: what is known of it is to be dropped. */
static bool has_unseen(const struct scan *scan)
{
    struct catalogue *catalogue = scan->catalogue;
    bool unseen = scan->linked_gone;

    pthread_mutex_lock(&catalogue->lock);
    for (size_t i = 0; i < scan->gone_count && !unseen; i++)
        unseen = known_unseen(&catalogue->known, &scan->gone[i], catalogue->scan);
    pthread_mutex_unlock(&catalogue->lock);
    return unseen;
}

static void look_at_changes(struct scan *scan)
{
    const struct listing *seen = scan->catalogue->seen;
    const struct listing_difference gone = {.gone = note_gone, .context = scan};
    const struct listing_difference come = {.come = look_at, .context = scan};

    listing_compare(seen, scan->listing, &gone);
    if (scan->gone_count > 0)
        qsort(scan->gone, scan->gone_count, sizeof *scan->gone, compare_inodes);
    keep_waiting(scan);
    listing_compare(seen, scan->listing, &come);
    if (has_unseen(scan))
        look_at_all(scan);
    free(scan->gone);
}

static void take_waiting(struct scan *scan)
{
    struct catalogue *catalogue = scan->catalogue;

    if (scan->waiting.count > 0)
        qsort(scan->waiting.items, scan->waiting.count, sizeof *scan->waiting.items, compare_size);
    catalogue_waiting_done(&catalogue->waiting);
    catalogue->waiting = scan->waiting;
}

void catalogue_scan(struct catalogue *catalogue)
{
    struct scan scan = {
        .catalogue = catalogue, .now_ms = clock_boot_ms(), .wall_ms = clock_wall_ms()};
    bool whole = atomic_exchange(&catalogue->whole, false) || !catalogue->seen;

    /* Before the list is made: what is learned from now on is not dropped. */
    pthread_mutex_lock(&catalogue->lock);
    catalogue->scan++;
    pthread_mutex_unlock(&catalogue->lock);
    /* A folder that is away comes back: what is known of it stays, and is asked for by nobody. */
    if (share_listing(catalogue->share, &scan.listing, NULL)) {
        atomic_store(&catalogue->whole, whole);
        return;
    }
    if (whole)
        look_at_all(&scan);
    else if (scan.listing != catalogue->seen)
        look_at_changes(&scan);
    if (whole || scan.listing != catalogue->seen)
        take_waiting(&scan);
    listing_release(catalogue->seen);
    catalogue->seen = scan.listing;
    keep_rows(catalogue, scan.now_ms);
    if (scan.news)
        atomic_store(&catalogue->news, true);
}

struct waiting *catalogue_next_waiting(struct catalogue *catalogue, int64_t now_ms,
                                       int64_t max_bytes)
{
    struct waiting_list *waiting = &catalogue->waiting;

    for (size_t i = waiting->first; i < waiting->count; i++) {
        struct waiting *item = &waiting->items[i];
        if (item->taken && i == waiting->first)
            waiting->first++;
        if (item->taken || item->due_ms > now_ms)
            continue;
        if (item->identity.size_bytes > max_bytes)
            return NULL;
        item->taken = true;
        return item;
    }
    if (waiting->first == waiting->count)
        catalogue_waiting_done(waiting);
    return NULL;
}

int64_t catalogue_waiting_due_ms(const struct catalogue *catalogue, int64_t asked_ms)
{
    const struct waiting_list *waiting = &catalogue->waiting;
    int64_t due_ms = INT64_MAX;

    for (size_t i = waiting->first; i < waiting->count; i++) {
        const struct waiting *item = &waiting->items[i];
        if (!item->taken && item->due_ms > asked_ms && item->due_ms < due_ms)
            due_ms = item->due_ms;
    }
    return due_ms;
}
