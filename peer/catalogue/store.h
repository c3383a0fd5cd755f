/*
 * The catalogue's database.
 *
 *   files(number, inode, device, size, modified_ns, changed_ns, name, seen_s, content, hashes,
 *         checked_s, bad)
 *
 * One row for each inode that was hashed, in its last state; hashes are 32 bytes a piece. The name
 * is the one that the file had, to tell a rename (which changes changed_ns) from a change. Rows of
 * files that nobody has seen for STORE_KEEP_S are forgotten; until then a folder may be away.
 * checked_s is when the bytes were last compared with the hashes (0: before there was such a
 * thing), bad the numbers of the pieces that were other ones, 4 bytes each as this machine has
 * them; NULL for none.
 *
 * Write-ahead log, synced at checkpoints only: after a crash of the system the last files may be
 * hashed again. Any thread; one connection, under a lock of the store's own.
 */
#pragma once

#include "common/content.h"
#include "common/error.h"
#include "peer/catalogue/damage.h"
#include "peer/share/share.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_KEEP_S ((int64_t)90 * 24 * 3600)

struct store;

/* Opens or makes the file; *aside says whether one that was damaged, or not ours, was renamed to
 * PATH.bad first. With a path of NULL it lives in memory. *store is owned by the caller. */
MUST_CHECK enum error_code store_open(const char *path, struct store **store, bool *aside,
                                      struct error *error);
void store_close(struct store *store); /* NULL is fine */

struct store_row {
    int64_t number;
    bool exact; /* the state is the one that was asked for; else only changed_ns differs */
    struct file_name name;
    struct content_id content;
    int64_t checked_s;
    bool damaged; /* it has bad pieces */
};

/* The row of that file. ERROR_NOT_FOUND: none, or of another size or modification time. A row whose
 * device alone is another one counts as exact: numbers of devices change from start to start. */
MUST_CHECK enum error_code store_find(struct store *store, const struct share_identity *identity,
                                      struct store_row *row, struct error *error);

struct store_file {
    const struct share_identity *identity;
    const struct file_name *name;
};

/* Takes the place of the row of that inode. */
MUST_CHECK enum error_code store_add(struct store *store, const struct store_file *file,
                                     const struct manifest *manifest, int64_t *number,
                                     struct error *error);

struct store_new {
    struct store_file file;
    const struct manifest *manifest;
    int64_t number; /* result */
};
/* The same for several in one transaction: all of them or none. */
MUST_CHECK enum error_code store_add_all(struct store *store, struct store_new *items, size_t count,
                                         struct error *error);

/* The same content has another name and state. */
MUST_CHECK enum error_code store_move(struct store *store, int64_t number,
                                      const struct store_file *file, struct error *error);

/* The file was checked. A row that is gone is no error. */
MUST_CHECK enum error_code store_note_check(struct store *store, int64_t number, int64_t checked_s,
                                            const struct piece_list *bad, struct error *error);
/* We have written pieces of it, which changed its times: it is the same content. */
MUST_CHECK enum error_code store_note_repair(struct store *store, int64_t number,
                                             const struct share_identity *identity,
                                             const struct piece_list *bad, struct error *error);
/* The bad pieces, owned by the caller; and the name that it had. ERROR_NOT_FOUND: no such row. */
MUST_CHECK enum error_code store_read_damage(struct store *store, int64_t number,
                                             struct file_name *name, struct piece_list *bad,
                                             struct error *error);

/* ERROR_CHANGED: there is no such row, or it has fewer hashes. */
MUST_CHECK enum error_code store_read_hashes(struct store *store, int64_t number, size_t first,
                                             size_t count, uint8_t (*hashes)[HASH_BYTES],
                                             struct error *error);

/* Notes that these rows are in use, and forgets what was not for long; all of it or nothing. */
MUST_CHECK enum error_code store_keep(struct store *store, const int64_t *numbers, size_t count,
                                      int64_t now_s, struct error *error);

/* Gives memory that is not needed between uses back. */
void store_rest(struct store *store);
