/*
 * How one list of files becomes another, as a directory is told it (docs/api.md, Changes of a
 * list). Pure.
 */
#pragma once

#include "common/index_sum.h"
#include "peer/share/share.h"

#include <stdbool.h>
#include <stddef.h>

/* A file that has become another one (its size, its content, whether it is partial) is in both. */
struct list_changes {
    const struct share_file **removed; /* of the list that was; borrowed from it, */
    const struct share_file **added;   /* of that which is; from that one */
    size_t removed_count, added_count;
    bool is_news; /* who looks for files wants to know: not only sizes have changed, of files whose
                   * content is not known */
};

/* One pass over both, which is quick where they have names in common in memory. Owned by the
 * caller. */
void list_changes_find(const struct share_list *from, const struct share_list *to,
                       struct list_changes *changes);
void list_changes_done(struct list_changes *changes);

/* The sum of the one list becomes that of the other: both with the same usual urls, neither empty.
 */
void list_changes_apply(const struct list_changes *changes, struct index_sum *sum);
