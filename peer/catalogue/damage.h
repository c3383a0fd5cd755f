/*
 * Which files of ours have rotted: pieces that no longer have the bytes that were hashed, though
 * nobody changed the file. Few, in any sane world. One thread at a time.
 */
#pragma once

#include "common/content.h"
#include "common/file_name.h"
#include "peer/share/share.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Numbers of pieces, ascending. At most MANIFEST_PIECES_MAX. */
struct piece_list {
    uint32_t *items;
    size_t count;
};

/* The piece is higher than all that are there. */
void piece_list_add(struct piece_list *list, size_t piece);
void piece_list_remove(struct piece_list *list, size_t piece);
struct piece_list piece_list_copy(const struct piece_list *list);
void piece_list_done(struct piece_list *list);
#define auto_pieces CLEANUP(piece_list_done) struct piece_list

/* Whether one of them has a byte of [offset, offset + length). */
bool piece_list_touches(const struct piece_list *list, int64_t offset, int64_t length);

/* Whether it is a list of pieces of a file of that size: what a database holds may be anything. */
bool piece_list_fits(const struct piece_list *list, int64_t size_bytes);

struct damage {
    struct file_name name;          /* under which it was found */
    struct share_identity identity; /* in which it is so */
    struct content_id content;      /* that it had, and should have */
    int64_t number;                 /* of the row in the store */
    struct piece_list bad;          /* owned; never empty */
};

void damage_done(struct damage *damage);
#define auto_damage CLEANUP(damage_done) struct damage

struct damages {
    struct damage *items; /* by number */
    size_t count;
};

void damages_done(struct damages *damages);

/* Of the file in that very state; NULL. Borrowed until the next put or drop. */
const struct damage *damages_find(const struct damages *damages,
                                  const struct share_identity *identity);
/* The first with a number over that one; NULL. Borrowed likewise. */
const struct damage *damages_after(const struct damages *damages, int64_t number);

/* Takes the place of what was there of that inode; *damage is taken. */
void damages_put(struct damages *damages, struct damage *damage);
void damages_drop(struct damages *damages, const struct share_identity *inode);

/* The file in that very state has another name now; nothing when it is none of them. */
void damages_rename(struct damages *damages, const struct share_identity *identity,
                    const struct file_name *name);
