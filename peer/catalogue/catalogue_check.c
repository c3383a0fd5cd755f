#include "peer/catalogue/catalogue_check.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"
#include "peer/catalogue/catalogue_private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MODULE "catalogue"

#define READ_BYTES ((size_t)256 << 10) /* as for hashing; also how often who checks is asked */

#define HASHES_AHEAD 1024 /* read from the database at once: 32 KiB */

/* One file while it is checked. */
struct reading {
    struct catalogue *catalogue;
    const struct catalogue_check *check;
    int file;
    struct share_identity identity;
    struct catalogue_entry entry;
    struct piece_hasher *hasher;
    uint8_t *buffer;
    uint8_t (*hashes)[HASH_BYTES]; /* of the pieces [first, first + count) */
    size_t first, count;
};

/* What was read must come from the disk the next time, and keep no place that others need. */
static void forget_pages(const struct reading *reading, int64_t offset, size_t length)
{
    posix_fadvise(reading->file, offset, (off_t)length, POSIX_FADV_DONTNEED);
}

static enum error_code hash_bytes(struct reading *reading, int64_t offset, size_t length)
{
    while (length > 0) {
        size_t wanted = length < READ_BYTES ? length : READ_BYTES;
        ssize_t got = pread(reading->file, reading->buffer, wanted, offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got == 0 ? ERROR_CHANGED : ERROR_IO;
        struct iovec part = {.iov_base = reading->buffer, .iov_len = (size_t)got};
        piece_hasher_update(reading->hasher, &part, 1);
        offset += got;
        length -= (size_t)got;
        if (!reading->check->step(reading->check->context, (size_t)got))
            return ERROR_CANCELLED;
    }
    return ERROR_NONE;
}

static enum error_code find_hash(struct reading *reading, size_t piece, const uint8_t **hash)
{
    size_t left = content_piece_count(reading->entry.size_bytes) - piece;

    if (piece < reading->first || piece >= reading->first + reading->count) {
        reading->first = piece;
        reading->count = left < HASHES_AHEAD ? left : HASHES_AHEAD;
        enum error_code code = catalogue_read_hashes(reading->catalogue, &reading->entry, piece,
                                                     reading->count, reading->hashes, NULL);
        if (code) {
            reading->count = 0;
            return code;
        }
    }
    *hash = reading->hashes[piece - reading->first];
    return ERROR_NONE;
}

/* Twice, should the first reading not be it: a cable or the memory may have been wrong, the disk is
 * what is asked for. */
static enum error_code check_piece(struct reading *reading, size_t piece, bool *good)
{
    int64_t offset = (int64_t)(piece * PIECE_BYTES);
    size_t length = content_piece_bytes(reading->entry.size_bytes, piece);
    uint8_t now[HASH_BYTES];
    const uint8_t *wanted;
    enum error_code code = find_hash(reading, piece, &wanted);

    *good = false;
    for (int attempt = 0; attempt < 2 && !code && !*good; attempt++) {
        piece_hasher_reset(reading->hasher);
        code = hash_bytes(reading, offset, length);
        if (!code) {
            piece_hasher_finish(reading->hasher, reading->entry.size_bytes, now);
            *good = memcmp(now, wanted, sizeof now) == 0;
        }
        forget_pages(reading, offset, length);
        if (code == ERROR_IO)
            code = ERROR_NONE;
    }
    return code;
}

static bool is_unchanged(const struct reading *reading)
{
    struct share_identity now;

    return share_identify_open(reading->file, &now, NULL) == ERROR_NONE &&
           share_identity_equal(&now, &reading->identity);
}

static enum error_code check_pieces(struct reading *reading, struct piece_list *bad,
                                    struct error *error)
{
    const struct piece_list *only = reading->check->only;
    size_t count = only ? only->count : content_piece_count(reading->entry.size_bytes);
    enum error_code code = ERROR_NONE;

    for (size_t i = 0; i < count && !code; i++) {
        size_t piece = only ? only->items[i] : i;
        bool good;
        code = check_piece(reading, piece, &good);
        if (!code && !good)
            piece_list_add(bad, piece);
        if (!code && !good && !is_unchanged(reading)) /* the rest need not be read */
            code = ERROR_CHANGED;
    }
    if (!code && !is_unchanged(reading))
        code = ERROR_CHANGED;
    if (code == ERROR_CHANGED)
        return error_set(error, code, "El archivo cambió mientras se comprobaba");
    return code ? error_set(error, code, "La comprobación se interrumpió") : ERROR_NONE;
}

static enum error_code open_reading(struct reading *reading, struct error *error)
{
    struct catalogue *catalogue = reading->catalogue;
    struct known_file known;
    enum error_code code = share_open_file(catalogue->share, reading->check->name, &reading->file,
                                           &reading->identity, error);

    if (code)
        return code;
    int64_t size = reading->identity.size_bytes;
    if (size > CONTENT_MAX_BYTES)
        return error_set(error, ERROR_TOO_LARGE, "El archivo es demasiado grande");
    if (!catalogue_find_known(catalogue, &reading->identity, &known) || known.number == 0) {
        catalogue_look_again(catalogue, reading->check->name);
        return error_set(error, ERROR_BUSY, "El contenido del archivo todavía se está calculando");
    }
    reading->entry =
        (struct catalogue_entry){.id = known.content, .size_bytes = size, .number = known.number};
    return ERROR_NONE;
}

/* Puts it down in memory, under the lock. The damage is taken, if there is any. *news: it was not
 * damaged before. ERROR_CHANGED: the file is another one by now. */
static enum error_code note_in_memory(struct catalogue *catalogue, const struct known_file *state,
                                      struct damage *damage, bool *news)
{
    const struct known_file *found = known_find(&catalogue->known, &state->identity);

    if (!found)
        return ERROR_CHANGED;
    struct known_file known = *found;
    *news = !known.damaged;
    if (state->checked_s > 0)
        known.checked_s = state->checked_s;
    known.damaged = damage->bad.count > 0;
    if (known.withdrawn && !known.damaged)
        atomic_store(&catalogue->news, true);
    known.withdrawn = known.withdrawn && known.damaged;
    known_put(&catalogue->known, &known);
    if (known.damaged)
        damages_put(&catalogue->damages, damage);
    else
        damages_drop(&catalogue->damages, &known.identity);
    return ERROR_NONE;
}

static void log_damage(const struct reading *reading, const struct piece_list *bad)
{
    log_line(LOG_WARNING, MODULE,
             "'%s' is damaged: %zu of its %zu pieces (the first is number %" PRIu32
             ") cannot be read or are not what was written; they are not served any more",
             reading->check->name->text, bad->count, content_piece_count(reading->entry.size_bytes),
             bad->items[0]);
}

static enum error_code note(struct reading *reading, const struct piece_list *bad,
                            struct error *error)
{
    struct catalogue *catalogue = reading->catalogue;
    struct known_file state = {.identity = reading->identity};
    struct damage damage = {.name = *reading->check->name,
                            .identity = reading->identity,
                            .content = reading->entry.id,
                            .number = reading->entry.number,
                            .bad = piece_list_copy(bad)};
    struct error stored;
    bool news = false;

    /* When only some pieces were looked at, the file as a whole is due when it was. */
    if (!reading->check->only)
        state.checked_s = clock_wall_ms() / 1000;
    pthread_mutex_lock(&catalogue->lock);
    const struct known_file *known = known_find(&catalogue->known, &state.identity);
    int64_t checked_s = state.checked_s > 0 ? state.checked_s : known ? known->checked_s : 0;
    enum error_code code = note_in_memory(catalogue, &state, &damage, &news);
    pthread_mutex_unlock(&catalogue->lock);
    damage_done(&damage);
    if (code)
        return error_set(error, code, "El archivo cambió mientras se comprobaba");
    if (store_note_check(atomic_load(&catalogue->store), reading->entry.number, checked_s, bad,
                         &stored))
        log_line(LOG_DEBUG, MODULE, "that '%s' was checked is not kept: %s",
                 reading->check->name->text, stored.text);
    if (bad->count > 0 && news)
        log_damage(reading, bad);
    catalogue_wake(catalogue);
    if (bad->count > 0 && catalogue->damaged &&
        !reading->check->only) /* who asks for some, knows */
        catalogue->damaged(catalogue->context);
    return ERROR_NONE;
}

enum error_code catalogue_check(struct catalogue *catalogue, const struct catalogue_check *check,
                                struct catalogue_verdict *verdict, struct error *error)
{
    struct reading reading = {.catalogue = catalogue, .check = check, .file = -1};

    *verdict = (struct catalogue_verdict){0};
    enum error_code code = open_reading(&reading, error);
    if (!code) {
        reading.hasher = piece_hasher_new();
        reading.buffer = memory_new(1, READ_BYTES);
        reading.hashes = memory_new(HASHES_AHEAD, HASH_BYTES);
        forget_pages(&reading, 0, 0); /* all */
        code = check_pieces(&reading, &verdict->bad, error);
        piece_hasher_free(reading.hasher);
        free(reading.buffer);
        free(reading.hashes);
    }
    if (!code)
        code = note(&reading, &verdict->bad, error);
    if (reading.file >= 0)
        close(reading.file);
    verdict->entry = reading.entry;
    if (code)
        piece_list_done(&verdict->bad);
    return code;
}
