#include "peer/share/arrivals.h"

#include "common/clock.h"
#include "common/memory.h"
#include "peer/share/share_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct arrival {
    struct arrivals *owner; /* constant, but of use only until the end */
    struct file_name name;
    struct manifest manifest;
    int file;
    int64_t begin_ms;
    atomic_uint references;

    pthread_mutex_t lock; /* guards what follows */
    uint8_t *held;
    size_t held_count;
    bool told;

    struct arrival *next; /* under the owner's lock */
};

struct arrivals {
    void (*changed)(void *context); /* constant */
    void *context;

    pthread_mutex_t lock; /* guards the list; taken before that of an arrival */
    struct arrival *first;
    struct stored {
        struct content_id id;
        struct file_name name;
    } stored[ARRIVALS_STORED_MAX]; /* a ring */
    size_t stored_count;           /* ever */
};

struct arrivals *arrivals_new(void (*changed)(void *context), void *context)
{
    struct arrivals *arrivals = memory_new(1, sizeof *arrivals);

    arrivals->changed = changed;
    arrivals->context = context;
    pthread_mutex_init(&arrivals->lock, NULL);
    return arrivals;
}

void arrivals_free(struct arrivals *arrivals)
{
    if (!arrivals)
        return;
    pthread_mutex_destroy(&arrivals->lock);
    free(arrivals);
}

static void tell_changed(const struct arrivals *arrivals)
{
    if (arrivals->changed)
        arrivals->changed(arrivals->context);
}

/* ---- for who receives ---- */

static void copy_manifest(const struct manifest *from, struct manifest *to)
{
    *to = *from;
    to->hashes = memory_new(from->piece_count + 1, sizeof *to->hashes);
    memcpy(to->hashes, from->hashes, from->piece_count * sizeof *to->hashes);
}

static size_t count_held(const uint8_t *held, size_t piece_count)
{
    size_t count = 0;

    for (size_t i = 0; i < piece_count; i++)
        count += held[i / 8] >> i % 8 & 1;
    return count;
}

struct arrival *arrivals_begin(struct arrivals *arrivals, const struct share_incoming *incoming,
                               const struct file_name *name, const struct manifest *manifest,
                               const uint8_t *held)
{
    int file = share_incoming_open(incoming);
    size_t count = manifest->piece_count;

    if (file < 0)
        return NULL;
    struct arrival *arrival = memory_new(1, sizeof *arrival);
    arrival->owner = arrivals;
    arrival->name = *name;
    copy_manifest(manifest, &arrival->manifest);
    arrival->file = file;
    atomic_init(&arrival->references, 1);
    pthread_mutex_init(&arrival->lock, NULL);
    arrival->held = memory_new(count / 8 + 1, 1);
    if (held)
        memcpy(arrival->held, held, (count + 7) / 8);
    arrival->begin_ms = clock_boot_ms();
    arrival->held_count = count_held(arrival->held, count);
    pthread_mutex_lock(&arrivals->lock);
    arrival->next = arrivals->first;
    arrivals->first = arrival;
    pthread_mutex_unlock(&arrivals->lock);
    return arrival;
}

void arrival_hold(struct arrival *arrival, size_t piece)
{
    pthread_mutex_lock(&arrival->lock);
    arrival->held_count += (arrival->held[piece / 8] >> piece % 8 & 1) == 0;
    arrival->held[piece / 8] |= (uint8_t)(1U << piece % 8);
    pthread_mutex_unlock(&arrival->lock);
}

/* Most of it will still be missing after ARRIVAL_TELL_MS. */
static bool is_slow_locked(const struct arrival *arrival, int64_t age_ms)
{
    return age_ms >= ARRIVAL_TELL_SOON_MS &&
           arrival->held_count < arrival->manifest.piece_count / ARRIVAL_SLOW_PART;
}

void arrival_tell(struct arrival *arrival, int64_t now_ms)
{
    pthread_mutex_lock(&arrival->lock);
    int64_t age_ms = now_ms - arrival->begin_ms;
    bool tells = !arrival->told && arrival->held_count > 0 &&
                 (age_ms >= ARRIVAL_TELL_MS || is_slow_locked(arrival, age_ms));
    arrival->told = arrival->told || tells;
    pthread_mutex_unlock(&arrival->lock);
    if (tells)
        tell_changed(arrival->owner);
}

static bool is_told(struct arrival *arrival)
{
    pthread_mutex_lock(&arrival->lock);
    bool told = arrival->told;
    pthread_mutex_unlock(&arrival->lock);
    return told;
}

static void note_stored_locked(struct arrivals *arrivals, const struct content_id *id,
                               const struct file_name *name)
{
    arrivals->stored[arrivals->stored_count++ % ARRIVALS_STORED_MAX] =
        (struct stored){.id = *id, .name = *name};
}

void arrivals_end(struct arrival *arrival, const struct file_name *stored)
{
    if (!arrival)
        return;
    struct arrivals *arrivals = arrival->owner;
    bool told = is_told(arrival);
    pthread_mutex_lock(&arrivals->lock);
    struct arrival **link = &arrivals->first;
    while (*link != arrival)
        link = &(*link)->next;
    *link = arrival->next;
    if (stored)
        note_stored_locked(arrivals, &arrival->manifest.id, stored);
    pthread_mutex_unlock(&arrivals->lock);
    arrival_release(arrival);
    if (told)
        tell_changed(arrivals);
}

/* ---- for who serves ---- */

struct arrival *arrivals_find(struct arrivals *arrivals, const struct content_id *id)
{
    pthread_mutex_lock(&arrivals->lock);
    struct arrival *arrival = arrivals->first;
    while (arrival && !content_id_equal(&arrival->manifest.id, id))
        arrival = arrival->next;
    if (arrival)
        atomic_fetch_add(&arrival->references, 1);
    pthread_mutex_unlock(&arrivals->lock);
    return arrival;
}

bool arrivals_stored(struct arrivals *arrivals, const struct content_id *id, struct file_name *name)
{
    bool found = false;

    pthread_mutex_lock(&arrivals->lock);
    for (size_t i = 0; i < arrivals->stored_count && i < ARRIVALS_STORED_MAX && !found; i++) {
        found = content_id_equal(&arrivals->stored[i].id, id);
        if (found)
            *name = arrivals->stored[i].name;
    }
    pthread_mutex_unlock(&arrivals->lock);
    return found;
}

void arrival_release(struct arrival *arrival)
{
    if (!arrival || atomic_fetch_sub(&arrival->references, 1) > 1)
        return;
    close(arrival->file);
    manifest_done(&arrival->manifest);
    pthread_mutex_destroy(&arrival->lock);
    free(arrival->held);
    free(arrival);
}

const struct manifest *arrival_manifest(const struct arrival *arrival)
{
    return &arrival->manifest;
}

const struct file_name *arrival_name(const struct arrival *arrival)
{
    return &arrival->name;
}

size_t arrival_pieces(struct arrival *arrival, uint8_t *bits)
{
    pthread_mutex_lock(&arrival->lock);
    size_t count = arrival->held_count;
    memcpy(bits, arrival->held, (arrival->manifest.piece_count + 7) / 8);
    pthread_mutex_unlock(&arrival->lock);
    return count;
}

size_t arrival_count(struct arrival *arrival)
{
    pthread_mutex_lock(&arrival->lock);
    size_t count = arrival->held_count;
    pthread_mutex_unlock(&arrival->lock);
    return count;
}

bool arrival_has(struct arrival *arrival, int64_t offset, int64_t length)
{
    size_t first = (size_t)offset / PIECE_BYTES;
    size_t end = ((size_t)(offset + length) + PIECE_BYTES - 1) / PIECE_BYTES;
    bool has = true;

    pthread_mutex_lock(&arrival->lock);
    for (size_t i = first; i < end && has; i++)
        has = arrival->held[i / 8] >> i % 8 & 1;
    pthread_mutex_unlock(&arrival->lock);
    return has;
}

enum error_code arrival_open(struct arrival *arrival, struct share_reader **reader,
                             struct error *error)
{
    int file = fcntl(arrival->file, F_DUPFD_CLOEXEC, 0);

    if (file < 0)
        return error_set_errno(error, errno, "No se puede leer el archivo");
    *reader = share_reader_of_pieces(file, arrival->manifest.size_bytes);
    return ERROR_NONE;
}

/* ---- for who tells ---- */

void arrivals_fill_list(struct arrivals *arrivals, struct share_list *list)
{
    pthread_mutex_lock(&arrivals->lock);
    for (struct arrival *arrival = arrivals->first; arrival; arrival = arrival->next)
        if (is_told(arrival))
            share_list_add(list, &(struct share_file){.name = arrival->name.text,
                                                      .size_bytes = arrival->manifest.size_bytes,
                                                      .has_content = true,
                                                      .content = arrival->manifest.id,
                                                      .partial = true});
    pthread_mutex_unlock(&arrivals->lock);
}
