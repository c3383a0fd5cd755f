/*
 * How a peer's list changes, as it arrives in files_added and files_removed: instead of all files
 * those that come and the names of those that go. Pure: JSON in, checked change out.
 *
 * A file that becomes another is in both. All are of the peer's usual urls: whose are others, only
 * a whole list says so.
 */
#pragma once

#include "common/error.h"
#include "common/index_sum.h"
#include "common/json.h"
#include "directory/files_index.h"

#include <stdbool.h>
#include <stddef.h>

struct list_change;

/* JSON lists, either may be NULL: files_added as files_index, and of strings. *change is the
 * caller's. ERROR_INVALID for any other shape. */
MUST_CHECK enum error_code list_change_from_json(const struct json *added,
                                                 const struct json *removed,
                                                 struct list_change **change, struct error *error);
void list_change_free(struct list_change *change); /* NULL is allowed */

/* Whether a file that comes has urls: then it cannot be stored so. */
bool list_change_has_urls(const struct list_change *change);
/* Whether there is a name with a '/'. */
bool list_change_has_folders(const struct list_change *change);
size_t list_change_memory_bytes(const struct list_change *change);

const struct files_index *list_change_added(const struct list_change *change); /* borrowed */

size_t list_change_removed_count(const struct list_change *change);
/* In the order of their bytes, each once. */
const char *list_change_removed(const struct list_change *change, size_t item);
bool list_change_removes(const struct list_change *change, const char *name);
/* Whether a file of that name comes. */
bool list_change_adds(const struct list_change *change, const char *name);
