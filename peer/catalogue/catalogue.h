/*
 * What we know of the content of our shared files: ids and piece hashes (common/content.h).
 *
 * Every file of the share is hashed once, in the background, and what came out is kept in a SQLite
 * file under the file's identity (device, inode, size, times): after a restart nothing is hashed
 * again, nor after a rename. A file is known only while it is, by its identity now, the one that
 * was hashed. One that changes while it is hashed is not recorded; one that was changed just now
 * waits until it is left alone.
 *
 *   share changed ─▶ scan ─┬─ identity is stored ─────────────────────────▶ known ─▶ told
 *                          └─ new, or another one ─▶ queue ─▶ hashing ─▶ stored ─┘
 *
 * One thread of its own looks and records; the hashing is done by threads that are there only
 * while there is something to hash, with the least priority for processor and disk. Small files
 * come first. The database is only a cache: one that is damaged or of somebody else is moved aside,
 * and where none can be written the ids live in memory.
 *
 * Any thread may call. Texts of errors that others may see are Spanish.
 */
#pragma once

#include "common/content.h"
#include "common/error.h"
#include "peer/share/share.h"

#include <stdbool.h>

/* Ids that became known are told together, this far apart at least; further while there is more to
 * hash: each time the directory is sent the whole list. */
#define CATALOGUE_TELL_MS         1000
#define CATALOGUE_TELL_AT_WORK_MS 5000

/* A file is hashed once it was left alone so long; later it has to be quiet longer, so that one
 * that grows line by line is not hashed for every line. Longer than the file system's clock ticks
 * (10 ms): a change within one tick would not show in the times. */
#define CATALOGUE_QUIET_MS       300
#define CATALOGUE_QUIET_AGAIN_MS 5000

struct catalogue;

struct catalogue_options {
    struct share *share; /* borrowed until catalogue_free */
    const char *path;    /* of the database; copied */
    unsigned threads;    /* that hash; 0: two for each of the machine's cores */
    /* Ids have become known. On the catalogue's thread; must not block. May be NULL. */
    void (*known)(void *context);
    /* There are damaged files (catalogue_check.h). On any thread; must not block. May be NULL. */
    void (*damaged)(void *context);
    void *context;
};

/* *catalogue is owned by the caller. ERROR_IO: no thread. */
MUST_CHECK enum error_code catalogue_start(const struct catalogue_options *options,
                                           struct catalogue **catalogue, struct error *error);
/* Ends hashing and telling within a second, also in the middle of a huge file; joins. What is known
 * can be asked for until catalogue_free. NULL is fine for both. */
void catalogue_stop(struct catalogue *catalogue);
void catalogue_free(struct catalogue *catalogue); /* stops first if that was not done */

/* The shared folder has changed: look again. Does not block. */
void catalogue_share_changed(struct catalogue *catalogue);

/* The id of the file with that identity, from memory. False while it is not known. */
bool catalogue_find_id(struct catalogue *catalogue, const struct share_identity *identity,
                       struct content_id *id);

/* Whether the share was looked at since the start: what was stored of its files is known now. It is
 * told (options.known) when that is so. True also where nothing can be stored. */
bool catalogue_has_looked(struct catalogue *catalogue);

/* Fills in what is known of the files of a list. */
void catalogue_fill_list(struct catalogue *catalogue, struct share_list *list);

/* A file whose hashes are stored. Plain. */
struct catalogue_entry {
    struct content_id id;
    int64_t size_bytes;
    int64_t number; /* in the database */
};

/* The file under that name, as it is right now. ERROR_NOT_FOUND: no such file; ERROR_BUSY: not
 * hashed yet; ERROR_TOO_LARGE: over CONTENT_MAX_BYTES, it never will be. */
MUST_CHECK enum error_code catalogue_look_up(struct catalogue *catalogue,
                                             const struct file_name *name,
                                             struct catalogue_entry *entry, struct error *error);

/* The hashes of pieces [first, first + count), from the database. ERROR_CHANGED: they are not there
 * any more. */
MUST_CHECK enum error_code catalogue_read_hashes(struct catalogue *catalogue,
                                                 const struct catalogue_entry *entry, size_t first,
                                                 size_t count, uint8_t (*hashes)[HASH_BYTES],
                                                 struct error *error);

/* The file under that name has just been stored by us, with this content: it need not be hashed.
 * ERROR_CHANGED: it has another size; otherwise as catalogue_look_up, or what the database says. */
MUST_CHECK enum error_code catalogue_learn(struct catalogue *catalogue,
                                           const struct file_name *name,
                                           const struct manifest *manifest, struct error *error);

/* One of several; all borrowed. */
struct catalogue_learned {
    const struct file_name *name;
    const struct share_identity *identity; /* of the file that was stored; share_commit tells */
    const struct manifest *manifest;
};

/* The same, but for all of them or none, and by their identities: should a name mean another file
 * by now, nothing is said of that one. count 0 is fine. */
MUST_CHECK enum error_code catalogue_learn_all(struct catalogue *catalogue,
                                               const struct catalogue_learned *files, size_t count,
                                               struct error *error);
