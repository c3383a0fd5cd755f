/*
 * What has to change to turn a peer's stored list into a new one. Pure.
 */
#pragma once

#include "directory/files_index.h"

#include <stddef.h>

struct difference {
    const struct files_index *files; /* borrowed: the new list, set by the caller; else all zero */
    size_t next;                     /* of its items, not met yet */
    char **removed;                  /* owned names */
    size_t removed_count;
    size_t *added; /* items of the new list */
    size_t added_count;
    size_t *changed; /* items whose urls or content are others */
    size_t changed_count;
};

/* Each stored file in turn, in the order of the names' bytes; urls NULL: the usual ones. */
void difference_see(struct difference *difference, const char *name, const char *urls,
                    const struct file_content *content);
/* No more are stored. */
void difference_finish(struct difference *difference);
void difference_done(struct difference *difference);
