/*
 * The list of what is shared, as it was at one moment: sorted by the bytes of the names. It never
 * changes, and is in memory once for all who hold it.
 *
 * It consists of pages of some hundred files, and lists have pages in common: one that differs from
 * another in a few files costs the pages that those are in, and a pointer for each of the others.
 * Two lists are compared without looking into the pages that both have. A file takes 48 bytes and
 * its name.
 *
 *   walk ─▶ builder ─▶ listing ─▶ listing_with(changes) ─▶ listing ─▶ ...
 *
 * Any thread may read, hold and release.
 */
#pragma once

#include "peer/share/share.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One file; borrowed from the list. */
struct listed {
    const char *name;
    const struct share_identity *identity;
    bool linked; /* it has several names, be they shared or not */
};

struct listing *listing_hold(struct listing *listing);
void listing_release(struct listing *listing); /* NULL is fine */

size_t listing_count(const struct listing *listing);
int64_t listing_bytes(const struct listing *listing);   /* of all files */
size_t listing_linked(const struct listing *listing);   /* files with several names */
size_t listing_left_out(const struct listing *listing); /* files and folders beyond the limits,
                                                         * of number or of a path */
bool listing_find(const struct listing *listing, const char *name, struct listed *file);

/* The name of a listed file as what opens files takes it: it was checked when it was listed. */
void listed_name(const char *listed, struct file_name *name);

/* A place in the list: {.listing = ...} is the beginning, listing_seek that of the first file whose
 * name is not before that one. */
struct listing_cursor {
    const struct listing *listing;
    size_t page, entry;
};
struct listing_cursor listing_seek(const struct listing *listing, const char *name);
bool listing_next(struct listing_cursor *cursor, struct listed *file);

/* What is in one list only; a file that is another one now has gone and come. In the order of the
 * names; borrowed from the lists. */
struct listing_difference {
    void (*gone)(void *context, const struct listed *file); /* may be NULL, */
    void (*come)(void *context, const struct listed *file); /* this, too */
    void *context;
};
void listing_compare(const struct listing *from, const struct listing *to,
                     const struct listing_difference *difference);
bool listing_equal(const struct listing *left, const struct listing *right); /* all files are */

/* ---- for who makes lists ---- */

struct listing_builder;

struct listing_builder *listing_builder_new(void);
void listing_builder_free(struct listing_builder *builder); /* NULL is fine */
void listing_builder_add(struct listing_builder *builder, const struct listed *file); /* copies */
size_t listing_builder_count(const struct listing_builder *builder);
/* Frees the builder. Owned by the caller. Each name was added once. like: a list that is perhaps
 * the same, or in most; what is, they have in common. NULL: none. */
struct listing *listing_builder_finish(struct listing_builder *builder, size_t left_out,
                                       struct listing *like);

/* The list with the changes, sorted by name, each name once; without an identity: no file has that
 * name any more. Owned by the caller. */
struct listing *listing_with(const struct listing *from, const struct listed *changes,
                             size_t count);
