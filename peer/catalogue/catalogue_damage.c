/* What is known of damaged files, and when files were checked. */
#include "common/memory.h"
#include "peer/catalogue/catalogue_check.h"
#include "peer/catalogue/catalogue_private.h"

#include <string.h>

#define HASHES_AT_ONCE 128

enum error_code catalogue_check_part(struct catalogue *catalogue,
                                     const struct share_identity *identity, int64_t offset,
                                     int64_t length, struct error *error)
{
    pthread_mutex_lock(&catalogue->lock);
    const struct known_file *known = known_find(&catalogue->known, identity);
    const struct damage *damage =
        known && known->damaged ? damages_find(&catalogue->damages, identity) : NULL;
    bool bad = damage && piece_list_touches(&damage->bad, offset, length);
    pthread_mutex_unlock(&catalogue->lock);
    if (!bad)
        return ERROR_NONE;
    return error_set(error, ERROR_CORRUPT, "El archivo está dañado en este peer");
}

bool catalogue_is_withdrawn(struct catalogue *catalogue, const struct share_identity *identity)
{
    struct known_file known;

    return catalogue_find_known(catalogue, identity, &known) && known.withdrawn;
}

void catalogue_leave_out_withdrawn(struct catalogue *catalogue, struct share_list *list)
{
    size_t kept = 0;

    if (catalogue_count_damaged(catalogue) == 0)
        return;
    for (size_t i = 0; i < list->count; i++)
        if (!catalogue_is_withdrawn(catalogue, list->files[i].identity))
            list->files[kept++] = list->files[i];
    list->count = kept;
}

size_t catalogue_count_damaged(struct catalogue *catalogue)
{
    pthread_mutex_lock(&catalogue->lock);
    size_t count = catalogue->damages.count;
    pthread_mutex_unlock(&catalogue->lock);
    return count;
}

void catalogue_put_damaged(struct catalogue *catalogue, struct damage *damage)
{
    pthread_mutex_lock(&catalogue->lock);
    damages_put(&catalogue->damages, damage);
    pthread_mutex_unlock(&catalogue->lock);
    if (catalogue->damaged)
        catalogue->damaged(catalogue->context);
}

bool catalogue_find_oldest(struct catalogue *catalogue, struct catalogue_oldest *oldest)
{
    auto_pieces bad = {0};
    int64_t number = 0;

    *oldest = (struct catalogue_oldest){.checked_s = INT64_MAX};
    pthread_mutex_lock(&catalogue->lock);
    for (size_t i = 0; i < catalogue->known.capacity; i++) {
        const struct known_file *known = &catalogue->known.slots[i];
        if (!known->used || known->number == 0)
            continue;
        oldest->shared_bytes += known->identity.size_bytes;
        if (known->checked_s < oldest->checked_s) {
            oldest->checked_s = known->checked_s;
            oldest->identity = known->identity;
            number = known->number;
        }
    }
    pthread_mutex_unlock(&catalogue->lock);
    if (number == 0)
        return false;
    enum error_code code =
        store_read_damage(atomic_load(&catalogue->store), number, &oldest->name, &bad, NULL);
    (void)code; /* should the row be gone: a name that nothing has */
    return true;
}

void catalogue_put_off(struct catalogue *catalogue, const struct share_identity *identity,
                       int64_t checked_s)
{
    pthread_mutex_lock(&catalogue->lock);
    const struct known_file *found = known_find(&catalogue->known, identity);
    if (found) {
        struct known_file known = *found;
        known.checked_s = checked_s;
        known_put(&catalogue->known, &known);
    }
    pthread_mutex_unlock(&catalogue->lock);
}

bool catalogue_next_damage(struct catalogue *catalogue, int64_t after_number, struct damage *damage)
{
    pthread_mutex_lock(&catalogue->lock);
    const struct damage *found = damages_after(&catalogue->damages, after_number);
    if (found) {
        *damage = *found;
        damage->bad = piece_list_copy(&found->bad);
    }
    pthread_mutex_unlock(&catalogue->lock);
    return found != NULL;
}

bool catalogue_withdraw(struct catalogue *catalogue, const struct damage *damage)
{
    bool news = false;

    pthread_mutex_lock(&catalogue->lock);
    const struct known_file *found = known_find(&catalogue->known, &damage->identity);
    if (found && found->damaged && !found->withdrawn) {
        struct known_file known = *found;
        known.withdrawn = true;
        known_put(&catalogue->known, &known);
        news = true;
    }
    pthread_mutex_unlock(&catalogue->lock);
    if (news) {
        atomic_store(&catalogue->news, true);
        catalogue_wake(catalogue);
    }
    return news;
}

/* The file's old state gives way to the one that it has now. Under the lock. */
static bool move_in_memory(struct catalogue *catalogue, const struct damage *damage,
                           const struct share_identity *now, const struct piece_list *left)
{
    const struct known_file *found = known_find(&catalogue->known, &damage->identity);

    if (!found)
        return false;
    struct known_file known = *found;
    struct damage rest = *damage;
    known.identity = rest.identity = *now;
    known.damaged = left->count > 0;
    known.withdrawn = known.withdrawn && known.damaged;
    if (found->withdrawn && !known.damaged)
        atomic_store(&catalogue->news, true);
    known_put(&catalogue->known, &known);
    rest.bad = piece_list_copy(left);
    if (known.damaged)
        damages_put(&catalogue->damages, &rest);
    else
        damages_drop(&catalogue->damages, now);
    return true;
}

enum error_code catalogue_note_repair(struct catalogue *catalogue, const struct damage *damage,
                                      const struct share_identity *now,
                                      const struct piece_list *left, struct error *error)
{
    pthread_mutex_lock(&catalogue->lock);
    bool moved = move_in_memory(catalogue, damage, now, left);
    pthread_mutex_unlock(&catalogue->lock);
    if (!moved)
        return error_set(error, ERROR_CHANGED, "El archivo ya no es el mismo");
    catalogue_wake(catalogue);
    return store_note_repair(atomic_load(&catalogue->store), damage->number, now, left, error);
}

/* Which pieces are other ones than they were. False: also some that were not bad before, or that
 * cannot be told. */
static bool compare_pieces(struct catalogue *catalogue, const struct hashing_job *job,
                           const struct piece_list *bad, struct damage *left)
{
    const struct catalogue_entry entry = {.number = left->number};
    uint8_t was[HASHES_AT_ONCE][HASH_BYTES];
    size_t next_bad = 0;

    for (size_t i = 0; i < job->manifest.piece_count; i++) {
        size_t rest = job->manifest.piece_count - i;
        size_t count = rest < HASHES_AT_ONCE ? rest : HASHES_AT_ONCE;
        if (i % HASHES_AT_ONCE == 0 &&
            catalogue_read_hashes(catalogue, &entry, i, count, was, NULL))
            return false;
        while (next_bad < bad->count && bad->items[next_bad] < i)
            next_bad++;
        if (memcmp(was[i % HASHES_AT_ONCE], job->manifest.hashes[i], HASH_BYTES) == 0)
            continue;
        if (next_bad == bad->count || bad->items[next_bad] != i)
            return false;
        piece_list_add(&left->bad, i);
    }
    return true;
}

bool catalogue_recognise(struct catalogue *catalogue, const struct hashing_job *job,
                         struct known_file *known, struct damage *left)
{
    struct store *store = atomic_load(&catalogue->store);
    auto_pieces bad = {0};
    struct file_name name;
    struct store_row row;

    /* A row of the same size and time of modification, as store_find has it: who writes other bytes
     * and sets that back too has to be told from rot by the pieces that were good. */
    if (store_find(store, &job->identity, &row, NULL) || row.exact || !row.damaged ||
        store_read_damage(store, row.number, &name, &bad, NULL))
        return false;
    *left = (struct damage){
        .name = job->name, .identity = job->identity, .content = row.content, .number = row.number};
    if (!compare_pieces(catalogue, job, &bad, left) ||
        store_note_repair(store, row.number, &job->identity, &left->bad, NULL)) {
        damage_done(left);
        return false;
    }
    known->content = row.content;
    known->number = row.number;
    known->damaged = known->withdrawn = left->bad.count > 0;
    return true;
}
