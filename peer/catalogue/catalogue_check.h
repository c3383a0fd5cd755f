/*
 * Rot: a file whose bytes are no longer those that were hashed, though its identity is the same, so
 * that nobody has written it. The disk has lost them, or a read fails. (Who writes a file gives it
 * another time of change: that is another file, to be hashed anew.)
 *
 *   hashed ──check──▶ good
 *     ▲         └───▶ damaged ──repaired (peer/scrub)──▶ good
 *     │                  └─────nobody has it───────────▶ damaged and withdrawn ──▶ tried again
 *     └── anybody writes or replaces the file: a new one, whatever it was
 *
 * A damaged file's bad pieces are not served; a withdrawn file is not told of either. Both are kept
 * in the database; what is found damaged there at the start is withdrawn until it is good again.
 *
 * Any thread may call. Texts of errors that others may see are Spanish.
 */
#pragma once

#include "peer/catalogue/catalogue.h"
#include "peer/catalogue/damage.h"

struct catalogue_check {
    const struct file_name *name;
    const struct piece_list *only; /* these pieces; NULL: all */
    /* After each read, on the calling thread; it may wait. False breaks off: ERROR_CANCELLED. */
    bool (*step)(void *context, size_t bytes);
    void *context;
};

struct catalogue_verdict {
    struct catalogue_entry entry;
    struct piece_list bad; /* owned by the caller (piece_list_done); those of `only`, if given */
};

/* Reads the file and compares it piece by piece; what comes out is noted, and known to all the
 * functions below. It is read from the disk, not from the system's cache, and leaves nothing there;
 * what differs is read a second time before it counts. A piece that cannot be read is a bad one.
 * ERROR_NOT_FOUND; ERROR_BUSY: not hashed yet; ERROR_TOO_LARGE: it never will be; ERROR_CHANGED: it
 * changed meanwhile; ERROR_CANCELLED; ERROR_IO. */
MUST_CHECK enum error_code catalogue_check(struct catalogue *catalogue,
                                           const struct catalogue_check *check,
                                           struct catalogue_verdict *verdict, struct error *error);

/* Whether [offset, offset + length) of the file with that identity may be sent: ERROR_CORRUPT when
 * a bad piece has a byte of it. */
MUST_CHECK enum error_code catalogue_check_part(struct catalogue *catalogue,
                                                const struct share_identity *identity,
                                                int64_t offset, int64_t length,
                                                struct error *error);

/* Takes the files out of the list that are withdrawn. */
void catalogue_leave_out_withdrawn(struct catalogue *catalogue, struct share_list *list);
bool catalogue_is_withdrawn(struct catalogue *catalogue, const struct share_identity *identity);

size_t catalogue_count_damaged(struct catalogue *catalogue);

/* ---- for who checks and repairs (peer/scrub) ---- */

/* The file that was not checked for longest. */
struct catalogue_oldest {
    struct file_name name;
    struct share_identity identity;
    int64_t checked_s;    /* on the wall clock; 0: never */
    int64_t shared_bytes; /* of all files that can be checked */
};
/* False: there is none. */
bool catalogue_find_oldest(struct catalogue *catalogue, struct catalogue_oldest *oldest);
/* It could not be checked: until the next start it counts as checked at that time. */
void catalogue_put_off(struct catalogue *catalogue, const struct share_identity *identity,
                       int64_t checked_s);

/* The damaged file with the least number over that one; *damage is owned by the caller
 * (damage_done). False: there is none. */
bool catalogue_next_damage(struct catalogue *catalogue, int64_t after_number,
                           struct damage *damage);
/* Nobody could repair it. True: it was not withdrawn before. */
bool catalogue_withdraw(struct catalogue *catalogue, const struct damage *damage);
/* Pieces of it were written, which gave the file other times: it is the same content, `left` is
 * still bad. ERROR_CHANGED: it had become another file before. */
MUST_CHECK enum error_code catalogue_note_repair(struct catalogue *catalogue,
                                                 const struct damage *damage,
                                                 const struct share_identity *now,
                                                 const struct piece_list *left,
                                                 struct error *error);
